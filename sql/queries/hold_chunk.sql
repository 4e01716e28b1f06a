-- SPDX-License-Identifier: Apache-2.0
-- Before the chunks from $1 to $2 go: copies those of hosts and windows around an alert or a kill, from
-- $3 seconds before it to $4 after.
INSERT INTO chunk_held
SELECT c.*
  FROM (SELECT DISTINCT i.host_id, g.t0
          FROM (SELECT a.host_id, a.opened AS ts FROM alert AS a
                 WHERE a.host_id IS NOT NULL
                   AND a.opened >= $1::timestamptz - make_interval(secs => $4::float8)
                   AND a.opened < $2::timestamptz + make_interval(secs => $3::float8)
                UNION ALL
                SELECT k.host_id, k.ts FROM oom_kill AS k
                 WHERE k.ts >= $1::timestamptz - make_interval(secs => $4::float8)
                   AND k.ts < $2::timestamptz + make_interval(secs => $3::float8)) AS i,
               LATERAL unnest(mh_grid(i.ts - make_interval(secs => $3::float8),
                                      i.ts + make_interval(secs => $4::float8))) AS g(t0)) AS w
  JOIN chunk AS c ON c.t0 = w.t0 AND c.host_id = w.host_id
 WHERE c.t0 >= $1::timestamptz AND c.t0 < $2::timestamptz
ON CONFLICT DO NOTHING
