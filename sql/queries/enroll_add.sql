-- SPDX-License-Identifier: Apache-2.0
INSERT INTO enroll_token (hash, created_by, expires, uses_left, note)
VALUES ($1::bytea, $2::text, $3::timestamptz, $4::int4, $5::text)
RETURNING
    token_id::int8, created::timestamptz, created_by::text, expires::timestamptz, uses_left::int4, note::text
