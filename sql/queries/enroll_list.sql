-- SPDX-License-Identifier: Apache-2.0
SELECT
    token_id::int8, created::timestamptz, created_by::text, expires::timestamptz, uses_left::int4, note::text
FROM enroll_token
WHERE expires > $1::timestamptz AND uses_left > 0
  AND ($2::int8 = 0 OR token_id < $2::int8)
ORDER BY token_id DESC
LIMIT $3::int4
