# SPDX-License-Identifier: Apache-2.0
"""SQL for people: the decoder against C's, series(), the views, who may read what, and every example of docs/SQL.md."""
import contextlib
import datetime
import os
import re
import subprocess
import sys

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from pg_private import Postgres  # noqa: E402

DRIVER = os.path.join(ROOT, os.environ.get("B", "build/release-gcc"), "drivers/chunks")
COLLECTOR = os.path.join(os.environ.get("BIN", f"{ROOT}/build"), "memherd-collector")
PROCESS, CGROUP = 4711, 815
SECRET = ["api_token", "enroll_token", "audit", "mail", "command", "inbox", "dead_letter", "agent_stream", "lease",
          "counter", "rollup_day"]


class Chunk:
    """What C made and decoded."""

    def __init__(self, kind, n, data):
        self.kind, self.n, self.data = kind, n, data
        self.times, self.columns = [], []


def chunks(seed, count):
    out = subprocess.run([DRIVER, str(seed), str(count)], check=True, capture_output=True, text=True).stdout
    made = []
    for line in out.splitlines():
        word, *rest = line.split()
        if word == "chunk":
            made.append(Chunk(int(rest[0]), int(rest[1]), bytes.fromhex(rest[2])))
        elif word == "times":
            made[-1].times = [int(v) for v in rest]
        else:
            assert int(rest[0]) == len(made[-1].columns)
            made[-1].columns.append([None if v == "-" else int(v) for v in rest[1:]])
    return made


def migrate(pg):
    subprocess.run([COLLECTOR, "migrate", "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                    f"database=postgresql:///postgres?host={pg.dir}&user=postgres"], check=True, capture_output=True)


def fill(pg, made):
    """Half a day of host web-17: one process, its host, one cgroup, one interpreter, of chunks that C made."""
    now = datetime.datetime.now(datetime.timezone.utc)
    last = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    start = last - datetime.timedelta(hours=12)
    midnight = start.replace(hour=0, minute=0)
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        for table in "chunk", "host_chunk":
            for day in range(3):
                cur.execute("SELECT mh_make_leaf(%s, %s, %s)", (table, midnight + datetime.timedelta(days=day),
                                                                midnight + datetime.timedelta(days=day + 1)))
        for table in "event", "census", "rollup_1h", "rollup_window", "rollup_1d":
            cur.execute("SELECT mh_make_leaf(%s, %s, %s)", (table, start - datetime.timedelta(days=40),
                                                            start + datetime.timedelta(days=40)))
        cur.execute("INSERT INTO host (host_id, uuid, name) VALUES (7, gen_random_uuid(), 'web-17')")
        cur.execute("""INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe,
                                            cgroup, service, first_seen)
                       VALUES (7, %s, gen_random_uuid(), 42, 1, 1, 1000, 'gunicorn', 'gunicorn api', '/usr/bin/python3',
                               '/system.slice/api.service', 'gunicorn-api', %s)""", (PROCESS, start))
        cur.execute("""INSERT INTO cgroup VALUES (7, %s, '/system.slice/api.service', 2, 'api', 'systemd', '', '', now())""",
                    (CGROUP,))
        stored = {0: [], 1: [], 2: [], 3: []}
        objects = {1: 0, 2: CGROUP, 3: PROCESS ^ 5}
        for i in range(24):
            t0 = start + datetime.timedelta(minutes=30 * i)
            for kind in stored:
                k = [m for m in made if m.kind == kind][i]
                stored[kind].append((t0, k))
                if kind == 0:
                    cur.execute("INSERT INTO chunk VALUES (%s, 7, %s, 0, %s, 1, %s)", (t0, PROCESS, k.n, k.data))
                else:
                    cur.execute("INSERT INTO host_chunk VALUES (%s, 7, %s, %s, 0, %s, 1, %s)",
                                (t0, kind, objects[kind], k.n, k.data))
    c.close()
    return stored


@pytest.fixture(scope="module")
def made():
    return chunks(7, 52)


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        newest = max(os.listdir(f"{ROOT}/sql/migrations"))
        server.query("INSERT INTO meta VALUES ('schema_version', %s)", str(int(newest[:4])))
        migrate(server)
        yield server


@pytest.fixture(scope="module")
def stored(pg, made):
    return fill(pg, made)


def test_sql_decodes_every_metric_as_c_does(pg, made):
    """Whole chunks and holes of every pattern, predicted columns among them."""
    holes = 0
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        for m in made:
            cur.execute("SELECT mh_col(%s, -1, %s)", (m.data, m.n))
            assert cur.fetchone()[0] == m.times
            cur.execute("SELECT k, mh_values(%s, %s, k, %s) FROM generate_series(0, %s) AS k ORDER BY k",
                        (m.kind, m.data, m.n, len(m.columns)))
            told = [row[1] for row in cur.fetchall()]
            assert told[-1] == [None] * m.n  # a metric that this chunk is older than
            for k, column in enumerate(m.columns):
                assert told[k] == column, (m.kind, k)
                holes += None in column and any(v is not None for v in column)
    c.close()
    assert holes > 100


@pytest.mark.parametrize("table, ask, row", [
    ("chunk", "mh_chunks(70, 1, ARRAY[%(t)s]::timestamptz[], %(t)s, %(t)s::timestamptz + interval '1 hour')", "%(t)s, 70, 1, 0, 1, 1, 'x'"),
    ("host_chunk", "mh_host_chunks(70, 2::int2, 5, ARRAY[%(t)s]::timestamptz[], %(t)s, %(t)s::timestamptz + interval '1 hour')",
     "%(t)s, 70, 2, 5, 0, 1, 1, 'x'")] + [
    (table, f"(SELECT t0, n AS codec, d FROM mh_stored({kind}, 70, 5, ARRAY[%(t)s]::timestamptz[], "
     "%(t)s::timestamptz + interval '1 hour')) AS s", f"%(t)s, 70, {row}, 0, 1, 1, 'x'")
    for table, kind, row in (("chunk", 0, "5"), ("chunk_held", 0, "5"), ("host_chunk", 2, "2, 5"), ("host_chunk_held", 2, "2, 5"))])
def test_a_kept_plan_sees_leaves_come_and_go(pg, stored, table, ask, row):
    at = {"t": datetime.datetime(2020, 5, 4, 12, tzinfo=datetime.timezone.utc)}
    day = datetime.datetime(2020, 5, 4, tzinfo=datetime.timezone.utc)
    with contextlib.closing(psycopg2.connect(pg.conninfo)) as c, c.cursor() as cur:
        c.autocommit = True

        def read():
            cur.execute(f"SELECT t0, codec, d::text FROM {ask}", at)
            return cur.fetchall()

        assert read() == []
        leaf = pg.query("SELECT mh_make_leaf(%s, %s, %s)", table, day, day + datetime.timedelta(days=1))[0][0]
        with contextlib.closing(psycopg2.connect(pg.conninfo)) as other, other.cursor() as to:
            other.autocommit = True
            to.execute(f"INSERT INTO {table} VALUES ({row})", at)
            assert read() == [(at["t"], 1, "\\x78")]
            to.execute(f"ALTER TABLE {table} DETACH PARTITION {leaf} CONCURRENTLY")
            assert read() == []
            to.execute(f"DROP TABLE {leaf}")
            assert read() == []
        cur.execute("SHOW plan_cache_mode")
        assert cur.fetchall() == [("auto",)]


def test_the_metrics_are_the_programs(pg):
    """By the X-macros themselves: the numbers that mh_values() is called with."""
    with open(f"{ROOT}/proto/metric.h") as f:
        text = f.read()
    for kind, name in enumerate(["METRIC_LIST", "HOST_METRIC_LIST", "CGROUP_METRIC_LIST", "INTERPRETER_METRIC_LIST"]):
        body = re.search(rf"#define {name}\(X\)(.*?)\n\n", text + "\n\n", re.S).group(1)
        listed = [(n, k == "COUNTER", {"KIB": "bytes", "MS": "seconds", "COUNT": "count", "PER_10000": "ratio"}[u])
                  for n, k, u in re.findall(r"X\(\w+, (\w+), (\w+), (\w+),", body)]
        assert pg.query("SELECT name, counter, unit FROM metric WHERE kind = %s ORDER BY number", kind) == listed


def points(stored, k, scale):
    return [(t0 + datetime.timedelta(milliseconds=ms), v * scale) for t0, c in stored
            for ms, v in zip(c.times, c.columns[k]) if v is not None]


WHOLE = "now() - interval '2 days', now() + interval '1 day'"


@pytest.mark.parametrize("call,kind,k,scale", [(f"series({PROCESS}, 'rss', {WHOLE})", 0, 0, 1024),
                                               (f"series({PROCESS}, 'uss', {WHOLE})", 0, 2, 1024),
                                               (f"series_host('web-17', 'available', {WHOLE})", 1, 1, 1024),
                                               (f"series_host('7', 'psi_some', {WHOLE})", 1, 21, 1e-3),
                                               (f"series_interpreter({PROCESS}, 5, 'gc_time', {WHOLE})", 3, 18, 1e-3),
                                               (f"series_cgroup('web-17', '/system.slice/api.service', "
                                                f"'working_set', {WHOLE})", 2, 1, 1024)])
def test_a_series_is_every_sample(pg, stored, call, kind, k, scale):
    rows = pg.query(f"SELECT t, value FROM {call}")
    expected = points(stored[kind], k, scale)
    assert len(rows) == len(expected) > 100
    assert [r[0] for r in rows] == [e[0] for e in sorted(expected)]
    assert sorted(r[1] for r in rows) == pytest.approx(sorted(e[1] for e in expected))


def test_a_step_keeps_the_extremes(pg, stored):
    expected = points(stored[0], 0, 1024)
    rows = pg.query(f"SELECT t, value, low, high FROM series({PROCESS}, 'rss', {WHOLE}, '1 hour')")
    assert 12 <= len(rows) <= 14
    assert min(r[2] for r in rows) == min(e[1] for e in expected)
    assert max(r[3] for r in rows) == pytest.approx(max(e[1] for e in expected))
    assert all(r[2] <= r[1] * (1 + 1e-9) + 1 and r[1] <= r[3] * (1 + 1e-9) + 1 for r in rows)


def test_evidence_that_is_held_is_read_once(pg, stored):
    """In both tables for a moment, then only in the held one."""
    whole = pg.query(f"SELECT * FROM series({PROCESS}, 'rss', {WHOLE})")
    t0 = stored[0][3][0]
    day = t0.replace(hour=0, minute=0)
    pg.query("SELECT mh_make_leaf('chunk_held', %s, %s)", day, day + datetime.timedelta(days=2))
    pg.query("INSERT INTO chunk_held SELECT * FROM chunk WHERE t0 = %s RETURNING 1", t0)
    assert pg.query(f"SELECT * FROM series({PROCESS}, 'rss', {WHOLE})") == whole
    pg.query("DELETE FROM chunk WHERE t0 = %s RETURNING 1", t0)
    assert pg.query(f"SELECT * FROM series({PROCESS}, 'rss', {WHOLE})") == whole


@pytest.mark.parametrize("call,says", [
    (f"series({PROCESS}, 'rsss')", "there is no metric 'rsss' of a process"),
    ("series_host('web-18', 'available')", "there is no host 'web-18'"),
    (f"series({PROCESS}, 'rss', '-infinity', now())", "more than 65536 windows"),
    (f"series({PROCESS}, 'rss', now() - interval '1 hour', now(), '0')", "must be positive"),
    (f"series({PROCESS}, 'rss', now() - interval '1 hour', now(), '1 month')", "must be positive, in days or less"),
    (f"series({PROCESS}, 'rss', NULL, now())", "needs a time to begin"),
])
def test_a_mistake_is_named(pg, stored, call, says):
    with pytest.raises(psycopg2.Error, match=says):
        pg.query(f"SELECT * FROM {call}")


def test_the_key_is_used(pg, stored):
    """Other hosts' chunks are not read: also with so many of them that it would show."""
    pg.query("""INSERT INTO chunk SELECT c.t0, 100 + g, c.proc_id, c.part, c.n, c.codec, c.d
                  FROM chunk AS c, generate_series(1, 200) AS g WHERE c.host_id = 7 RETURNING 1""")
    pg.query("ANALYZE chunk")
    plan = pg.query("""EXPLAIN SELECT max(rss_kib) FROM sample_rss
                        WHERE t0 = ANY (mh_grid(now() - interval '2 hours', now())) AND t0 >= now() - interval '3 hours'
                          AND host_id = 7""")
    text = "\n".join(r[0] for r in plan)
    filled = {r[0] for r in pg.query("SELECT DISTINCT tableoid::regclass::text FROM chunk")}
    assert "Index" in text and not filled & set(re.findall(r"Seq Scan on (\w+)", text)), text


def as_reader(pg):
    c = psycopg2.connect(pg.conninfo.replace("user=postgres", "user=memherd_reader"))
    c.autocommit = True
    return c


def test_the_reader_reads_and_does_nothing_else(pg, stored):
    pg.query("ALTER ROLE memherd_reader LOGIN")
    c = as_reader(pg)
    with c.cursor() as cur:
        cur.execute("SHOW statement_timeout")
        assert cur.fetchone()[0] == "30s"
        cur.execute("SELECT name FROM readable ORDER BY 1")
        names = [r[0] for r in cur.fetchall()]
        assert {"hosts", "alerts", "chunk", "sample_rss", "sample_cgroup_limit"} <= set(names)
        for name in names:
            cur.execute(f"SELECT * FROM {name} LIMIT 1")
        # Everything else of ours is closed, leaves and what no list names included.
        cur.execute("""SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
                        AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1""")
        assert [r[0] for r in cur.fetchall()] == names
        assert not set(SECRET) & set(names)
        for sql in [f"SELECT * FROM {t}" for t in SECRET] + ["SELECT mh_reader()", "SELECT nextval('agent_conn')"]:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(sql)
        # Read only is a setting that a session may change; the privileges are what holds.
        cur.execute("SET default_transaction_read_only = off")
        for sql in ["DELETE FROM host", "UPDATE meta SET value = '9'", "INSERT INTO readable VALUES ('api_token')",
                    "CREATE TABLE mine (i int)", "TRUNCATE chunk", "DROP VIEW hosts",
                    "SELECT mh_make_leaf('chunk', now(), now())", "COPY host TO PROGRAM 'cat'"]:
            with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.WrongObjectType)):
                cur.execute(sql)
        cur.execute("SET statement_timeout = '50ms'")
        with pytest.raises(psycopg2.errors.QueryCanceled):
            cur.execute("SELECT pg_sleep(5)")
    c.close()


def test_views_show_no_signature(pg):
    columns = {r[0] for r in pg.query("SELECT column_name FROM information_schema.columns WHERE table_name = 'actions'")}
    assert columns and not columns & {"body", "signature", "idempotency_key", "request_hash"}


def test_a_leaf_made_later_is_read(pg, stored):
    pg.query("SELECT mh_make_leaf('chunk', '2030-01-01Z', '2030-01-02Z')")
    pg.query("INSERT INTO chunk VALUES ('2030-01-01Z', 7, 1, 0, 1, 1, '\\x01') RETURNING 1")
    c = as_reader(pg)
    with c.cursor() as cur:
        cur.execute("SELECT count(*) FROM chunk WHERE t0 = '2030-01-01Z'")
        assert cur.fetchone() == (1,)
    c.close()
    pg.query("DELETE FROM chunk WHERE t0 = '2030-01-01Z' RETURNING 1")


def test_who_may_make_no_role_is_told_what_to_run(pg):
    """A database of a plain owner, on a server without the role."""
    with Postgres() as other:
        other.query("CREATE ROLE plain LOGIN")
        c = psycopg2.connect(other.conninfo)
        c.autocommit = True
        with c.cursor() as cur:
            cur.execute("CREATE DATABASE shop OWNER plain")
        c.close()
        url = f"postgresql:///shop?host={other.dir}&user=plain"
        said = subprocess.run([COLLECTOR, "migrate", "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                               f"database={url}"], check=True, capture_output=True, text=True)
        assert "CREATE ROLE memherd_reader NOLOGIN" in said.stderr + said.stdout
        c = psycopg2.connect(f"host={other.dir} dbname=shop user=postgres")
        c.autocommit = True
        with c.cursor() as cur:
            cur.execute("CREATE ROLE memherd_reader NOLOGIN")
            cur.execute("SET ROLE plain")
            cur.execute("SELECT mh_reader()")  # what the next start does
            left, = cur.fetchone()
            if c.server_version < 150000:  # where everybody may make tables unless the schema's owner says no
                assert left == "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
                cur.execute("RESET ROLE")
                cur.execute(left)
                cur.execute("SET ROLE plain")
                cur.execute("SELECT mh_reader()")
                left, = cur.fetchone()
            assert left == ""
            cur.execute("SET ROLE memherd_reader")
            cur.execute("SELECT count(*) FROM hosts")
        c.close()


def examples():
    with open(f"{ROOT}/docs/SQL.md") as f:
        return re.findall(r"^```sql\n(.*?)^```", f.read(), re.S | re.M)


@pytest.mark.parametrize("sql", examples())
def test_example_runs(pg, stored, sql):
    """As the reader, with what Grafana puts for its macros."""
    pg.query("ALTER ROLE memherd_reader LOGIN")
    now = datetime.datetime.now(datetime.timezone.utc)
    for macro, value in {"$__timeFrom()": f"'{now - datetime.timedelta(hours=12):%FT%TZ}'",
                         "$__timeTo()": f"'{now:%FT%TZ}'", "$__interval": "1m"}.items():
        sql = sql.replace(macro, value)
    c = as_reader(pg)
    with c.cursor() as cur:
        cur.execute(sql)
        rows = cur.fetchall()
    c.close()
    if "series" in sql or "FROM metric" in sql or "sample_" in sql:
        assert rows, sql


def test_there_are_examples():
    assert len(examples()) > 12
