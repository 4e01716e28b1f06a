-- SPDX-License-Identifier: Apache-2.0
-- By when it was sealed, too: what is late comes as the next part of its window, and is not sealed anew.
DELETE FROM compaction
WHERE (t0, shard) IN (SELECT t0, shard FROM compaction
                      WHERE t0 < $1::timestamptz AND done < $1::timestamptz LIMIT $2::int4)
