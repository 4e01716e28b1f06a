-- Of the host itself (kind 1, obj_id 0), one of its cgroups (2) or an interpreter (3).
SELECT t0::timestamptz, codec::int2, d::bytea
  FROM mh_host_chunks($1::int4, $6::int2, $2::int8, $3::timestamptz[], $4::timestamptz, $5::timestamptz)
