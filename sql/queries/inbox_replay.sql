-- From one window before the oldest that is not sealed whole: a window's changes decode from a
-- keyframe, which an agent sends more often than that. $1 the window's length, the others the
-- key of the row read last.
SELECT i.host_id::int4, i.epoch::int8, i.seq::int8, i.last::int8, i.rcv::timestamptz,
       i.skew_us::int8, i.d::bytea
  FROM inbox AS i
 WHERE i.t0 >= $5::timestamptz
   AND (i.host_id, i.epoch, i.seq) > ($2::int4, $3::int8, $4::int8)
 ORDER BY i.host_id, i.epoch, i.seq
 LIMIT $1::int8
