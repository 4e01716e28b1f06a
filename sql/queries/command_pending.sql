-- SPDX-License-Identifier: Apache-2.0
-- Of one host that has just connected: all that is open. What was queued counts as sent from here on,
-- so that nobody can cancel what is on its way. Maintenance holds it back, also what was sent before and may
-- not have arrived.
WITH pending AS (
    UPDATE command
       SET state = CASE state WHEN 'queued' THEN 'sent' ELSE state END,
           sent = coalesce(sent, clock_timestamp()), sent_by = coalesce(sent_by, $4::int2)
     WHERE host_id = $1::int4 AND cmd_id IN (
               SELECT o.cmd_id FROM command AS o
                WHERE o.host_id = $1::int4 AND o.state IN ('queued', 'sent', 'running') AND o.expires > $2::timestamptz
                  AND NOT mh_held_back(o.host_id, o.proc_id, o.dry_run, $2::timestamptz)
                ORDER BY o.counter LIMIT $3::int4)
       AND state IN ('queued', 'sent', 'running')
    RETURNING cmd_id, body, signature, host_id, counter, warrant)
SELECT cmd_id::uuid, body::bytea, signature::bytea, host_id::int4, warrant::bytea FROM pending ORDER BY counter
