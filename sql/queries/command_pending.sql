-- SPDX-License-Identifier: Apache-2.0
SELECT cmd_id::uuid, body::bytea, signature::bytea
FROM command
WHERE host_id = $1::int4 AND state IN ('queued', 'sent', 'running') AND expires > $2::timestamptz
ORDER BY counter
LIMIT $3::int4
