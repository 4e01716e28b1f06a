-- SPDX-License-Identifier: Apache-2.0
-- One census with its types, the largest first.
SELECT
    c.census_id::int8, c.ts::timestamptz, c.host_id::int4, coalesce(h.name, '')::text,
    c.proc_id::int8, c.pid::int4, coalesce(nullif(p.service, ''), c.service)::text,
    coalesce(nullif(p.comm, ''), c.comm)::text, c.method::text, c.reason::text,
    coalesce(c.cmd_id::text, '')::text, c.version::int8, c.interpreters::int4, c.pause_us::int8,
    c.walk_us::int8, c.objects::int8, c.bytes::int8, c.types_total::int4, c.error::int4,
    c.parts::text, c.note::text,
    (SELECT coalesce(json_agg(json_build_object('name', n.name, 'count', u.count, 'bytes', u.bytes)
                              ORDER BY u.i), '[]')
       FROM unnest(c.types, c.counts, c.sizes) WITH ORDINALITY AS u(type_id, count, bytes, i)
       JOIN census_type n ON n.type_id = u.type_id)::text
FROM census c
LEFT JOIN host h ON h.host_id = c.host_id
LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
WHERE c.census_id = $1::int8
LIMIT 1
