-- SPDX-License-Identifier: Apache-2.0
-- Who ended before $1. Whose end nobody saw (the host went down) is known by a later boot of that host.
WITH boot AS (
    SELECT DISTINCT host_id, boot_id FROM process WHERE last_seen IS NULL AND first_seen >= $1::timestamptz
)
DELETE FROM process
WHERE (host_id, proc_id) IN (
    (SELECT host_id, proc_id FROM process WHERE last_seen < $1::timestamptz ORDER BY last_seen LIMIT $2::int4)
    UNION ALL
    (SELECT p.host_id, p.proc_id
     FROM process p
     WHERE p.last_seen IS NULL AND p.first_seen < $1::timestamptz
       AND EXISTS (SELECT FROM boot b WHERE b.host_id = p.host_id AND b.boot_id <> p.boot_id)
       AND NOT EXISTS (SELECT FROM boot b WHERE b.host_id = p.host_id AND b.boot_id = p.boot_id)
     LIMIT $2::int4))
