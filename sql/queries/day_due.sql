-- SPDX-License-Identifier: Apache-2.0
-- The first day, from $1 to before $2, whose windows were sealed again since its figures were made.
SELECT d.t0::timestamptz, s.shard::int4
  FROM (SELECT date_bin('1 day', c.t0, '1970-01-01Z') AS t0, sum(c.seals) AS seals
          FROM compaction AS c
         WHERE c.shard = -1 AND c.t0 >= $1::timestamptz AND c.t0 < $2::timestamptz
         GROUP BY 1) AS d
 CROSS JOIN (SELECT DISTINCT h.host_id / 256 AS shard FROM host AS h) AS s
  LEFT JOIN rollup_day AS m ON m.t0 = d.t0 AND m.shard = s.shard
 WHERE m.seals IS DISTINCT FROM d.seals
 ORDER BY 1, 2
 LIMIT 1
