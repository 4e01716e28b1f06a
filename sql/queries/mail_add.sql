-- SPDX-License-Identifier: Apache-2.0
INSERT INTO mail (alert_id, created, sender, recipients, message, state, attempts, next_try, sent, last_reply, fence)
SELECT $1::int8, $2::timestamptz, $3::text, $4::text, $5::bytea, $6::text, $7::int4, $8::timestamptz,
       $9::timestamptz, $10::text, $11::int8
 WHERE mh_fenced($11::int8)
RETURNING mail_id::int8
