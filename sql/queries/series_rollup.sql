-- A process's RSS (metric $3 = 0), anonymous memory (3) or swap (6) by the hour, then by the day:
-- start, seconds, highest and last value.
WITH r AS (
    SELECT h.t0, 3600 AS span, h.part,
           CASE $3::int2 WHEN 0 THEN h.rss_max WHEN 3 THEN h.anon_last ELSE h.swap_max END AS high,
           CASE $3::int2 WHEN 0 THEN h.rss_last WHEN 3 THEN h.anon_last ELSE h.swap_max END AS last
      FROM rollup_1h AS h
     WHERE h.t0 = ANY ($4::timestamptz[]) AND h.t0 >= $6::timestamptz AND h.t0 < $7::timestamptz
       AND h.host_id = $1::int4 AND h.proc_id = $2::int8
    UNION ALL
    SELECT d.t0, 86400, 0,
           CASE $3::int2 WHEN 0 THEN d.rss_max WHEN 3 THEN d.anon_last ELSE d.swap_max END,
           CASE $3::int2 WHEN 0 THEN d.rss_last WHEN 3 THEN d.anon_last ELSE d.swap_max END
      FROM rollup_1d AS d
     WHERE d.t0 = ANY ($5::timestamptz[]) AND d.t0 >= $6::timestamptz - interval '1 day' AND d.t0 < $7::timestamptz
       AND d.host_id = $1::int4 AND d.proc_id = $2::int8
)
SELECT r.t0::timestamptz, r.span::int4, max(r.high)::int8,
       (array_agg(r.last ORDER BY r.part DESC) FILTER (WHERE r.last IS NOT NULL))[1]::int8
  FROM r
 GROUP BY r.t0, r.span
HAVING max(r.high) IS NOT NULL
 ORDER BY r.span, r.t0
