INSERT INTO dead_letter (host_id, epoch, seq, reason, d)
VALUES ($1::int4, $2::int8, $3::int8, $4::text, $5::bytea)
ON CONFLICT DO NOTHING
