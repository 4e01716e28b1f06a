-- Name of this database, tables of anybody's in it, collectors that are connected to it.
SELECT current_database()::text,
       (SELECT count(*) FROM pg_class AS c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S'))::int8,
       (SELECT count(*) FROM pg_stat_activity AS a
         WHERE a.datname = current_database() AND a.application_name = 'memherd-collector'
           AND a.pid <> pg_backend_pid())::int8
