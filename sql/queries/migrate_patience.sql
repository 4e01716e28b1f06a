-- Of this transaction: a migration may take long, and may wait for readers.
SELECT set_config('statement_timeout', '0', true)::text, set_config('lock_timeout', '60s', true)::text
