-- SPDX-License-Identifier: Apache-2.0
-- What may still touch this process, or waits to be allowed to do the same ($3) to it; but this one ($4).
SELECT (state = 'waiting_approval')::bool
FROM command
WHERE host_id = $1::int4 AND proc_id = $2::int8 AND NOT dry_run AND cmd_id <> $4::uuid
  AND (state IN ('queued', 'sent', 'running') OR (state = 'waiting_approval' AND action = $3::text))
ORDER BY 1
LIMIT 1
