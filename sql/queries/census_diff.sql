-- SPDX-License-Identifier: Apache-2.0
-- What became of the types between two censuses, the largest growth in bytes first. Without a base the
-- one before it of the same process. A census holds its largest types only: of one that is in one of
-- the two alone it is not known how many there were in the other (known says that both had it, or that
-- the other one held all of its types).
WITH a AS (
    SELECT c.*, coalesce(nullif(p.service, ''), c.service) AS of_service
      FROM census c
      LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
     WHERE c.census_id = $1::int8
     LIMIT 1
), b AS (
    SELECT c.*, coalesce(nullif(p.service, ''), c.service) AS of_service
      FROM census c
      LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
     WHERE c.census_id = coalesce($2::int8,
                                  (SELECT o.census_id FROM census o, a
                                    WHERE o.host_id = a.host_id AND o.proc_id = a.proc_id
                                      AND (o.ts, o.census_id) < (a.ts, a.census_id)
                                    ORDER BY o.ts DESC, o.census_id DESC
                                    LIMIT 1))
     LIMIT 1
), x AS (
    SELECT coalesce(n.type_id, o.type_id) AS type_id,
           coalesce(n.count, 0) AS count, coalesce(n.bytes, 0) AS bytes,
           coalesce(o.count, 0) AS count_before, coalesce(o.bytes, 0) AS bytes_before,
           CASE WHEN n.type_id IS NULL THEN (SELECT cardinality(types) >= types_total FROM a)
                WHEN o.type_id IS NULL THEN (SELECT cardinality(types) >= types_total FROM b)
                ELSE true END AS known
      FROM (SELECT u.type_id, sum(u.count) AS count, sum(u.bytes) AS bytes
              FROM a, unnest(a.types, a.counts, a.sizes) AS u(type_id, count, bytes)
             GROUP BY 1) n
      FULL JOIN (SELECT u.type_id, sum(u.count) AS count, sum(u.bytes) AS bytes
                   FROM b, unnest(b.types, b.counts, b.sizes) AS u(type_id, count, bytes)
                  GROUP BY 1) o USING (type_id)
)
SELECT
    a.census_id::int8, b.census_id::int8, a.ts::timestamptz, b.ts::timestamptz, a.proc_id::int8,
    b.proc_id::int8, a.of_service::text, b.of_service::text, a.objects::int8, b.objects::int8,
    a.bytes::int8, b.bytes::int8, a.parts::text, b.parts::text,
    (SELECT coalesce(json_agg(json_build_object(
                         'name', t.name, 'count', t.count, 'bytes', t.bytes,
                         'count_growth', t.count - t.count_before,
                         'bytes_growth', t.bytes - t.bytes_before, 'known', t.known)
                     ORDER BY t.bytes - t.bytes_before DESC, t.count - t.count_before DESC, t.name), '[]')
       FROM (SELECT ct.name, x.*
               FROM x JOIN census_type ct USING (type_id)
              ORDER BY x.bytes - x.bytes_before DESC, x.count - x.count_before DESC, ct.name
              LIMIT $3::int4) t)::text
FROM a LEFT JOIN b ON true
