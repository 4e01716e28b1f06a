-- SPDX-License-Identifier: Apache-2.0
-- For people with psql or Grafana: series() and views with names and units, a role that may only read
-- (docs/SQL.md). Days of figures made from hours, and evidence that outlives its chunks.

-- ---- metrics ----

-- proto/metric.h in SQL: filled by the collector at its start, so that there is one list.
CREATE TABLE metric (
    kind   int2 NOT NULL,               -- 0 process, 1 host, 2 cgroup
    number int2 NOT NULL,               -- column of a chunk
    name   text NOT NULL,
    counter bool NOT NULL,              -- it only rises, while its object lives
    unit   text NOT NULL,               -- bytes, seconds, ratio, count: as REST tells it
    factor float8 NOT NULL,             -- stored value * factor is in that unit
    help   text NOT NULL,
    PRIMARY KEY (kind, number),
    UNIQUE (kind, name)
);

-- ---- days ----

-- As rollup_1h, a row a process and day (UTC); rss_slope_kib_h over the day's hours. Only of processes
-- that were there in two windows of the day or more: what is shorter lives stays in the hours. Who it was
-- stands here, for days outlive the rows of processes.
CREATE TABLE rollup_1d (
    t0               timestamptz NOT NULL,
    host_id          int4 NOT NULL,
    proc_id          int8 NOT NULL,
    pid              int4,
    comm             text NOT NULL,
    service          text NOT NULL,
    n                int4 NOT NULL,
    rss_min          int8,
    rss_max          int8,
    rss_avg          int8,
    rss_first        int8,
    rss_last         int8,
    anon_last        int8,
    swap_max         int8,
    cpu_ms           int8,
    majflt           int8,
    gc2              int8,
    gc_collected     int8,
    gc_uncollectable int8,
    rss_slope_kib_h  float8,
    PRIMARY KEY (t0, host_id, proc_id)
) PARTITION BY RANGE (t0);

-- Which days are made, and of how many seals: late data seals again, so that its day is made again.
CREATE TABLE rollup_day (
    t0    timestamptz NOT NULL,
    shard int4 NOT NULL,                -- host_id / 256
    seals int8 NOT NULL,
    made  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (t0, shard)
);

-- ---- evidence ----

-- Chunks around an alert or a kill, copied before retention drops their leaf (docs/adr/0016).
CREATE TABLE chunk_held (
    t0      timestamptz NOT NULL,
    host_id int4 NOT NULL,
    proc_id int8 NOT NULL,
    part    int2 NOT NULL DEFAULT 0,
    n       int2 NOT NULL,
    codec   int2 NOT NULL,
    d       bytea NOT NULL,
    PRIMARY KEY (t0, host_id, proc_id, part)
) PARTITION BY RANGE (t0);

CREATE TABLE host_chunk_held (
    t0      timestamptz NOT NULL,
    host_id int4 NOT NULL,
    kind    int2 NOT NULL,
    obj_id  int8 NOT NULL DEFAULT 0,
    part    int2 NOT NULL DEFAULT 0,
    n       int2 NOT NULL,
    codec   int2 NOT NULL,
    d       bytea NOT NULL,
    PRIMARY KEY (t0, host_id, kind, obj_id, part)
) PARTITION BY RANGE (t0);

-- Made apart and then attached: CREATE TABLE .. PARTITION OF would lock the parent against everybody, so
-- it would wait for each reader, and every insert behind it.
CREATE OR REPLACE FUNCTION mh_make_leaf(parent text, lo timestamptz, hi timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    leaf text := parent || '_p' || to_char(lo AT TIME ZONE 'UTC',
                 CASE WHEN hi - lo <= interval '1 hour' THEN 'YYYYMMDD_HH24' ELSE 'YYYYMMDD' END);
BEGIN
    IF to_regclass(quote_ident(leaf)) IS NOT NULL THEN
        RETURN leaf;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, leaf, lo, hi);
    IF parent IN ('inbox', 'chunk', 'host_chunk', 'chunk_held', 'host_chunk_held') THEN
        EXECUTE format('ALTER TABLE %I ALTER d SET STORAGE EXTERNAL', leaf);
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 8160)', leaf);
    END IF;
    RETURN leaf;
END $$;

-- ---- decoding ----

-- The varints of bytes at .. stop - 1 of d, at most 'most' of them, and the byte after. In place: a call
-- of mh_varint() for each would cost ten times as much.
CREATE FUNCTION mh_varints(d bytea, at int, stop int, most int, OUT v int8[], OUT next int)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    b int;
    w int8;
    s int;
BEGIN
    v := '{}';
    next := at;
    WHILE next < stop AND most > 0 LOOP
        b := get_byte(d, next);
        next := next + 1;
        w := b & 127;
        s := 7;
        WHILE b > 127 LOOP
            b := get_byte(d, next);
            next := next + 1;
            w := w | ((b & 127)::int8 << s);
            s := s + 7;
        END LOOP;
        v := v || w;
        most := most - 1;
    END LOOP;
END $$;

-- What a column of a chunk holds, NULL where absent; k -1 = the samples' times, ms after the window's
-- start. Predicted columns (chunk.h) are what they differ from their prediction by: mh_values() adds that.
CREATE OR REPLACE FUNCTION mh_col(d bytea, k int, n int) RETURNS int8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    r int8[] := array_fill(NULL::int8, ARRAY[n]);
    runs int8[] := ARRAY[n];            -- present, absent, present ..
    head int8[];                        -- n, first time, step, length of the times
    tok int8[];                         -- the column
    at int;
    len int8;
    j int := 1;                         -- of tok
    i int := 1;                         -- of r
    cur int8 := 0;
    step int8 := 0;
    gcd int8 := 1;
    zeros int8 := 0;
    told int8 := 0;
    first bool := true;
BEGIN
    IF get_byte(d, 0) <> 1 THEN
        RAISE EXCEPTION 'chunk format % is not known', get_byte(d, 0);
    END IF;
    SELECT v, next INTO head, at FROM mh_varints(d, 1, length(d), 4);
    IF head[1] <> n THEN
        RAISE EXCEPTION 'chunk holds % samples, not %', head[1], n;
    END IF;
    len := head[4];
    IF k < 0 THEN
        cur := (head[2] >> 1) # -(head[2] & 1);
        step := head[3];
        r[1] := cur;
        i := 2;
        first := false;
        runs[1] := n - 1;
    ELSE
        at := at + len::int;
        FOR m IN -1 .. k LOOP           -- the number of columns, then each one's length
            len := get_byte(d, at);
            at := at + 1;
            IF len > 127 THEN
                SELECT v[1], next INTO len, at FROM mh_varints(d, at - 1, length(d), 1);
            END IF;
            IF m < 0 AND k >= len THEN
                RETURN r;
            ELSIF m BETWEEN 0 AND k - 1 THEN
                at := at + len::int;
            END IF;
        END LOOP;
        IF len = 0 THEN
            RETURN r;
        END IF;
    END IF;
    tok := (SELECT v FROM mh_varints(d, at, at + len::int, 2147483647));
    IF k >= 0 THEN
        gcd := tok[1] >> 1;
        j := 2;
        IF tok[1] & 1 = 1 THEN
            runs := '{}';
            WHILE told < n LOOP
                runs := runs || tok[j];
                told := told + tok[j];
                j := j + 1;
            END LOOP;
        END IF;
    END IF;
    -- Values that the column ends before: all the same as the last, or 0 where it has none.
    FOR x IN 1 .. cardinality(runs) LOOP
        IF x & 1 = 1 THEN
            FOR m IN i .. i + runs[x]::int - 1 LOOP
                IF zeros > 0 THEN
                    zeros := zeros - 1;
                ELSIF j <= cardinality(tok) AND (gcd > 0 OR first) THEN
                    told := (tok[j] >> 1) # -(tok[j] & 1);
                    j := j + 1;
                    IF first THEN
                        cur := told;
                    ELSIF told = 0 THEN
                        zeros := tok[j];
                        j := j + 1;
                    ELSE
                        cur := cur + told * gcd;
                    END IF;
                END IF;
                first := false;
                cur := cur + step;
                r[m] := cur;
            END LOOP;
        END IF;
        i := i + runs[x]::int;
    END LOOP;
    RETURN r;
END $$;

-- What a metric is predicted from (chunk.c): number + 1 of each, negative where it is subtracted.
CREATE FUNCTION mh_terms(kind int, k int) RETURNS int[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE kind WHEN 0 THEN CASE k WHEN 3 THEN '{1,-5,-6}'   -- anon = rss - file - shmem
                                        WHEN 2 THEN '{4}'         -- uss = anon
                                        WHEN 1 THEN '{3}'         -- pss = uss
                                        ELSE '{}' END
                     WHEN 1 THEN CASE k WHEN 1 THEN '{3,5}'       -- available = free + cached
                                        ELSE '{}' END
                     WHEN 2 THEN CASE k WHEN 0 THEN '{3,4,6}'     -- usage = anon + file + kernel
                                        WHEN 1 THEN '{1}'         -- working_set = usage
                                        ELSE '{}' END
                     ELSE '{}' END::int[]
$$;

-- The values of metric k of a chunk, as C decodes them; kind as in table metric.
CREATE FUNCTION mh_values(kind int, d bytea, k int, n int) RETURNS int8[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    r int8[] := mh_col(d, k, n);
    terms int[] := mh_terms(kind, k);
    sum int8[];
    other int8[];
    term int;
BEGIN
    IF cardinality(terms) = 0 OR array_remove(r, NULL) = '{}' THEN
        RETURN r;
    END IF;
    sum := array_fill(0::int8, ARRAY[n]);
    FOREACH term IN ARRAY terms LOOP
        other := mh_values(kind, d, abs(term) - 1, n);
        FOR i IN 1 .. n LOOP
            sum[i] := sum[i] + sign(term)::int * other[i];
        END LOOP;
    END LOOP;
    -- Where a term is absent there was no prediction.
    FOR i IN 1 .. n LOOP
        r[i] := r[i] + coalesce(sum[i], 0);
    END LOOP;
    RETURN r;
END $$;

-- ---- series ----

-- Span of a stored window; of an empty database, the usual one.
CREATE FUNCTION mh_window() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT make_interval(secs => coalesce((SELECT value::float8 / 1e6 FROM meta WHERE key = 'window_us'),
                                          1800))
$$;

-- Starts of the windows that [lo, hi) touches: t0 = ANY (mh_grid(lo, hi)) lets the key
-- (t0, host_id, ...) be used; a range of t0 alone would read every host's chunks.
CREATE FUNCTION mh_grid(lo timestamptz, hi timestamptz) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    w interval := mh_window();
    a timestamptz;
BEGIN
    IF NOT isfinite(lo) OR NOT isfinite(hi) OR (hi - lo) > 65536 * w THEN
        RAISE EXCEPTION 'from % to % is more than 65536 windows of %', lo, hi, w
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Ask for less, or use rollup_days.';
    END IF;
    a := date_bin(w, lo, '1970-01-01Z');
    RETURN ARRAY(SELECT g FROM generate_series(a, hi, w) AS g WHERE g < hi);
END $$;

-- The stored samples of one object: chunks, and of what chunks have gone the held ones. UNION, for
-- a moment a chunk is in both.
CREATE FUNCTION mh_points(kind int, host int4, obj int8, k int, lo timestamptz, hi timestamptz)
RETURNS TABLE (t timestamptz, v int8)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1000 AS $$
DECLARE
    grid timestamptz[] := mh_grid(lo, hi);
BEGIN
    -- OFFSET 0: the time is worked out once a sample.
    IF kind = 0 THEN
        RETURN QUERY
        SELECT p.t, p.v
          FROM (SELECT c.t0 + s.ms * interval '1 millisecond' AS t, s.v
                  FROM (SELECT h.t0, h.part, h.n, h.d FROM chunk AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.proc_id = obj
                        UNION
                        SELECT h.t0, h.part, h.n, h.d FROM chunk_held AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.proc_id = obj) AS c,
                       LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(0, c.d, k, c.n)) AS s(ms, v)
                 WHERE s.v IS NOT NULL
                OFFSET 0) AS p
         WHERE p.t >= lo AND p.t < hi;
    ELSE
        RETURN QUERY
        SELECT p.t, p.v
          FROM (SELECT c.t0 + s.ms * interval '1 millisecond' AS t, s.v
                  FROM (SELECT h.t0, h.part, h.n, h.d FROM host_chunk AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.kind = mh_points.kind AND h.obj_id = obj
                        UNION
                        SELECT h.t0, h.part, h.n, h.d FROM host_chunk_held AS h
                         WHERE h.t0 = ANY (grid) AND h.t0 >= grid[1] AND h.t0 < hi
                           AND h.host_id = host AND h.kind = mh_points.kind AND h.obj_id = obj) AS c,
                       LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(mh_points.kind, c.d, k, c.n))
                           AS s(ms, v)
                 WHERE s.v IS NOT NULL
                OFFSET 0) AS p
         WHERE p.t >= lo AND p.t < hi;
    END IF;
END $$;

-- In REST's units. With a step, a row for each that has samples: a gauge's mean or a counter's last
-- value, and the lowest and highest.
CREATE FUNCTION mh_series(kind int, host int4, obj int8, metric text, lo timestamptz, hi timestamptz,
                          step interval)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 AS $$
DECLARE
    m record;
BEGIN
    SELECT * INTO m FROM metric AS x WHERE x.kind = mh_series.kind AND x.name = mh_series.metric;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no metric ''%'' of a %', metric, (ARRAY['process', 'host', 'cgroup'])[kind + 1]
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
    IF step IS NULL THEN
        RETURN QUERY
        SELECT p.t, p.v * m.factor, p.v * m.factor, p.v * m.factor
          FROM mh_points(kind, host, obj, m.number, lo, hi) AS p
         ORDER BY p.t;
    ELSE
        RETURN QUERY
        SELECT date_bin(step, p.t, '1970-01-01Z'),
               (CASE WHEN m.counter THEN (array_agg(p.v ORDER BY p.t DESC))[1] ELSE avg(p.v) END)::float8 * m.factor,
               min(p.v) * m.factor, max(p.v) * m.factor
          FROM mh_points(kind, host, obj, m.number, lo, hi) AS p
         GROUP BY 1
         ORDER BY 1;
    END IF;
END $$;

-- A host by its number or its name; of several of one name the newest.
CREATE FUNCTION mh_host(host text) RETURNS int4
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    id int4;
BEGIN
    SELECT h.host_id INTO id FROM host AS h
     WHERE h.name = mh_host.host OR h.host_id::text = mh_host.host
     ORDER BY h.host_id::text = mh_host.host DESC, h.host_id DESC
     LIMIT 1;
    IF id IS NULL THEN
        RAISE EXCEPTION 'there is no host ''%''', host
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT host FROM hosts lists them.';
    END IF;
    RETURN id;
END $$;

-- A metric of a process over time. Nothing of a process that is not known.
CREATE FUNCTION series(process int8, metric text, "from" timestamptz DEFAULT now() - interval '6 hours',
                       "to" timestamptz DEFAULT now(), step interval DEFAULT NULL)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 AS $$
    SELECT s.*
      FROM mh_series(0, (SELECT h.host_id FROM host AS h,
                                LATERAL (SELECT FROM process AS p
                                          WHERE p.host_id = h.host_id AND p.proc_id = $1) AS p
                          LIMIT 1), $1, $2, $3, $4, $5) AS s
$$;

-- The host's own metrics; host is a number or a name.
CREATE FUNCTION series_host(host text, metric text, "from" timestamptz DEFAULT now() - interval '6 hours',
                            "to" timestamptz DEFAULT now(), step interval DEFAULT NULL)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 AS $$
    SELECT s.* FROM mh_series(1, mh_host($1), 0, $2, $3, $4, $5) AS s
$$;

-- A memory cgroup's, by its path.
CREATE FUNCTION series_cgroup(host text, cgroup text, metric text,
                              "from" timestamptz DEFAULT now() - interval '6 hours',
                              "to" timestamptz DEFAULT now(), step interval DEFAULT NULL)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 AS $$
    SELECT s.*
      FROM cgroup AS g,
           LATERAL mh_series(2, g.host_id, g.cgroup_id, $3, $4, $5, $6) AS s
     WHERE g.host_id = mh_host($1) AND g.path = $2
     ORDER BY s.t
$$;

-- Every process that a service of a host had in that time, each its own line.
CREATE FUNCTION series_service(host text, service text, metric text,
                               "from" timestamptz DEFAULT now() - interval '6 hours',
                               "to" timestamptz DEFAULT now(), step interval DEFAULT NULL)
RETURNS TABLE (t timestamptz, process int8, pid int4, value float8, low float8, high float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000 AS $$
    SELECT s.t, p.proc_id, p.pid, s.value, s.low, s.high
      FROM process AS p,
           LATERAL mh_series(0, p.host_id, p.proc_id, $3, greatest($4, p.first_seen - mh_window()), $5, $6) AS s
     WHERE p.host_id = mh_host($1) AND p.service = $2 AND p.first_seen < $5
       AND (p.last_seen IS NULL OR p.last_seen >= $4)
     ORDER BY s.t, p.proc_id
$$;

-- ---- samples ----

-- sample_rss has its kin: one view a metric. Ask with t0 = ANY (mh_grid(from, to)) and host_id.
DO $$
DECLARE
    x record;
BEGIN
    FOR x IN SELECT * FROM (VALUES ('pss', 1, 'pss_kib'), ('uss', 2, 'uss_kib'), ('anon', 3, 'anon_kib'),
                                   ('swap', 6, 'swap_kib'), ('threads', 8, 'threads'),
                                   ('majflt', 11, 'majflt'), ('cpu', 12, 'cpu_ms'), ('gc2', 15, 'gc2'))
                    AS v(name, k, col) LOOP
        EXECUTE format('CREATE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.proc_id, c.t0 + s.ms * interval ''1 millisecond'' AS t, s.v AS %I
              FROM chunk AS c,
                   LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(0, c.d, %s, c.n)) AS s(ms, v)
             WHERE s.v IS NOT NULL', x.name, x.col, x.k);
    END LOOP;
    FOR x IN SELECT * FROM (VALUES ('host_available', 1, 1, 'available_kib'),
                                   ('host_swap_free', 1, 11, 'swap_free_kib'),
                                   ('host_psi_some', 1, 21, 'psi_some_ms'),
                                   ('cgroup_working_set', 2, 1, 'working_set_kib'),
                                   ('cgroup_limit', 2, 7, 'limit_kib'))
                    AS v(name, kind, k, col) LOOP
        EXECUTE format('CREATE VIEW sample_%s AS
            SELECT c.t0, c.host_id, c.obj_id, c.t0 + s.ms * interval ''1 millisecond'' AS t, s.v AS %I
              FROM host_chunk AS c,
                   LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(%s, c.d, %s, c.n)) AS s(ms, v)
             WHERE c.kind = %s AND s.v IS NOT NULL', x.name, x.col, x.kind, x.k, x.kind);
    END LOOP;
END $$;

-- ---- things ----

CREATE VIEW hosts AS
SELECT host_id, name AS host, uuid, created AS enrolled, last_seen, revoked
  FROM host;

CREATE VIEW processes AS
SELECT p.host_id, h.name AS host, p.proc_id AS process, p.pid, p.ppid, p.uid, p.comm, p.cmdline, p.exe,
       p.cgroup, p.service, p.container, p.role, nullif(p.slot, 0) AS slot, p.first_seen AS started,
       p.last_seen AS ended, p.cause AS end_cause, p.confidence AS end_confidence, p.exit_code, p.exit_signal,
       p.verdict AS end_verdict
  FROM process AS p JOIN host AS h USING (host_id);

CREATE VIEW cgroups AS
SELECT g.host_id, h.name AS host, g.cgroup_id, g.path AS cgroup, g.version, g.name, g.runtime, g.image,
       nullif(g.limited_by, '') AS limited_by, g.first_seen, g.last_seen AS gone
  FROM cgroup AS g JOIN host AS h USING (host_id);

CREATE VIEW events AS
SELECT e.ts AS t, e.host_id, h.name AS host, e.kind, e.proc_id AS process, e.doc
  FROM event AS e JOIN host AS h USING (host_id);

CREATE VIEW alerts AS
SELECT a.alert_id, a.rule, a.host_id, h.name AS host, a.subject, a.proc_id AS process, a.service, a.level,
       a.state, a.opened, a.resolved, a.acked, a.acked_by, a.first_value, a.peak_value, a.last_value,
       a.resolved_value, a.title, a.doc
  FROM alert AS a LEFT JOIN host AS h USING (host_id);

CREATE VIEW oom_kills AS
SELECT k.ts AS t, k.host_id, h.name AS host, k.kill_id, k.cause, k.confidence, k.oom, k.complete, k.replayed,
       k.proc_id AS process, k.pid, k.comm, k.service, k.container, k.rss AS rss_bytes,
       nullif(k.limit_cgroup, '') AS limit_cgroup, k.limit_owner, k.limit_bytes, k.verdict, k.doc
  FROM oom_kill AS k JOIN host AS h USING (host_id);

CREATE VIEW censuses AS
SELECT c.ts AS t, c.host_id, h.name AS host, c.census_id, c.proc_id AS process, c.pid, c.service, c.comm,
       c.method, c.reason, c.interpreters, c.pause_us / 1e6::float8 AS pause_seconds,
       c.walk_us / 1e6::float8 AS walk_seconds, c.objects, c.bytes, c.types_total AS types,
       c.error / 1e4::float8 AS error_ratio, c.parts, c.note
  FROM census AS c JOIN host AS h USING (host_id);

-- A row a type of a census.
CREATE VIEW census_types AS
SELECT c.ts AS t, c.host_id, c.census_id, c.proc_id AS process, c.service, n.name AS type, u.objects, u.bytes
  FROM census AS c,
       LATERAL unnest(c.types, c.counts, c.sizes) AS u(type_id, objects, bytes)
       JOIN census_type AS n USING (type_id);

-- What was done to processes; neither the signed command nor who may repeat it.
CREATE VIEW actions AS
SELECT c.created, c.host_id, h.name AS host, c.cmd_id AS action_id, c.action, c.state, c.dry_run,
       c.proc_id AS process, c.pid, c.actor, c.reason, c.alert_id, c.sent, c.done,
       c.rss_before AS rss_before_bytes, c.rss_after AS rss_after_bytes, c.swap_before AS swap_before_bytes,
       c.swap_after AS swap_after_bytes, c.held_us / 1e6::float8 AS held_seconds, c.detail
  FROM command AS c JOIN host AS h USING (host_id);

CREATE VIEW gaps AS
SELECT g.host_id, h.name AS host, g.epoch, g.from_seq, g.to_seq, g.records,
       (ARRAY['spool full', 'unclean end', 'undecodable'])[g.reason] AS reason, g.t_first, g.t_last
  FROM gap AS g JOIN host AS h USING (host_id);

-- Several rows an hour: one a window of it. Counters are what they rose by in it.
CREATE VIEW rollup_hours AS
SELECT r.t0 AS t, r.host_id, h.name AS host, r.proc_id AS process, p.service, p.comm, p.pid, r.n AS samples,
       r.rss_min * 1024 AS rss_min_bytes, r.rss_max * 1024 AS rss_max_bytes, r.rss_avg * 1024 AS rss_avg_bytes,
       r.rss_first * 1024 AS rss_first_bytes, r.rss_last * 1024 AS rss_last_bytes,
       r.anon_last * 1024 AS anon_last_bytes, r.swap_max * 1024 AS swap_max_bytes,
       r.cpu_ms / 1e3::float8 AS cpu_seconds, r.majflt, r.gc2, r.gc_collected, r.gc_uncollectable,
       r.rss_slope_kib_h * 1024 AS rss_slope_bytes_per_hour
  FROM rollup_1h AS r JOIN host AS h USING (host_id) LEFT JOIN process AS p USING (host_id, proc_id);

CREATE VIEW rollup_days AS
SELECT r.t0 AS t, r.host_id, h.name AS host, r.proc_id AS process, r.service, r.comm, r.pid, r.n AS samples,
       r.rss_min * 1024 AS rss_min_bytes, r.rss_max * 1024 AS rss_max_bytes, r.rss_avg * 1024 AS rss_avg_bytes,
       r.rss_first * 1024 AS rss_first_bytes, r.rss_last * 1024 AS rss_last_bytes,
       r.anon_last * 1024 AS anon_last_bytes, r.swap_max * 1024 AS swap_max_bytes,
       r.cpu_ms / 1e3::float8 AS cpu_seconds, r.majflt, r.gc2, r.gc_collected, r.gc_uncollectable,
       r.rss_slope_kib_h * 1024 AS rss_slope_bytes_per_hour
  FROM rollup_1d AS r JOIN host AS h USING (host_id);

-- ---- who may read ----

-- What memherd_reader may read. Nothing is unless it stands here: a new table is closed.
CREATE TABLE readable (
    name text PRIMARY KEY               -- of a table or view of ours
);
INSERT INTO readable VALUES
    ('meta'), ('metric'), ('host'), ('process'), ('cgroup'), ('chunk'), ('host_chunk'), ('chunk_held'),
    ('host_chunk_held'), ('rollup_1h'), ('rollup_1d'), ('event'), ('alert'), ('oom_kill'), ('posture'),
    ('census'), ('census_type'), ('gap'), ('compaction'), ('readable'),
    ('hosts'), ('processes'), ('cgroups'), ('events'), ('alerts'), ('oom_kills'), ('censuses'),
    ('census_types'), ('actions'), ('gaps'), ('rollup_hours'), ('rollup_days');
INSERT INTO readable SELECT viewname FROM pg_views WHERE schemaname = 'public' AND viewname ~ '^sample_';

-- Makes the role memherd_reader, where we may, and lets it read what is readable. What is left to an
-- administrator is returned, as statements; '' = all is done. Leaves need no grant: they are read
-- through their parent.
CREATE FUNCTION mh_reader() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    x record;
    role_made bool := false;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'memherd_reader') THEN
        BEGIN
            CREATE ROLE memherd_reader NOLOGIN;
            role_made := true;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RETURN 'CREATE ROLE memherd_reader NOLOGIN; '
                    || 'ALTER ROLE memherd_reader SET statement_timeout = ''30s''; '
                    || 'ALTER ROLE memherd_reader SET default_transaction_read_only = on; '
                    || 'SELECT mh_reader();';
            WHEN duplicate_object OR unique_violation THEN
                NULL;                   -- another collector was quicker
        END;
    END IF;
    IF role_made THEN
        ALTER ROLE memherd_reader SET statement_timeout = '30s';
        ALTER ROLE memherd_reader SET idle_in_transaction_session_timeout = '60s';
        ALTER ROLE memherd_reader SET default_transaction_read_only = on;
    END IF;
    FOR x IN SELECT r.name FROM readable AS r
              WHERE to_regclass('public.' || quote_ident(r.name)) IS NOT NULL
                AND NOT has_table_privilege('memherd_reader', 'public.' || quote_ident(r.name), 'SELECT') LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO memherd_reader', x.name);
    END LOOP;
    IF NOT has_schema_privilege('memherd_reader', 'public', 'USAGE') THEN
        GRANT USAGE ON SCHEMA public TO memherd_reader;
    END IF;
    -- PostgreSQL 14 lets everyone make tables here.
    IF has_schema_privilege('memherd_reader', 'public', 'CREATE') THEN
        IF pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE') THEN
            REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        ELSE
            RETURN 'REVOKE CREATE ON SCHEMA public FROM PUBLIC;';
        END IF;
    END IF;
    RETURN '';
END $$;
REVOKE EXECUTE ON FUNCTION mh_reader() FROM PUBLIC;
