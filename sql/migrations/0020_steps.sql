-- SPDX-License-Identifier: Apache-2.0
-- A series in steps is made without a row, and without a time, of each sample: the figures of a step are
-- gathered while a chunk is decoded, and a run of equal values is one number however long it is. Times are
-- whole microseconds until a step is shown (docs/adr/0033).

-- ---- what is stored of an object ----

-- Its chunks in the windows that begin at 'starts', and of what chunks have gone the held ones: for a moment
-- a chunk is in both, and is told once. One plan is kept for all values (0019_reading says why).
CREATE FUNCTION mh_stored(kind int, host int4, obj int8, starts timestamptz[], hi timestamptz)
RETURNS TABLE (t0 timestamptz, n int2, d bytea)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 48
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    IF kind = 0 THEN
        RETURN QUERY
        SELECT u.t0, u.n, u.d
          FROM (SELECT c.t0, c.part, c.n, c.d FROM chunk AS c
                 WHERE c.t0 = ANY (starts) AND c.t0 >= starts[1] AND c.t0 < hi
                   AND c.host_id = host AND c.proc_id = obj
                UNION
                SELECT c.t0, c.part, c.n, c.d FROM chunk_held AS c
                 WHERE c.t0 = ANY (starts) AND c.t0 >= starts[1] AND c.t0 < hi
                   AND c.host_id = host AND c.proc_id = obj) AS u;
    ELSE
        RETURN QUERY
        SELECT u.t0, u.n, u.d
          FROM (SELECT c.t0, c.part, c.n, c.d FROM host_chunk AS c
                 WHERE c.t0 = ANY (starts) AND c.t0 >= starts[1] AND c.t0 < hi
                   AND c.host_id = host AND c.kind = mh_stored.kind AND c.obj_id = obj
                UNION
                SELECT c.t0, c.part, c.n, c.d FROM host_chunk_held AS c
                 WHERE c.t0 = ANY (starts) AND c.t0 >= starts[1] AND c.t0 < hi
                   AND c.host_id = host AND c.kind = mh_stored.kind AND c.obj_id = obj) AS u;
    END IF;
END $$;

-- ---- decoding ----

-- As in 0008_decoding; lengths of runs are read in place.
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
                m := m & 127;
                s := 7;
                LOOP
                    b := get_byte(d, at);
                    at := at + 1;
                    m := m | ((b & 127) << s);
                    EXIT WHEN b < 128;
                    s := s + 7;
                END LOOP;
            END IF;
            IF m < 16 THEN
                FOR x IN i .. i + m LOOP
                    cur := cur + step;
                    r[x] := cur;
                END LOOP;
            ELSIF step > 0 THEN
                r := r || ARRAY(SELECT generate_series(cur + step, cur + step * (m + 1), step));
                cur := cur + step * (m + 1);
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

-- As in 0004_reading; the sum of a sample is made in one statement over all of them.
CREATE OR REPLACE FUNCTION mh_values(kind int, d bytea, k int, n int) RETURNS int8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    r int8[] := mh_col(d, k, n);
    terms int[] := mh_terms(kind, k);
    a int8[];
    b int8[];
    c int8[];
BEGIN
    IF terms = '{}' OR (r[1] IS NULL AND array_remove(r, NULL) = '{}') THEN
        RETURN r;
    END IF;
    -- Where a term is absent there was no prediction. The first is never subtracted, the others are as one.
    a := mh_values(kind, d, terms[1] - 1, n);
    IF terms[2] IS NULL THEN
        RETURN ARRAY(SELECT s.r + coalesce(s.a, 0)
                       FROM (SELECT unnest(r) AS r, unnest(a) AS a OFFSET 0) AS s);
    END IF;
    b := mh_values(kind, d, abs(terms[2]) - 1, n);
    IF terms[3] IS NULL THEN
        c := array_fill(0::int8, ARRAY[n]);
    ELSE
        c := mh_values(kind, d, abs(terms[3]) - 1, n);
    END IF;
    IF terms[2] < 0 THEN
        RETURN ARRAY(SELECT s.r + coalesce(s.a - s.b - s.c, 0)
                       FROM (SELECT unnest(r) AS r, unnest(a) AS a, unnest(b) AS b, unnest(c) AS c OFFSET 0) AS s);
    END IF;
    RETURN ARRAY(SELECT s.r + coalesce(s.a + s.b + s.c, 0)
                   FROM (SELECT unnest(r) AS r, unnest(a) AS a, unnest(b) AS b, unnest(c) AS c OFFSET 0) AS s);
END $$;

-- The samples of metric k of a chunk in steps of 'wide' from 0: of each step that has samples in [lo, hi) the
-- time of its last one, how many they are, their sum (of a counter: the last), lowest and highest. A step may
-- be told in several rows. All times in us; the chunk's window begins at 'base'.
CREATE FUNCTION mh_steps(kind int, d bytea, k int, n int, counter bool, base int8, lo int8, hi int8, wide int8)
RETURNS TABLE (step int8, at int8, samples int4, total int8, low int8, high int8)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 8 AS $$
DECLARE
    pos int := 1;                       -- in the column
    stop int;
    tpos int;                           -- in the times
    tstop int;
    w int8;                             -- a varint
    b int;                              -- a byte
    s int;
    first int8;                         -- sample i is at first + i * gap, while i < same
    gap int8;
    same int := 1;
    gcd int8;
    most int8;                          -- what a difference may be, in gcds
    cur int8 := 0;
    zeros int := 1;                     -- samples from i on that are 'cur'
    run int;
    i int := 0;
    start int := 0;                     -- of this row
    upto int;
    sum int8;
BEGIN
    IF get_byte(d, 0) <> 1 THEN
        RAISE EXCEPTION 'chunk format % is not known', get_byte(d, 0);
    END IF;
    -- n, first time, gap, length of the times; the number of columns and each one's length; of ours what it
    -- begins with
    FOR x IN -4 .. k + 3 LOOP
        w := get_byte(d, pos);
        pos := pos + 1;
        IF w > 127 THEN
            w := w & 127;
            s := 7;
            LOOP
                b := get_byte(d, pos);
                pos := pos + 1;
                w := w | ((b & 127)::int8 << s);
                EXIT WHEN b < 128;
                s := s + 7;
            END LOOP;
        END IF;
        IF x > k THEN
            IF x = k + 1 THEN
                IF w = 0 THEN
                    RETURN;             -- absent
                END IF;
                stop := pos + w::int;
            ELSIF x = k + 2 THEN
                gcd := w;
                EXIT WHEN pos = stop OR gcd & 1 = 1;
            ELSE
                cur := (w >> 1) # -(w & 1);
            END IF;
        ELSIF x > 0 THEN
            pos := pos + w::int;
        ELSIF x = 0 THEN
            IF k >= w THEN
                RETURN;                 -- a metric that the chunk is older than
            END IF;
        ELSIF x = -4 THEN
            IF w <> n THEN
                RAISE EXCEPTION 'chunk holds % samples, not %', w, n;
            END IF;
        ELSIF x = -3 THEN
            first := base + ((w >> 1) # -(w & 1)) * 1000;
        ELSIF x = -2 THEN
            gap := w * 1000;
        ELSE
            tpos := pos;
            pos := pos + w::int;
            tstop := pos;
        END IF;
    END LOOP;
    IF n = 1 THEN
        gap := 1;
    ELSIF tpos = tstop THEN
        same := n;
    END IF;
    IF gcd < 2 OR pos = stop THEN
        zeros := n;
    END IF;
    -- What is not one column without holes, with times that are nearly all one gap apart, with values whose
    -- sum is an int8 for sure (2^15 of 2^47: numbers of two bytes add 2^44 at most, longer ones are looked at)
    -- and with steps that hold some samples is done from arrays below.
    IF gcd & 1 = 0 AND gcd < 131072 AND abs(cur) < 70368744177664 AND gap > 0 AND wide >= 3 * gap
       AND tstop - tpos <= 4 + n / 2 AND mh_terms(kind, k) = '{}' THEN
        gcd := gcd >> 1;
        most := 70368744177664 / greatest(gcd, 1);
        <<told>>
        WHILE i < n LOOP
            IF i = same THEN            -- a sample that is elsewhere, or a run of those that are not
                w := get_byte(d, tpos);
                tpos := tpos + 1;
                IF w > 0 THEN
                    b := w;
                    w := w & 127;
                    s := 7;
                    WHILE b > 127 LOOP
                        b := get_byte(d, tpos);
                        tpos := tpos + 1;
                        w := w | ((b & 127)::int8 << s);
                        s := s + 7;
                    END LOOP;
                    first := first + ((w >> 1) # -(w & 1)) * 1000;
                    same := same + 1;
                    IF tpos < tstop AND get_byte(d, tpos) = 0 THEN
                        w := 0;
                        tpos := tpos + 1;
                    END IF;
                END IF;
                IF w = 0 THEN
                    run := get_byte(d, tpos);
                    tpos := tpos + 1;
                    IF run > 127 THEN
                        run := run & 127;
                        s := 7;
                        LOOP
                            b := get_byte(d, tpos);
                            tpos := tpos + 1;
                            run := run | ((b & 127) << s);
                            EXIT WHEN b < 128;
                            s := s + 7;
                        END LOOP;
                    END IF;
                    same := same + run + 1;
                END IF;
            END IF;
            start := i;
            at := first + i * gap;
            IF at < lo THEN             -- until then nothing is told
                upto := least((lo - first + gap - 1) / gap, same);
            ELSE
                EXIT WHEN at >= hi;
                step := at / wide;
                upto := least((least((step + 1) * wide, hi) - first + gap - 1) / gap, same);
            END IF;
            IF zeros > 0 THEN
                run := least(zeros, upto - i);
                zeros := zeros - run;
                sum := cur * run;
                low := cur;
                high := cur;
                i := i + run;
            ELSE
                sum := 0;
                low := 9223372036854775807;
                high := -9223372036854775807;
            END IF;
            WHILE i < upto LOOP         -- a FOR counts for nothing, in a WHILE it would be two statements a sample
                FOR x IN i .. upto - 1 LOOP
                    w := get_byte(d, pos);
                    pos := pos + 1;
                    IF w > 127 THEN
                        w := (w & 127) | (get_byte(d, pos) << 7);
                        pos := pos + 1;
                        IF w > 16383 THEN
                            w := w & 16383;
                            s := 14;
                            LOOP
                                b := get_byte(d, pos);
                                pos := pos + 1;
                                w := w | ((b & 127)::int8 << s);
                                EXIT WHEN b < 128;
                                s := s + 7;
                            END LOOP;
                            EXIT told WHEN w < 0 OR w >> 1 > most - abs(cur) / gcd;
                        END IF;
                    ELSIF w = 0 THEN
                        zeros := get_byte(d, pos);
                        pos := pos + 1;
                        IF zeros > 0 THEN
                            IF zeros > 127 THEN
                                zeros := zeros & 127;
                                s := 7;
                                LOOP
                                    b := get_byte(d, pos);
                                    pos := pos + 1;
                                    zeros := zeros | ((b & 127) << s);
                                    EXIT WHEN b < 128;
                                    s := s + 7;
                                END LOOP;
                            END IF;
                            zeros := zeros + 1;
                            i := x;
                            EXIT;
                        END IF;
                    END IF;
                    cur := cur + ((w >> 1) # -(w & 1)) * gcd;
                    sum := sum + cur;
                    IF cur > high THEN high := cur; END IF;
                    IF cur < low THEN low := cur; END IF;
                END LOOP;
                EXIT WHEN zeros = 0;
                run := least(zeros, upto - i);
                zeros := zeros - run;
                sum := sum + cur * run;
                IF cur > high THEN high := cur; END IF;
                IF cur < low THEN low := cur; END IF;
                i := i + run;
            END LOOP;
            i := upto;
            IF at >= lo THEN
                at := first + (i - 1) * gap;
                samples := i - start;
                total := CASE WHEN counter THEN cur ELSE sum END;
                RETURN NEXT;
            END IF;
            start := i;
        END LOOP;
        IF pos > stop OR tpos > tstop THEN
            RAISE EXCEPTION 'chunk of % samples is damaged', n USING ERRCODE = 'data_corrupted';
        END IF;
        IF i = n OR at >= hi THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY
    SELECT u.t / wide, u.t, 1, u.v, u.v, u.v
      FROM (SELECT base + 1000 * unnest(mh_col(d, -1, n)) AS t, unnest(mh_values(kind, d, k, n)) AS v,
                   generate_series(1, n) AS i
            OFFSET 0) AS u
     WHERE u.v IS NOT NULL AND u.t >= lo AND u.t < hi AND u.i > start;
END $$;

-- ---- series ----

-- The stored samples of one object. OFFSET 0: what is worked out is worked out once.
CREATE OR REPLACE FUNCTION mh_points(kind int, host int4, obj int8, k int, lo timestamptz, hi timestamptz)
RETURNS TABLE (t timestamptz, v int8)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1000 AS $$
BEGIN
    RETURN QUERY
    SELECT p.t, p.v
      FROM (SELECT to_timestamp(c.s + unnest(mh_col(c.d, -1, c.n)) * 0.001::float8) AS t,
                   unnest(mh_values(kind, c.d, k, c.n)) AS v
              FROM (SELECT date_part('epoch', h.t0) AS s, h.n, h.d
                      FROM mh_stored(kind, host, obj, mh_grid(lo, hi), hi) AS h OFFSET 0) AS c
            OFFSET 0) AS p
     WHERE p.v IS NOT NULL AND p.t >= lo AND p.t < hi;
END $$;

-- As in 0004_reading.
CREATE OR REPLACE FUNCTION mh_series(kind int, host int4, obj int8, metric text, lo timestamptz, hi timestamptz,
                                     step interval)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 AS $$
DECLARE
    m record;
    starts timestamptz[];
    origin timestamptz;                 -- of the step that lo is in: what is counted from
    wide int8;                          -- a step, us
BEGIN
    SELECT * INTO m FROM metric AS x WHERE x.kind = mh_series.kind AND x.name = mh_series.metric;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no metric ''%'' of a %', metric,
                        (ARRAY['process', 'host', 'cgroup', 'interpreter'])[kind + 1]
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM metric lists them.';
    END IF;
    IF lo IS NULL OR hi IS NULL THEN
        RAISE EXCEPTION 'a series needs a time to begin and one to end'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF step <= interval '0' OR extract(year FROM step) <> 0 OR extract(month FROM step) <> 0 THEN
        RAISE EXCEPTION 'step % must be positive, in days or less', step
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF host IS NULL OR obj IS NULL THEN
        RETURN;
    END IF;
    IF step IS NULL THEN
        RETURN QUERY
        SELECT p.t, p.v * m.factor, p.v * m.factor, p.v * m.factor
          FROM mh_points(kind, host, obj, m.number, lo, hi) AS p
         ORDER BY p.t;
        RETURN;
    END IF;
    origin := date_bin(step, lo, '1970-01-01Z');
    wide := extract(epoch FROM step) * 1000000;
    IF wide < 40000000 THEN             -- it holds few samples, so that there is little to gather
        RETURN QUERY
        SELECT date_bin(step, p.t, origin),
               (CASE WHEN m.counter THEN (array_agg(p.v ORDER BY p.t DESC, p.v DESC) FILTER (WHERE m.counter))[1]
                     ELSE avg(p.v) END)::float8 * m.factor,
               min(p.v) * m.factor, max(p.v) * m.factor
          FROM mh_points(kind, host, obj, m.number, lo, hi) AS p
         GROUP BY 1
         ORDER BY 1;
        RETURN;
    END IF;
    starts := mh_grid(lo, hi);
    RETURN QUERY
    SELECT origin + s.step * wide * interval '1 microsecond',
           (CASE WHEN m.counter THEN (max(ARRAY[s.at, s.total]) FILTER (WHERE m.counter))[2]
                 ELSE sum(s.total) / sum(s.samples) END)::float8 * m.factor,
           min(s.low) * m.factor, max(s.high) * m.factor
      FROM mh_stored(kind, host, obj, starts, hi) AS c,
           LATERAL mh_steps(kind, c.d, m.number, c.n, m.counter,
                            (extract(epoch FROM c.t0 - origin) * 1000000)::int8,
                            (extract(epoch FROM lo - origin) * 1000000)::int8,
                            (extract(epoch FROM hi - origin) * 1000000)::int8, wide) AS s
     GROUP BY s.step
     ORDER BY s.step;
END $$;

-- ---- samples ----

-- As in 0008_decoding; what unnest() returns in FROM is put aside before it is read, in SELECT it is not.
DO $$
DECLARE
    x record;
BEGIN
    FOR x IN SELECT * FROM (VALUES ('rss', 0, 'rss_kib'), ('pss', 1, 'pss_kib'), ('uss', 2, 'uss_kib'),
                                   ('anon', 3, 'anon_kib'), ('swap', 6, 'swap_kib'), ('threads', 8, 'threads'),
                                   ('majflt', 11, 'majflt'), ('cpu', 12, 'cpu_ms'), ('gc2', 15, 'gc2'))
                    AS v(name, k, col) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.proc_id, to_timestamp(s.s + s.ms * 0.001::float8) AS t, s.v AS %I
              FROM chunk AS c,
                   LATERAL (SELECT date_part(''epoch'', c.t0) AS s, unnest(mh_col(c.d, -1, c.n)) AS ms,
                                   unnest(%s) AS v) AS s
             WHERE s.v IS NOT NULL', x.name, x.col,
            format(CASE x.k WHEN 0 THEN 'mh_col(c.d, %s, c.n)' ELSE 'mh_values(0, c.d, %s, c.n)' END, x.k));
    END LOOP;
    FOR x IN SELECT * FROM (VALUES ('host_available', 1, 1, 'available_kib'),
                                   ('host_swap_free', 1, 11, 'swap_free_kib'),
                                   ('host_psi_some', 1, 21, 'psi_some_ms'),
                                   ('cgroup_working_set', 2, 1, 'working_set_kib'),
                                   ('cgroup_limit', 2, 7, 'limit_kib'))
                    AS v(name, kind, k, col) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.obj_id, to_timestamp(s.s + s.ms * 0.001::float8) AS t, s.v AS %I
              FROM host_chunk AS c,
                   LATERAL (SELECT date_part(''epoch'', c.t0) AS s, unnest(mh_col(c.d, -1, c.n)) AS ms,
                                   unnest(mh_values(%s, c.d, %s, c.n)) AS v) AS s
             WHERE c.kind = %s AND s.v IS NOT NULL', x.name, x.col, x.kind, x.k, x.kind);
    END LOOP;
END $$;
