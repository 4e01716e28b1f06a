COPY host_chunk (t0, host_id, kind, obj_id, part, n, codec, d) FROM STDIN (FORMAT binary)
