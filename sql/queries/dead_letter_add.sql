INSERT INTO dead_letter (host_id, epoch, seq, last, reason, d)
VALUES ($1::int4, $2::int8, $3::int8, $4::int8, $5::text, $6::bytea)
ON CONFLICT DO NOTHING
