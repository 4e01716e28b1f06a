SELECT t0::timestamptz, codec::int2, d::bytea
  FROM chunk
 WHERE t0 = ANY ($3::timestamptz[]) AND t0 >= $4::timestamptz AND t0 < $5::timestamptz
   AND host_id = $1::int4 AND proc_id = $2::int8
 ORDER BY t0, part
