-- SPDX-License-Identifier: Apache-2.0
UPDATE api_token
SET revoked = $2::timestamptz
WHERE token_id = $1::int8 AND revoked IS NULL
RETURNING
    token_id::int8, name::text, scopes::text, created_by::text, created::timestamptz, expires::timestamptz,
    revoked::timestamptz, hash::bytea
