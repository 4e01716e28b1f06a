-- A stream whose agent died before it was drained: what came after last_seq is not known.
INSERT INTO gap (host_id, epoch, from_seq, to_seq, records, reason, t_first, t_last)
SELECT host_id, epoch, last_seq + 1, last_seq + 1, 0, 2, updated, now()
  FROM agent_stream
 WHERE host_id = $1::int4 AND epoch = $2::int8
ON CONFLICT DO NOTHING
