INSERT INTO host (uuid, name) VALUES ($1::uuid, $2::text)
RETURNING host_id::int4
