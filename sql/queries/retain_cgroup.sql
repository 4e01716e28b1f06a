-- SPDX-License-Identifier: Apache-2.0
DELETE FROM cgroup
WHERE (host_id, cgroup_id) IN (SELECT host_id, cgroup_id FROM cgroup
                               WHERE last_seen < $1::timestamptz LIMIT $2::int4)
