SELECT t0::timestamptz, codec::int2, d::bytea
  FROM mh_chunks($1::int4, $2::int8, $3::timestamptz[], $4::timestamptz, $5::timestamptz)
