DROP TABLE bench_wide
