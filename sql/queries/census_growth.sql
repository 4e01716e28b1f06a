-- SPDX-License-Identifier: Apache-2.0
-- Types that grow, by service over the fleet: of each process with two censuses since $1 its first and
-- its last one. Only types that both have.
WITH c AS (
    SELECT c.host_id, c.proc_id, c.ts, c.types, c.counts, c.sizes,
           coalesce(nullif(p.service, ''), c.service) AS service,
           row_number() OVER (PARTITION BY c.host_id, c.proc_id ORDER BY c.ts) AS first,
           row_number() OVER (PARTITION BY c.host_id, c.proc_id ORDER BY c.ts DESC) AS last
      FROM census c
      LEFT JOIN process p ON p.host_id = c.host_id AND p.proc_id = c.proc_id
     WHERE c.ts >= $1::timestamptz AND ($2::int4 = 0 OR c.host_id = $2::int4)
), d AS (
    SELECT a.service, a.host_id, a.proc_id, n.type_id, n.count - o.count AS count,
           n.bytes - o.bytes AS bytes, extract(epoch FROM a.ts - b.ts) AS span
      FROM c a
      JOIN c b ON b.host_id = a.host_id AND b.proc_id = a.proc_id AND b.first = 1,
           LATERAL unnest(a.types, a.counts, a.sizes) AS n(type_id, count, bytes)
      JOIN LATERAL unnest(b.types, b.counts, b.sizes) AS o(type_id, count, bytes)
        ON o.type_id = n.type_id
     WHERE a.last = 1 AND a.first > 1
)
SELECT
    d.service::text, t.name::text, count(DISTINCT d.host_id)::int8,
    count(DISTINCT (d.host_id, d.proc_id))::int8, least(sum(d.count), 9e18)::int8,
    least(sum(d.bytes), 9e18)::int8, least(sum(d.bytes / d.span * 3600), 9e18)::int8
FROM d JOIN census_type t USING (type_id)
WHERE d.span > 0 AND ($3::text IS NULL OR d.service = $3::text)
GROUP BY d.service, t.name
HAVING sum(d.bytes) > 0
ORDER BY 6 DESC, 1, 2
LIMIT $4::int4
