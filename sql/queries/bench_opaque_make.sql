-- For tests/bench: what batches cost without index, partition or check.
CREATE TABLE bench_opaque (rcv timestamptz, host_id int4, epoch int8, seq int8, last int8,
                           t0 timestamptz, skew_us int8, codec int2, d bytea)
