-- SPDX-License-Identifier: Apache-2.0
-- Types over a process's censuses of [$3, $4), oldest first: the one named $5, or without a name the $6
-- that were largest at any time. One row: times, totals, and of each type as many counts and sizes
-- (null: not among the types of that census).
WITH c AS (
    SELECT o.* FROM host h,
           LATERAL (SELECT ts, types, counts, sizes, bytes FROM census o
                     WHERE o.host_id = h.host_id AND o.proc_id = $2::int8
                       AND o.ts >= $3::timestamptz AND o.ts < $4::timestamptz
                     ORDER BY o.ts DESC
                     LIMIT $7::int4) o
     WHERE $1::int4 = 0 OR h.host_id = $1::int4
), chosen AS (
    SELECT type_id, max(u.bytes) AS most
      FROM c, unnest(c.types, c.sizes) AS u(type_id, bytes)
     WHERE $5::text IS NULL OR type_id = (SELECT t.type_id FROM census_type t WHERE t.name = $5::text)
     GROUP BY type_id
     ORDER BY most DESC, type_id
     LIMIT $6::int4
)
SELECT
    (SELECT coalesce(json_agg(extract(epoch FROM c.ts) ORDER BY c.ts), '[]') FROM c)::text,
    (SELECT coalesce(json_agg(c.bytes ORDER BY c.ts), '[]') FROM c)::text,
    (SELECT coalesce(json_agg(json_build_object('name', x.name, 'counts', x.counts, 'bytes', x.bytes)
                              ORDER BY x.most DESC, x.name), '[]')
       FROM (SELECT t.name, k.most,
                    (SELECT json_agg(c.counts[array_position(c.types, k.type_id)] ORDER BY c.ts) FROM c)
                        AS counts,
                    (SELECT json_agg(c.sizes[array_position(c.types, k.type_id)] ORDER BY c.ts) FROM c)
                        AS bytes
               FROM chosen k JOIN census_type t USING (type_id)) x)::text
