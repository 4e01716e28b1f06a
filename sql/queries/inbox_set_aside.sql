-- A batch whose bytes are damaged ($5 says how) goes from the inbox to dead_letter, $6 bytes of it at most.
WITH gone AS (
    DELETE FROM inbox
     WHERE rcv = $1::timestamptz AND host_id = $2::int4 AND epoch = $3::int8 AND seq = $4::int8
    RETURNING host_id, epoch, seq, last, d)
INSERT INTO dead_letter (host_id, epoch, seq, last, reason, d)
SELECT host_id, epoch, seq, last, $5::text, substr(d, 1, $6::int4) FROM gone
ON CONFLICT DO NOTHING
