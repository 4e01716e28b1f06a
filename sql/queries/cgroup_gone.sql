UPDATE cgroup AS g
   SET last_seen = v.t
  FROM unnest($1::int4[], $2::int8[], $3::timestamptz[]) AS v(host_id, cgroup_id, t)
 WHERE g.host_id = v.host_id AND g.cgroup_id = v.cgroup_id
