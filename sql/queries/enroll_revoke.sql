-- SPDX-License-Identifier: Apache-2.0
UPDATE enroll_token
SET uses_left = 0
WHERE token_id = $1::int8 AND uses_left > 0
RETURNING
    token_id::int8, created::timestamptz, created_by::text, expires::timestamptz, uses_left::int4, note::text
