-- SPDX-License-Identifier: Apache-2.0
-- A collector that gave no sign for $2 microseconds, whose last window ($3 long) is over for $4, and
-- whose batches may not all be in chunks; not $5.
WITH silent AS MATERIALIZED (
    SELECT c.collector_id, c.name, c.seen, c.oldest, coalesce(c.adopted, '-infinity') AS adopted
      FROM collector AS c
     WHERE c.collector_id <> $1::int2 AND c.collector_id <> $5::int2
       AND c.seen < clock_timestamp() - $2::int8 * interval '1 microsecond'
       AND date_bin($3::int8 * interval '1 microsecond', c.seen, 'epoch')
           + ($3::int8 + $4::int8) * interval '1 microsecond' < clock_timestamp()
), younger AS MATERIALIZED (
    SELECT DISTINCT s.collector_id
      FROM silent AS s
      JOIN inbox AS i ON i.writer = s.collector_id AND i.rcv > s.adopted
     WHERE s.oldest IS NULL
)
SELECT s.collector_id::int2, s.name::text
  FROM silent AS s
 WHERE s.oldest IS NOT NULL OR s.collector_id IN (SELECT y.collector_id FROM younger AS y)
 ORDER BY s.seen
 LIMIT 1
