-- SPDX-License-Identifier: Apache-2.0
-- Whose effect is to be measured now, and where: the process, or who came after it in its service.
SELECT c.host_id::int4, c.cmd_id::uuid, c.proc_id::int8, c.done::timestamptz, c.verify_next::timestamptz,
       c.rss_before::int8, c.rss_after::int8, coalesce(c.effects::text, '')::text,
       coalesce(p.service, '')::text, coalesce(p.comm, '')::text, coalesce(p.role, '')::text, coalesce(p.slot, 0)::int4
  FROM command AS c LEFT JOIN process AS p USING (host_id, proc_id)
 WHERE c.verify_next <= $1::timestamptz
 ORDER BY c.verify_next
 LIMIT $2::int4
