-- SPDX-License-Identifier: Apache-2.0
SELECT t0::timestamptz, done::timestamptz FROM compaction
 WHERE shard >= 0 AND shard <> $1::int2 AND t0 >= $2::timestamptz
