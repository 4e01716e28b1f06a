-- The settings of each connection of ours, whatever the server's or the role's defaults are.
SELECT set_config('search_path', 'public, pg_temp', false)::text,
       set_config('statement_timeout', '30s', false)::text,
       set_config('lock_timeout', '10s', false)::text,
       set_config('idle_in_transaction_session_timeout', '10s', false)::text,
       set_config('timezone', 'UTC', false)::text,
       set_config('jit', 'off', false)::text
