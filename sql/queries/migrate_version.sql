SELECT value::int4 FROM meta WHERE key = 'schema_version'
