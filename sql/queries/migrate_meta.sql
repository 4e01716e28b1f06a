SELECT value::text FROM meta WHERE key = $1
