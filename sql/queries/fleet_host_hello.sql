UPDATE host SET name = $2::text, last_seen = now(), info = $3::jsonb
 WHERE host_id = $1::int4
