-- SPDX-License-Identifier: Apache-2.0
-- A collector that gave no sign for $2 microseconds, whose last window ($3 long) is over for $4, and
-- whose batches may not all be in chunks; not $5.
SELECT c.collector_id::int2, c.name::text
  FROM collector AS c
 WHERE c.collector_id <> $1::int2 AND c.collector_id <> $5::int2
   AND c.seen < clock_timestamp() - $2::int8 * interval '1 microsecond'
   AND date_bin($3::int8 * interval '1 microsecond', c.seen, 'epoch')
       + ($3::int8 + $4::int8) * interval '1 microsecond' < clock_timestamp()
   AND (c.oldest IS NOT NULL
        OR EXISTS (SELECT FROM inbox AS i WHERE i.writer = c.collector_id
                    AND i.rcv > coalesce(c.adopted, '-infinity')))
 ORDER BY c.seen
 LIMIT 1
