-- SPDX-License-Identifier: Apache-2.0
-- What may still touch this process.
SELECT cmd_id::uuid
FROM command
WHERE host_id = $1::int4 AND proc_id = $2::int8 AND NOT dry_run AND state IN ('queued', 'sent', 'running')
LIMIT 1
