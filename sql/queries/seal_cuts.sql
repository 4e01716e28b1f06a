SELECT t0::timestamptz, done::timestamptz FROM compaction
 WHERE shard = 0 AND t0 >= $1::timestamptz
