-- SPDX-License-Identifier: Apache-2.0
-- Of one host that has just connected: all that is open. Of any host ($1 = 0): what could not be sent when it was
-- issued before $3.
SELECT cmd_id::uuid, body::bytea, signature::bytea, host_id::int4
FROM command
WHERE ((host_id = $1::int4 AND state IN ('queued', 'sent', 'running'))
       OR ($1::int4 = 0 AND state = 'queued' AND created < $3::timestamptz))
  AND expires > $2::timestamptz
ORDER BY counter
LIMIT $4::int4
