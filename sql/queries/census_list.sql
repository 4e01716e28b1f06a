-- SPDX-License-Identifier: Apache-2.0
-- Censuses of a process, newest first; $3, $4 is the last one of the page before.
SELECT
    c.census_id::int8, c.ts::timestamptz, c.host_id::int4, h.name::text, c.proc_id::int8, c.pid::int4,
    coalesce(nullif(p.service, ''), c.service)::text, coalesce(nullif(p.comm, ''), c.comm)::text,
    c.method::text, c.reason::text, coalesce(c.cmd_id::text, '')::text, c.version::int8,
    c.interpreters::int4, c.pause_us::int8, c.walk_us::int8, c.objects::int8, c.bytes::int8,
    c.types_total::int4, c.error::int4, c.parts::text, c.note::text
FROM host h,
     LATERAL (SELECT * FROM census o
               WHERE o.host_id = h.host_id AND o.proc_id = $2::int8
                 AND ($3::timestamptz IS NULL OR (o.ts, o.census_id) < ($3::timestamptz, $4::int8))
               ORDER BY o.ts DESC, o.census_id DESC
               LIMIT $5::int4) c
     LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
WHERE $1::int4 = 0 OR h.host_id = $1::int4
ORDER BY c.ts DESC, c.census_id DESC
LIMIT $5::int4
