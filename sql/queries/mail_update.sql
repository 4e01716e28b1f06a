-- SPDX-License-Identifier: Apache-2.0
UPDATE mail
SET state = $2::text, attempts = $3::int4, next_try = $4::timestamptz, sent = $5::timestamptz, last_reply = $6::text
WHERE mail_id = $1::int8
