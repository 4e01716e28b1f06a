COPY chunk (t0, host_id, proc_id, part, n, codec, d) FROM STDIN (FORMAT binary)
