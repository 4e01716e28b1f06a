-- Of the host itself (kind 1, obj_id 0) or one of its cgroups (kind 2).
SELECT t0::timestamptz, codec::int2, d::bytea
  FROM host_chunk
 WHERE t0 = ANY ($3::timestamptz[]) AND t0 >= $4::timestamptz AND t0 < $5::timestamptz
   AND host_id = $1::int4 AND kind = $6::int2 AND obj_id = $2::int8
 ORDER BY t0, part
