-- SPDX-License-Identifier: Apache-2.0
-- Of what collector $1 received and is in no chunk: the starts of the oldest and of the youngest window;
-- and between them its youngest batch of all. Receive times of one collector rise in the order of its
-- commits, so what it may still commit is younger.
SELECT o.first::timestamptz, coalesce(y.rcv, '-infinity')::timestamptz, o.last::timestamptz
  FROM (SELECT min(i.t0) AS first, max(i.t0) AS last
          FROM inbox AS i
          LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
         WHERE i.writer = $1::int2 AND (a.done IS NULL OR i.rcv > a.done)) AS o,
       (SELECT max(rcv) AS rcv FROM inbox WHERE writer = $1::int2) AS y
