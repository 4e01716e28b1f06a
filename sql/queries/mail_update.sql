-- SPDX-License-Identifier: Apache-2.0
-- That it was sent is true whoever leads by now, and spares people a second one.
UPDATE mail
SET state = $2::text, attempts = $3::int4, next_try = $4::timestamptz, sent = $5::timestamptz, last_reply = $6::text, 
    fence = coalesce(nullif($7::int8, 0), fence)
WHERE mail_id = $1::int8 AND state = 'queued' AND ($2::text = 'sent' OR mh_fenced($7::int8))
