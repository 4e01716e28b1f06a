-- A host connected: its streams are fenced for whoever served it before.
WITH c AS MATERIALIZED (SELECT nextval('agent_conn') AS conn)
INSERT INTO agent_stream AS s (host_id, epoch, conn)
SELECT $1::int4, e.epoch, c.conn FROM unnest($2::int8[]) AS e(epoch), c
ON CONFLICT (host_id, epoch) DO UPDATE SET conn = excluded.conn, updated = now()
RETURNING s.epoch::int8, s.last_seq::int8, s.conn::int8
