-- SPDX-License-Identifier: Apache-2.0
INSERT INTO api_token (name, hash, scopes, created_by, expires)
VALUES ($1::text, $2::bytea, $3::text, $4::text, $5::timestamptz)
RETURNING
    token_id::int8, name::text, scopes::text, created_by::text, created::timestamptz, expires::timestamptz,
    revoked::timestamptz, hash::bytea
