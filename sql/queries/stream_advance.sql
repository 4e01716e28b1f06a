-- Streams in the order of host: two collectors that hold the same hosts lock in the same order.
UPDATE agent_stream AS s
   SET last_seq = v.last_seq, updated = now()
  FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])
       AS v(host_id, epoch, conn, first_seq, last_seq)
 WHERE s.host_id = v.host_id AND s.epoch = v.epoch AND s.conn = v.conn
   AND s.last_seq = v.first_seq - 1
RETURNING s.host_id::int4, s.epoch::int8
