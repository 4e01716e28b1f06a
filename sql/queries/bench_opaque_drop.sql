DROP TABLE bench_opaque
