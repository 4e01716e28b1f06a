-- SPDX-License-Identifier: Apache-2.0
-- The result may be there already: then only the time is noted.
UPDATE command
SET state = CASE state WHEN 'queued' THEN 'sent' ELSE state END, sent = $3::timestamptz, sent_by = $4::int2
WHERE host_id = $1::int4 AND cmd_id = $2::uuid AND sent IS NULL
