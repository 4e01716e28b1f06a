-- SPDX-License-Identifier: Apache-2.0
-- The figures of day $1 of the 256 hosts from $2 * 256 on, made or made again, after day_count in its transaction.
-- In the order of the key, so that two who do this wait for each other.
WITH grid AS MATERIALIZED ( -- elsewhere than the windows' length is known, where hours are distributed
    SELECT mh_grid($1::timestamptz, $1::timestamptz + interval '24 hours')
           || ARRAY(SELECT $1::timestamptz + g * interval '1 hour' FROM generate_series(0, 23) AS g) AS starts
), hours AS (
    SELECT r.t0, r.host_id, r.proc_id, r.part, r.n, r.rss_min, r.rss_max, r.rss_avg, r.rss_first, r.rss_last,
           r.anon_last, r.swap_max, r.cpu_ms, r.majflt, r.gc2, r.gc_collected, r.gc_uncollectable, r.rss_slope_kib_h
      FROM rollups AS r
     WHERE r.t0 = ANY ((SELECT g.starts FROM grid AS g)::timestamptz[])
       AND r.t0 >= $1::timestamptz AND r.t0 < $1::timestamptz + interval '24 hours'
       AND r.host_id >= $2::int4 * 256 AND r.host_id < ($2::int4 + 1) * 256
)
INSERT INTO rollup_1d AS o (t0, host_id, proc_id, pid, comm, service, n, rss_min, rss_max, rss_avg, rss_first,
                            rss_last, anon_last, swap_max, cpu_ms, majflt, gc2, gc_collected,
                            gc_uncollectable, rss_slope_kib_h)
SELECT $1::timestamptz, d.host_id, d.proc_id, p.pid, coalesce(p.comm, ''), coalesce(p.service, ''), d.n,
       d.rss_min, d.rss_max, d.rss_avg, d.rss_first, d.rss_last, d.anon_last, d.swap_max, d.cpu_ms,
       d.majflt, d.gc2, d.gc_collected, d.gc_uncollectable, d.slope
  FROM (SELECT host_id, proc_id, sum(n)::int4 AS n, min(rss_min) AS rss_min, max(rss_max) AS rss_max,
               (sum(rss_avg::float8 * n) / nullif(sum(n) FILTER (WHERE rss_avg IS NOT NULL), 0))::int8 AS rss_avg,
               (array_agg(rss_first ORDER BY t0, part) FILTER (WHERE rss_first IS NOT NULL))[1] AS rss_first,
               (array_agg(rss_last ORDER BY t0 DESC, part DESC) FILTER (WHERE rss_last IS NOT NULL))[1]
                   AS rss_last,
               (array_agg(anon_last ORDER BY t0 DESC, part DESC) FILTER (WHERE anon_last IS NOT NULL))[1]
                   AS anon_last,
               max(swap_max) AS swap_max, sum(cpu_ms)::int8 AS cpu_ms, sum(majflt)::int8 AS majflt,
               sum(gc2)::int8 AS gc2, sum(gc_collected)::int8 AS gc_collected,
               sum(gc_uncollectable)::int8 AS gc_uncollectable,
               coalesce(regr_slope(rss_avg, extract(epoch FROM t0)::float8 / 3600), avg(rss_slope_kib_h))
                   AS slope
          FROM hours
         GROUP BY host_id, proc_id
        HAVING count(*) >= 2) AS d
  LEFT JOIN process AS p ON p.host_id = d.host_id AND p.proc_id = d.proc_id
 ORDER BY d.host_id, d.proc_id
ON CONFLICT (t0, host_id, proc_id) DO UPDATE
   SET n = excluded.n, rss_min = excluded.rss_min, rss_max = excluded.rss_max, rss_avg = excluded.rss_avg,
       rss_first = excluded.rss_first, rss_last = excluded.rss_last, anon_last = excluded.anon_last,
       swap_max = excluded.swap_max, cpu_ms = excluded.cpu_ms, majflt = excluded.majflt, gc2 = excluded.gc2,
       gc_collected = excluded.gc_collected, gc_uncollectable = excluded.gc_uncollectable,
       rss_slope_kib_h = excluded.rss_slope_kib_h
 WHERE o.n <> excluded.n
