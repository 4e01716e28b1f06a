COPY bench_opaque (rcv, host_id, epoch, seq, last, t0, skew_us, codec, d) FROM STDIN (FORMAT binary)
