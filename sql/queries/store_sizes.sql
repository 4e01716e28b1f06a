-- SPDX-License-Identifier: Apache-2.0
-- What our tables take, leaves added to their parent. Rows are the server's estimate; times are the bounds
-- of the leaves. A leaf that is being dropped has no size any more.
SELECT coalesce(p.relname, c.relname)::text,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8,
       coalesce(sum(pg_indexes_size(c.oid)), 0)::int8,
       coalesce(sum(CASE WHEN c.reltoastrelid <> 0 THEN pg_total_relation_size(c.reltoastrelid) END), 0)::int8,
       coalesce(sum(greatest(c.reltuples, 0)), 0)::int8,
       count(*) FILTER (WHERE p.oid IS NOT NULL)::int4,
       min(substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([^'']+)''\)')::timestamptz)::timestamptz,
       max(substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz)::timestamptz
  FROM pg_class AS c
  LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
  LEFT JOIN pg_class AS p ON p.oid = i.inhparent AND p.relkind = 'p'
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
 GROUP BY 1
 ORDER BY 2 DESC, 1
