-- SPDX-License-Identifier: Apache-2.0
-- Of one host that has just connected: all that is open.
SELECT cmd_id::uuid, body::bytea, signature::bytea, host_id::int4
FROM command
WHERE host_id = $1::int4 AND state IN ('queued', 'sent', 'running') AND expires > $2::timestamptz
ORDER BY counter
LIMIT $3::int4
