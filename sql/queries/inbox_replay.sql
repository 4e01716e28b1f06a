-- From one window before the oldest that is not sealed whole: a window's changes decode from a
-- keyframe, which an agent sends more often than that. In the order in which they came: a host's
-- stream that began later holds the younger samples, whatever its number. $1 the page's length,
-- $2 to $5 the row read last, $6 the start.
SELECT i.host_id::int4, i.epoch::int8, i.seq::int8, i.last::int8, i.rcv::timestamptz,
       i.skew_us::int8, i.d::bytea, i.writer::int2, i.codec::int2, i.t0::timestamptz
  FROM inbox AS i
 WHERE i.t0 >= $6::timestamptz
   AND (i.rcv, i.host_id, i.epoch, i.seq) > ($2::timestamptz, $3::int4, $4::int8, $5::int8)
 ORDER BY i.rcv, i.host_id, i.epoch, i.seq
 LIMIT $1::int8
