INSERT INTO meta (key, value) VALUES ('schema_version', ($1::int4)::text)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
