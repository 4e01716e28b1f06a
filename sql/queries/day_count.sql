-- SPDX-License-Identifier: Apache-2.0
-- First in the transaction of day_make: of how many seals the day's figures are at least. One that comes in between is in
-- the figures and not in the number: then the day is due again. Who makes the same day waits here.
INSERT INTO rollup_day (t0, shard, seals)
SELECT $1::timestamptz, $2::int4, sum(c.seals)
  FROM compaction AS c
 WHERE c.shard = -1 AND c.t0 >= $1::timestamptz AND c.t0 < $1::timestamptz + interval '24 hours'
ON CONFLICT (t0, shard) DO UPDATE SET seals = excluded.seals, made = now()
