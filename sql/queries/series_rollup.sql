-- A process's RSS (metric $3 = 0), anonymous memory (3) or swap (6) by the hour, then by the day:
-- start, seconds, highest and last value. Between $6, an hour's start, and $7; hours $4, days $5.
WITH r AS (
    SELECT date_bin('1 hour', w.t0, '1970-01-01Z') AS t0, 3600 AS span, w.t0 AS start, w.part::int4 AS part,
           CASE $3::int2 WHEN 0 THEN w.rss_min[i] + w.max_over[i] WHEN 3 THEN w.anon_last[i]
                         ELSE w.swap_max[i] END::int8 AS high,
           CASE $3::int2 WHEN 0 THEN w.rss_min[i] + w.last_over[i] WHEN 3 THEN w.anon_last[i]
                         ELSE w.swap_max[i] END::int8 AS last
      FROM rollup_window AS w
     CROSS JOIN LATERAL (SELECT array_position(w.procs, $2::int8) AS i OFFSET 0) AS x
     WHERE w.t0 = ANY (mh_grid($6::timestamptz, $7::timestamptz)) AND w.t0 >= $6::timestamptz
       AND w.t0 < $7::timestamptz AND w.host_id = $1::int4
       AND w.proc_first <= $2::int8 AND w.proc_last >= $2::int8 AND i IS NOT NULL
    UNION ALL
    SELECT h.t0, 3600, h.t0, h.part,
           CASE $3::int2 WHEN 0 THEN h.rss_max WHEN 3 THEN h.anon_last ELSE h.swap_max END,
           CASE $3::int2 WHEN 0 THEN h.rss_last WHEN 3 THEN h.anon_last ELSE h.swap_max END
      FROM rollup_1h AS h
     WHERE h.t0 = ANY ($4::timestamptz[]) AND h.t0 >= $6::timestamptz AND h.t0 < $7::timestamptz
       AND h.host_id = $1::int4 AND h.proc_id = $2::int8
    UNION ALL
    SELECT d.t0, 86400, d.t0, 0,
           CASE $3::int2 WHEN 0 THEN d.rss_max WHEN 3 THEN d.anon_last ELSE d.swap_max END,
           CASE $3::int2 WHEN 0 THEN d.rss_last WHEN 3 THEN d.anon_last ELSE d.swap_max END
      FROM rollup_1d AS d
     WHERE d.t0 = ANY ($5::timestamptz[]) AND d.t0 >= $6::timestamptz - interval '1 day' AND d.t0 < $7::timestamptz
       AND d.host_id = $1::int4 AND d.proc_id = $2::int8
)
SELECT r.t0::timestamptz, r.span::int4, max(r.high)::int8,
       (array_agg(r.last ORDER BY r.start DESC, r.part DESC) FILTER (WHERE r.last IS NOT NULL))[1]::int8
  FROM r
 GROUP BY r.t0, r.span
HAVING max(r.high) IS NOT NULL
 ORDER BY r.span, r.t0
