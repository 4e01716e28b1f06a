-- SPDX-License-Identifier: Apache-2.0
SELECT mail_id::int8, coalesce(alert_id, 0)::int8, sender::text, recipients::text, state::text, message::bytea, attempts::int4,
       created::timestamptz, next_try::timestamptz, sent::timestamptz, last_reply::text
FROM mail
WHERE state = 'queued' AND next_try <= $1::timestamptz
ORDER BY next_try, mail_id
LIMIT $2::int4
