SELECT t0::timestamptz, done::timestamptz FROM compaction
 WHERE shard = $2::int2 AND t0 >= $1::timestamptz
