-- SPDX-License-Identifier: Apache-2.0
-- The lives of a service's processes since $3, the newest $4 of them, by their rollups: a row a window
-- of $5 us; in rollup_1h an hour has $6 numbers of 'part' for each. Windows and hours are named one by
-- one, so that each is a look-up in the key.
WITH l AS (
    SELECT p.proc_id, p.role, p.slot, p.first_seen, p.last_seen
      FROM process p
     WHERE p.host_id = $1::int4 AND p.service = $2::text
       AND (p.last_seen IS NULL OR p.last_seen >= $3::timestamptz)
     ORDER BY p.first_seen DESC
     LIMIT $4::int4
), r AS (
    SELECT l.*, w.t0 AS start, w.part::int4 AS part, (w.rss_min[i] + w.first_over[i])::int8 AS rss_first,
           (w.rss_min[i] + w.last_over[i])::int8 AS rss_last, w.cpu_ms[i]::int8 AS cpu_ms
      FROM l
     CROSS JOIN generate_series(date_bin($5::int8 * interval '1 microsecond', greatest(l.first_seen, $3::timestamptz),
                                         '1970-01-01Z'),
                                coalesce(l.last_seen, now()), $5::int8 * interval '1 microsecond') AS g(start)
      JOIN rollup_window w ON w.t0 = g.start AND w.host_id = $1::int4 AND w.proc_first <= l.proc_id
                          AND w.proc_last >= l.proc_id
     CROSS JOIN LATERAL (SELECT array_position(w.procs, l.proc_id) AS i OFFSET 0) AS x
     WHERE i IS NOT NULL
    UNION ALL
    SELECT l.*, h.t0 + (h.part / $6::int4) * $5::int8 * interval '1 microsecond', h.part % $6::int4, h.rss_first,
           h.rss_last, h.cpu_ms
      FROM l
     CROSS JOIN generate_series(date_trunc('hour', greatest(l.first_seen, $3::timestamptz), 'UTC'),
                                coalesce(l.last_seen, now()), interval '1 hour') AS g(hour)
      JOIN rollup_1h h ON h.t0 = g.hour AND h.host_id = $1::int4 AND h.proc_id = l.proc_id
)
SELECT
    r.proc_id::int8, r.role::text, r.slot::int4,
    greatest(r.start, least(r.first_seen, r.start + $5::int8 * interval '1 microsecond'))::timestamptz,
    least(r.start + $5::int8 * interval '1 microsecond',
          greatest(coalesce(r.last_seen, 'infinity'), r.start))::timestamptz,
    coalesce(r.rss_first, -1)::int8, coalesce(r.rss_last, -1)::int8, coalesce(r.cpu_ms, -1)::int8
FROM r
WHERE r.start + $5::int8 * interval '1 microsecond' > $3::timestamptz
ORDER BY r.first_seen, r.proc_id, r.start, r.part
