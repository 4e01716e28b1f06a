UPDATE host SET name = $2::text, last_seen = $3::timestamptz, info = $4::jsonb
 WHERE host_id = $1::int4
