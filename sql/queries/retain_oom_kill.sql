-- SPDX-License-Identifier: Apache-2.0
DELETE FROM oom_kill
WHERE (host_id, kill_id) IN (SELECT host_id, kill_id FROM oom_kill
                             WHERE ts < $1::timestamptz LIMIT $2::int4)
