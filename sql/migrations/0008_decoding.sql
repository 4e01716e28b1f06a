-- SPDX-License-Identifier: Apache-2.0
-- Chunks are decoded in SQL in half of the time.

-- As in 0004_reading: the values of a column, NULL where absent; k -1 = the samples' times. One pass over
-- the bytes; a run, and times that are all one step apart, are made at once.
CREATE OR REPLACE FUNCTION mh_col(d bytea, k int, n int) RETURNS int8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    r int8[] := '{}';
    at int := 1;
    stop int;
    len int;
    w int8;                             -- a varint
    b int;                              -- a byte
    s int;
    cur int8 := 0;
    step int8 := 0;
    gcd int8 := 1;
    runs int8[];                        -- present, absent, present ..; NULL = all present
    told int := 0;
    i int := 1;                         -- of the next value
    m int;
BEGIN
    IF get_byte(d, 0) <> 1 THEN
        RAISE EXCEPTION 'chunk format % is not known', get_byte(d, 0);
    END IF;
    -- n, first time, step, length of the times; then the number of columns and each one's length
    FOR x IN -4 .. k + 1 LOOP
        w := get_byte(d, at);
        at := at + 1;
        IF w > 127 THEN
            w := w & 127;
            s := 7;
            LOOP
                b := get_byte(d, at);
                at := at + 1;
                w := w | ((b & 127)::int8 << s);
                EXIT WHEN b < 128;
                s := s + 7;
            END LOOP;
        END IF;
        IF x > 0 THEN
            EXIT WHEN x = k + 1;
            at := at + w::int;
        ELSIF x = 0 THEN
            IF k >= w THEN
                RETURN array_fill(NULL::int8, ARRAY[n]);
            END IF;
        ELSIF x = -4 THEN
            IF w <> n THEN
                RAISE EXCEPTION 'chunk holds % samples, not %', w, n;
            END IF;
        ELSIF x = -3 THEN
            cur := (w >> 1) # -(w & 1);
        ELSIF x = -2 THEN
            step := w;
        ELSE
            EXIT WHEN k < 0;
            at := at + w::int;
        END IF;
    END LOOP;
    len := w::int;
    stop := at + len;
    IF k < 0 THEN
        r[1] := cur;
        i := 2;
        -- Nearly always: each is 'step' after the one before.
        IF len > 0 AND len < 4 AND get_byte(d, at) = 0 THEN
            m := get_byte(d, at + 1);
            IF m > 127 THEN
                m := (m & 127) | (get_byte(d, at + 2) << 7);
            END IF;
            IF m = n - 2 THEN
                stop := at;
            END IF;
        END IF;
        IF stop = at AND step > 0 THEN
            RETURN ARRAY(SELECT generate_series(cur, cur + step * (n - 1), step));
        ELSIF stop = at THEN
            RETURN array_fill(cur, ARRAY[n]);
        END IF;
    ELSE
        step := 0;
        IF len = 0 THEN
            RETURN array_fill(NULL::int8, ARRAY[n]);
        END IF;
        gcd := get_byte(d, at);
        at := at + 1;
        IF gcd > 127 THEN
            SELECT v[1], next INTO gcd, at FROM mh_varints(d, at - 1, stop, 1);
        END IF;
        IF gcd & 1 = 1 THEN
            runs := '{}';
            WHILE told < n LOOP
                SELECT runs || v, next INTO runs, at FROM mh_varints(d, at, stop, 1);
                told := told + runs[cardinality(runs)];
            END LOOP;
            told := 0;
            FOR x IN 1 .. cardinality(runs) BY 2 LOOP
                told := told + runs[x];
            END LOOP;
            n := told;                  -- those that are present; they are spread at the end
        END IF;
        gcd := gcd >> 1;
        cur := 0;
        IF at < stop AND n > 0 THEN
            w := 0;
            s := 0;
            LOOP
                b := get_byte(d, at);
                at := at + 1;
                w := w | ((b & 127)::int8 << s);
                EXIT WHEN b < 128;
                s := s + 7;
            END LOOP;
            cur := (w >> 1) # -(w & 1);
        END IF;
        IF gcd = 0 OR at = stop THEN
            r := array_fill(cur, ARRAY[n]);
            i := n + 1;
        ELSE
            r[1] := cur;
            i := 2;
        END IF;
    END IF;
    WHILE at < stop LOOP
        w := get_byte(d, at);
        at := at + 1;
        IF w > 127 THEN
            b := get_byte(d, at);
            at := at + 1;
            w := (w & 127) | ((b & 127)::int8 << 7);
            s := 14;
            WHILE b > 127 LOOP
                b := get_byte(d, at);
                at := at + 1;
                w := w | ((b & 127)::int8 << s);
                s := s + 7;
            END LOOP;
        ELSIF w = 0 THEN
            m := get_byte(d, at);
            at := at + 1;
            IF m > 127 THEN
                SELECT v[1], next INTO m, at FROM mh_varints(d, at - 1, stop, 1);
            END IF;
            IF step > 0 THEN
                FOR x IN i .. i + m LOOP
                    cur := cur + step;
                    r[x] := cur;
                END LOOP;
            ELSIF m < 16 THEN
                FOR x IN i .. i + m LOOP
                    r[x] := cur;
                END LOOP;
            ELSE
                r := r || array_fill(cur, ARRAY[m + 1]);
            END IF;
            i := i + m + 1;
            CONTINUE;
        END IF;
        cur := cur + ((w >> 1) # -(w & 1)) * gcd + step;
        r[i] := cur;
        i := i + 1;
    END LOOP;
    IF runs IS NULL THEN
        RETURN r;
    END IF;
    -- Each to its place: p of them come before run x.
    RETURN (SELECT array_agg(CASE WHEN x & 1 = 1 THEN r[p + y] END ORDER BY x, y)
              FROM (SELECT x, runs[x] AS run,
                           coalesce(sum(runs[x]) FILTER (WHERE x & 1 = 1) OVER before, 0)::int AS p
                      FROM generate_subscripts(runs, 1) AS x
                    WINDOW before AS (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS q,
                   generate_series(1, q.run) AS y);
END $$;

-- A time is made from seconds: 'ms * interval' takes longer than all else of a sample. A double has a
-- quarter of a microsecond at 2^31 s, so that whole milliseconds come out exact.
CREATE OR REPLACE VIEW sample_rss AS
SELECT c.t0, c.host_id, c.proc_id, to_timestamp(e.s + s.ms * 0.001::float8) AS t, s.rss AS rss_kib
  FROM chunk AS c, LATERAL (SELECT date_part('epoch', c.t0) AS s OFFSET 0) AS e,
       LATERAL unnest(mh_col(c.d, -1, c.n), mh_col(c.d, 0, c.n)) AS s(ms, rss)
 WHERE s.rss IS NOT NULL;
DO $$
DECLARE
    x record;
BEGIN
    FOR x IN SELECT * FROM (VALUES ('pss', 1, 'pss_kib'), ('uss', 2, 'uss_kib'), ('anon', 3, 'anon_kib'),
                                   ('swap', 6, 'swap_kib'), ('threads', 8, 'threads'),
                                   ('majflt', 11, 'majflt'), ('cpu', 12, 'cpu_ms'), ('gc2', 15, 'gc2'))
                    AS v(name, k, col) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.proc_id, to_timestamp(e.s + s.ms * 0.001::float8) AS t, s.v AS %I
              FROM chunk AS c, LATERAL (SELECT date_part(''epoch'', c.t0) AS s OFFSET 0) AS e,
                   LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(0, c.d, %s, c.n)) AS s(ms, v)
             WHERE s.v IS NOT NULL', x.name, x.col, x.k);
    END LOOP;
    FOR x IN SELECT * FROM (VALUES ('host_available', 1, 1, 'available_kib'),
                                   ('host_swap_free', 1, 11, 'swap_free_kib'),
                                   ('host_psi_some', 1, 21, 'psi_some_ms'),
                                   ('cgroup_working_set', 2, 1, 'working_set_kib'),
                                   ('cgroup_limit', 2, 7, 'limit_kib'))
                    AS v(name, kind, k, col) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.obj_id, to_timestamp(e.s + s.ms * 0.001::float8) AS t, s.v AS %I
              FROM host_chunk AS c, LATERAL (SELECT date_part(''epoch'', c.t0) AS s OFFSET 0) AS e,
                   LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(%s, c.d, %s, c.n)) AS s(ms, v)
             WHERE c.kind = %s AND s.v IS NOT NULL', x.name, x.col, x.kind, x.k, x.kind);
    END LOOP;
END $$;

-- The stored samples of one object: chunks, and of what chunks have gone the held ones. UNION, for
-- a moment a chunk is in both.
CREATE OR REPLACE FUNCTION mh_points(kind int, host int4, obj int8, k int, lo timestamptz, hi timestamptz)
RETURNS TABLE (t timestamptz, v int8)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1000 AS $$
DECLARE
    grid timestamptz[] := mh_grid(lo, hi);
BEGIN
    -- OFFSET 0: the time is worked out once a sample.
    IF kind = 0 THEN
        RETURN QUERY
        SELECT p.t, p.v
          FROM (SELECT to_timestamp(c.s + s.ms * 0.001::float8) AS t, s.v
                  FROM (SELECT date_part('epoch', h.t0) AS s, h.part, h.n, h.d FROM chunk AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.proc_id = obj
                        UNION
                        SELECT date_part('epoch', h.t0) AS s, h.part, h.n, h.d FROM chunk_held AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.proc_id = obj) AS c,
                       LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(0, c.d, k, c.n)) AS s(ms, v)
                 WHERE s.v IS NOT NULL
                OFFSET 0) AS p
         WHERE p.t >= lo AND p.t < hi;
    ELSE
        RETURN QUERY
        SELECT p.t, p.v
          FROM (SELECT to_timestamp(c.s + s.ms * 0.001::float8) AS t, s.v
                  FROM (SELECT date_part('epoch', h.t0) AS s, h.part, h.n, h.d FROM host_chunk AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.kind = mh_points.kind AND h.obj_id = obj
                        UNION
                        SELECT date_part('epoch', h.t0) AS s, h.part, h.n, h.d FROM host_chunk_held AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.kind = mh_points.kind AND h.obj_id = obj) AS c,
                       LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(mh_points.kind, c.d, k, c.n))
                           AS s(ms, v)
                 WHERE s.v IS NOT NULL
                OFFSET 0) AS p
         WHERE p.t >= lo AND p.t < hi;
    END IF;
END $$;
