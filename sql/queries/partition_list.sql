-- Leaves of ours, the end of what they hold, and whether Citus has them (its trigger is on them): then they cannot
-- be detached concurrently.
SELECT p.relname::text, c.relname::text, i.inhdetachpending::bool,
       substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz,
       EXISTS (SELECT FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid
                WHERE t.tgrelid = p.oid AND f.proname = 'citus_truncate_trigger')::bool
  FROM pg_inherits AS i
  JOIN pg_class AS c ON c.oid = i.inhrelid
  JOIN pg_class AS p ON p.oid = i.inhparent
 WHERE p.relkind = 'p' AND p.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND p.relname = ANY ($1::text[])
 ORDER BY 4
