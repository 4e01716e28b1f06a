SELECT greatest((SELECT max(done) FROM compaction), (SELECT max(rcv) FROM inbox))::timestamptz
