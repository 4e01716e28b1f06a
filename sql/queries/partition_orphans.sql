-- Leaves that were detached and not yet dropped: the collector ended in between.
SELECT c.relname::text
  FROM pg_class AS c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
   AND c.relname ~ '^(inbox|chunk|host_chunk|chunk_held|host_chunk_held|rollup_1h|rollup_window|rollup_1d|event|census|snapshot)_p[0-9_]+$'
