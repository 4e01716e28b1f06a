-- For tests/bench: a row per sample of a process, what this design is compared with.
CREATE TABLE bench_wide (ts timestamptz, host_id int4, proc_id int8, m1 int4, m2 int4, m3 int4, m4 int4, m5 int4, m6 int4, m7 int4, m8 int4, m9 int4, m10 int4, m11 int4, m12 int4, m13 int4, m14 int4, m15 int4, m16 int4, m17 int4, m18 int4)
