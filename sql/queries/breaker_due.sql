-- SPDX-License-Identifier: Apache-2.0
-- Rules' actions whose newest results gave nothing, $2 times in a row, and whose breaker was not opened for them.
SELECT c.actor::text, c.action::text
  FROM (SELECT DISTINCT actor, action FROM command
         WHERE created > $1::timestamptz - interval '1 hour' AND actor LIKE 'rule:%' AND NOT dry_run
           AND action <> 'census') AS c,
       LATERAL mh_bad_results(c.actor, c.action) AS r
 WHERE r.bad >= $2::int4
   AND NOT EXISTS (SELECT FROM breaker AS o WHERE o.actor = c.actor AND o.action = c.action AND o.opened >= r.last)
 LIMIT 16
