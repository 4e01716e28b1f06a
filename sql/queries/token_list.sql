-- SPDX-License-Identifier: Apache-2.0
SELECT
    token_id::int8, name::text, scopes::text, created_by::text, created::timestamptz, expires::timestamptz,
    revoked::timestamptz, hash::bytea
FROM api_token
ORDER BY token_id DESC
LIMIT 4096
