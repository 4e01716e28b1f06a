COPY rollup_1h (t0, host_id, proc_id, part, n, rss_min, rss_max, rss_avg, rss_first, rss_last,
                anon_last, swap_max, cpu_ms, majflt, gc2, gc_collected, gc_uncollectable,
                rss_slope_kib_h) FROM STDIN (FORMAT binary)
