SELECT t0::timestamptz, codec::int2, d::bytea
  FROM host_chunk
 WHERE t0 = ANY ($2::timestamptz[]) AND t0 >= $3::timestamptz AND t0 < $4::timestamptz
   AND host_id = $1::int4 AND kind = 1 AND obj_id = 0
 ORDER BY t0, part
