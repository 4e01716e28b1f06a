-- SPDX-License-Identifier: Apache-2.0
UPDATE command
SET state = 'sent', sent = coalesce(sent, $3::timestamptz)
WHERE host_id = $1::int4 AND cmd_id = $2::uuid AND state = 'queued'
