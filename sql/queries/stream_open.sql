-- A host connected: its streams are fenced for whoever served it before. $3 the highest number that
-- it produced, $4 up to where it was told that all is stored: where that is not so, the database
-- went back.
WITH c AS MATERIALIZED (SELECT nextval('agent_conn') AS conn)
INSERT INTO agent_stream AS s (host_id, epoch, conn, produced, lost)
SELECT $1::int4, e.epoch, c.conn, e.produced, greatest(e.told, 0)
  FROM unnest($2::int8[], $3::int8[], $4::int8[]) AS e(epoch, produced, told), c
ON CONFLICT (host_id, epoch) DO UPDATE
   SET conn = excluded.conn, updated = now(),
       produced = greatest(s.produced, excluded.produced),
       lost = greatest(s.lost, excluded.lost - s.last_seq)
RETURNING s.epoch::int8, s.last_seq::int8, s.conn::int8
