-- Kills that an agent that lost track might tell again: each host's newest.
SELECT h.host_id::int4, k.kill_id::int8
  FROM host AS h, LATERAL (SELECT kill_id, ts FROM oom_kill AS o WHERE o.host_id = h.host_id
                            ORDER BY ts DESC LIMIT $1::int4) AS k
 ORDER BY h.host_id, k.ts
