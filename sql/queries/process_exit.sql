UPDATE process AS p
   SET last_seen = v.t
  FROM unnest($1::int4[], $2::int8[], $3::timestamptz[]) AS v(host_id, proc_id, t)
 WHERE p.host_id = v.host_id AND p.proc_id = v.proc_id
