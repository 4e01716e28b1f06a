COPY rollup_window (t0, host_id, part, proc_first, proc_last, procs, n, rss_min, max_over, avg_over, first_over,
                    last_over, anon_last, swap_max, cpu_ms, majflt, gc2, gc_collected, gc_uncollectable,
                    rss_slope_kib_h) FROM STDIN (FORMAT binary)
