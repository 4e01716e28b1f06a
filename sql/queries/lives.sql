-- SPDX-License-Identifier: Apache-2.0
-- The lives of a service's processes since $3, the newest $4 of them, by their rollups: a row a window
-- of $5 us, of which an hour has $6 numbers of 'part' each. Hours are named one by one, so that each
-- is a look-up in the key.
SELECT
    l.proc_id::int8, l.role::text, l.slot::int4,
    greatest(w.start, least(l.first_seen, w.start + $5::int8 * interval '1 microsecond'))::timestamptz,
    least(w.start + $5::int8 * interval '1 microsecond',
          greatest(coalesce(l.last_seen, 'infinity'), w.start))::timestamptz,
    coalesce(r.rss_first, -1)::int8, coalesce(r.rss_last, -1)::int8, coalesce(r.cpu_ms, -1)::int8
FROM (SELECT p.proc_id, p.role, p.slot, p.first_seen, p.last_seen
        FROM process p
       WHERE p.host_id = $1::int4 AND p.service = $2::text
         AND (p.last_seen IS NULL OR p.last_seen >= $3::timestamptz)
       ORDER BY p.first_seen DESC
       LIMIT $4::int4) l
CROSS JOIN generate_series(date_trunc('hour', greatest(l.first_seen, $3::timestamptz), 'UTC'),
                     coalesce(l.last_seen, now()), interval '1 hour') AS g(hour)
JOIN rollup_1h r ON r.t0 = g.hour AND r.host_id = $1::int4 AND r.proc_id = l.proc_id
CROSS JOIN LATERAL (SELECT r.t0 + (r.part / $6::int4) * $5::int8 * interval '1 microsecond' AS start) w
WHERE w.start + $5::int8 * interval '1 microsecond' > $3::timestamptz
ORDER BY l.first_seen, l.proc_id, w.start, r.part
