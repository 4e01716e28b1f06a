-- SPDX-License-Identifier: Apache-2.0
-- Figures of a window take a quarter of what they did (docs/adr/0029). Rows that are there stay where they
-- are until they have aged: who reads asks view rollups, which has both.

-- Of up to 64 processes of a host in one window: element i of each array is of procs[i]. Memory in KiB. What
-- most processes have the same of compresses: zeros, and what rss is over its lowest. An array is NULL where
-- all of its elements are. A process with a figure that no int4 holds has its row in rollup_1h.
CREATE TABLE rollup_window (
    t0               timestamptz NOT NULL, -- the window's start
    host_id          int4 NOT NULL,
    part             int2 NOT NULL,     -- of the chunk
    proc_first       int8 NOT NULL,     -- lowest and highest of procs, which are sorted
    proc_last        int8 NOT NULL,
    procs            int8[] NOT NULL,
    n                int4[] NOT NULL,
    rss_min          int4[],
    max_over         int4[],            -- rss_max - rss_min, and so on
    avg_over         int4[],
    first_over       int4[],
    last_over        int4[],
    anon_last        int4[],
    swap_max         int4[],
    cpu_ms           int4[],
    majflt           int4[],
    gc2              int4[],
    gc_collected     int4[],
    gc_uncollectable int4[],
    rss_slope_kib_h  float4[],
    PRIMARY KEY (t0, host_id, part, proc_first)
) PARTITION BY RANGE (t0);

-- Compressed and in line, whatever the server's default.
DO $$
DECLARE
    x name;
BEGIN
    FOR x IN SELECT attname FROM pg_attribute
              WHERE attrelid = 'rollup_window'::regclass AND attnum > 0 AND attndims > 0 LOOP
        EXECUTE format('ALTER TABLE rollup_window ALTER %I SET STORAGE MAIN', x);
    END LOOP;
END $$;

-- As in 0004_reading, and a leaf of figures is compressed as soon as a row is beyond 2 kB.
CREATE OR REPLACE FUNCTION mh_make_leaf(parent text, lo timestamptz, hi timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    leaf text := parent || '_p' || to_char(lo AT TIME ZONE 'UTC',
                 CASE WHEN hi - lo <= interval '1 hour' THEN 'YYYYMMDD_HH24' ELSE 'YYYYMMDD' END);
BEGIN
    IF to_regclass(quote_ident(leaf)) IS NOT NULL THEN
        RETURN leaf;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                   leaf, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, leaf, lo, hi);
    IF parent IN ('inbox', 'chunk', 'host_chunk', 'chunk_held', 'host_chunk_held') THEN
        EXECUTE format('ALTER TABLE %I ALTER d SET STORAGE EXTERNAL', leaf);
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 8160)', leaf);
    ELSIF parent = 'rollup_window' THEN
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 128)', leaf);
    END IF;
    RETURN leaf;
END $$;

-- A row a process and window, of both tables. t0 is the window's start; of rows in rollup_1h the hour's, and
-- 'part' tells their window. Arrays go side by side: it is quicker than an index into each.
CREATE VIEW rollups AS
SELECT t0, host_id, proc_id, part, n, rss_min::int8, (rss_min + max_over)::int8 AS rss_max,
       (rss_min + avg_over)::int8 AS rss_avg, (rss_min + first_over)::int8 AS rss_first,
       (rss_min + last_over)::int8 AS rss_last, anon_last::int8, swap_max::int8, cpu_ms::int8, majflt::int8,
       gc2::int8, gc_collected::int8, gc_uncollectable::int8, rss_slope_kib_h::float8
  FROM (SELECT t0, host_id, unnest(procs) AS proc_id, part, unnest(n) AS n, unnest(rss_min) AS rss_min,
               unnest(max_over) AS max_over, unnest(avg_over) AS avg_over, unnest(first_over) AS first_over,
               unnest(last_over) AS last_over, unnest(anon_last) AS anon_last, unnest(swap_max) AS swap_max,
               unnest(cpu_ms) AS cpu_ms, unnest(majflt) AS majflt, unnest(gc2) AS gc2,
               unnest(gc_collected) AS gc_collected, unnest(gc_uncollectable) AS gc_uncollectable,
               unnest(rss_slope_kib_h) AS rss_slope_kib_h
          FROM rollup_window) AS w
UNION ALL
SELECT t0, host_id, proc_id, part, n, rss_min, rss_max, rss_avg, rss_first, rss_last, anon_last, swap_max, cpu_ms,
       majflt, gc2, gc_collected, gc_uncollectable, rss_slope_kib_h
  FROM rollup_1h;

-- As in 0004_reading. Counters are what they rose by in the window.
CREATE OR REPLACE VIEW rollup_hours AS
SELECT r.t0 AS t, r.host_id, h.name AS host, r.proc_id AS process, p.service, p.comm, p.pid, r.n AS samples,
       r.rss_min * 1024 AS rss_min_bytes, r.rss_max * 1024 AS rss_max_bytes, r.rss_avg * 1024 AS rss_avg_bytes,
       r.rss_first * 1024 AS rss_first_bytes, r.rss_last * 1024 AS rss_last_bytes,
       r.anon_last * 1024 AS anon_last_bytes, r.swap_max * 1024 AS swap_max_bytes,
       r.cpu_ms / 1e3::float8 AS cpu_seconds, r.majflt, r.gc2, r.gc_collected, r.gc_uncollectable,
       r.rss_slope_kib_h * 1024 AS rss_slope_bytes_per_hour
  FROM rollups AS r JOIN host AS h USING (host_id) LEFT JOIN process AS p USING (host_id, proc_id);

INSERT INTO readable VALUES ('rollup_window'), ('rollups');
