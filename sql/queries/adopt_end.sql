-- SPDX-License-Identifier: Apache-2.0
-- What is left of collector $1: the inbox is kept from there on. $2 what we looked through.
UPDATE collector AS c
   SET oldest = l.rcv, adopted = CASE WHEN l.rcv IS NULL THEN $2::timestamptz ELSE c.adopted END
  FROM (SELECT min(i.rcv) AS rcv
          FROM inbox AS i
          LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
         WHERE i.writer = $1::int2 AND (a.done IS NULL OR i.rcv > a.done)) AS l
 WHERE c.collector_id = $1::int2
