SELECT greatest((SELECT max(done) FROM compaction WHERE shard = $1::int2),
                (SELECT max(rcv) FROM inbox WHERE writer = $1::int2))::timestamptz
