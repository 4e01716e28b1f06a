-- SPDX-License-Identifier: Apache-2.0
-- What was asked for elsewhere, or could not be sent at once, of the hosts whose agents are here ($1):
-- each goes to one collector only. In the order of their counters: agents refuse an older one. Maintenance holds
-- it back.
WITH claimed AS (
    UPDATE command
       SET state = 'sent', sent = clock_timestamp(), sent_by = $4::int2
     WHERE host_id = ANY ($1::int4[]) AND state = 'queued' AND coalesce(approved, created) < $3::timestamptz
       AND expires > $2::timestamptz AND NOT mh_held_back(host_id, proc_id, dry_run, $2::timestamptz)
    RETURNING cmd_id, body, signature, host_id, counter, warrant)
SELECT cmd_id::uuid, body::bytea, signature::bytea, host_id::int4, warrant::bytea FROM claimed ORDER BY counter
