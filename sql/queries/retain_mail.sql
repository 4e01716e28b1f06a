-- SPDX-License-Identifier: Apache-2.0
DELETE FROM mail
WHERE mail_id IN (SELECT mail_id FROM mail
                  WHERE state <> 'queued' AND created < $1::timestamptz ORDER BY mail_id LIMIT $2::int4)
