-- SPDX-License-Identifier: Apache-2.0
SELECT cmd_id::uuid
FROM command
WHERE host_id = $1::int4 AND cmd_id = $2::uuid AND state = 'waiting_approval' AND expires > $3::timestamptz
