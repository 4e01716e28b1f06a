SELECT s.host_id::int4, s.epoch::int8, s.last_seq::int8, s.conn::int8
  FROM agent_stream AS s
  JOIN unnest($1::int4[], $2::int8[]) AS v(host_id, epoch)
    ON s.host_id = v.host_id AND s.epoch = v.epoch
