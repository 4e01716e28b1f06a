COPY event (ts, host_id, epoch, seq, idx, kind, proc_id, doc) FROM STDIN (FORMAT binary)
