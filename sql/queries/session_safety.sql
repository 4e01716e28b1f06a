SELECT current_setting('server_version_num')::int4,
       current_setting('server_version')::text,
       (current_setting('fsync') = 'on')::bool,
       (current_setting('synchronous_commit') <> 'off')::bool
