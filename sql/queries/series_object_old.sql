-- As series_object, where some of it may be held evidence; UNION, for while a leaf goes it is in both.
SELECT c.t0::timestamptz, c.codec::int2, c.d::bytea
  FROM (SELECT t0, part, codec, d FROM host_chunk
         WHERE t0 = ANY ($3::timestamptz[]) AND t0 >= $4::timestamptz AND t0 < $5::timestamptz
           AND host_id = $1::int4 AND kind = $6::int2 AND obj_id = $2::int8
        UNION
        SELECT t0, part, codec, d FROM host_chunk_held
         WHERE t0 = ANY ($3::timestamptz[]) AND t0 >= $4::timestamptz AND t0 < $5::timestamptz
           AND host_id = $1::int4 AND kind = $6::int2 AND obj_id = $2::int8) AS c
 ORDER BY c.t0, c.part
