-- SPDX-License-Identifier: Apache-2.0
SELECT
    token_id::int8, created::timestamptz, created_by::text, expires::timestamptz, uses_left::int4, note::text
FROM enroll_token
WHERE expires > $1::timestamptz AND uses_left > 0
ORDER BY token_id DESC
LIMIT $2::int4
