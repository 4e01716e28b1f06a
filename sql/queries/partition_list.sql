-- Leaves of ours and the end of what they hold.
SELECT p.relname::text, c.relname::text, i.inhdetachpending::bool,
       substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz
  FROM pg_inherits AS i
  JOIN pg_class AS c ON c.oid = i.inhrelid
  JOIN pg_class AS p ON p.oid = i.inhparent
 WHERE p.relkind = 'p' AND p.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND p.relname = ANY ($1::text[])
 ORDER BY 4
