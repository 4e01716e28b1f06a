COPY inbox (rcv, host_id, epoch, seq, last, t0, skew_us, codec, d, writer) FROM STDIN (FORMAT binary)
