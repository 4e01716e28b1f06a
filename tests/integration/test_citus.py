# SPDX-License-Identifier: Apache-2.0
"""sql/scale-out/citus.sql: what can be known of it on a plain PostgreSQL. Where the extension is installed: a collector
and an agent on a coordinator with two workers."""
import datetime
import pathlib
import re
import signal
import subprocess
import sys

import psutil
import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from citus import Cluster  # noqa: E402
from pg_private import Postgres  # noqa: E402
from stack import BIN, Stack, wait_for  # noqa: E402

SCRIPT = (ROOT / "sql/scale-out/citus.sql").read_text()
TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1
"""
# Tables with a primary key or a unique index that lacks host_id.
BAD_KEYS = """
SELECT c.relname, i.relname
  FROM pg_index AS x
  JOIN pg_class AS c ON c.oid = x.indrelid
  JOIN pg_class AS i ON i.oid = x.indexrelid
 WHERE x.indisunique AND c.relname = ANY (%s) AND c.relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'host_id'
                    AND a.attnum = ANY (x.indkey::int2[]))
"""


def names(array):
    """Of one of the script's arrays."""
    return re.findall(r"'(\w+)'", re.search(rf"\b{array} constant text\[\] := ARRAY\[(.*?)\]", SCRIPT, re.S).group(1))


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


def test_every_table_is_named_once(pg):
    named = names("by_host") + names("here")
    assert sorted(named) == [t for t, in pg.query(TABLES)]


def test_the_key_of_each_that_is_distributed_holds_the_host(pg):
    by_host = names("by_host")
    assert len(by_host) > 5
    assert pg.query(BAD_KEYS, by_host) == []
    for table in by_host:
        assert pg.query("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass "
                        "AND attname = 'host_id' AND attnotnull", table) == [("integer",)], table
    # The query finds one that has none.
    assert ("alert", "alert_pkey") in pg.query(BAD_KEYS, ["alert"])


def test_no_key_refers_to_another_table(pg):
    """A foreign key from a distributed table must hold its distribution column, too: there are none."""
    assert pg.query("SELECT conname FROM pg_constraint WHERE contype = 'f'") == []


def test_without_the_extension_it_says_so_and_changes_nothing(pg):
    if pg.query("SELECT 1 FROM pg_extension WHERE extname = 'citus'"):
        pytest.skip("the extension is here")
    before = pg.query("SELECT count(*), sum(relnatts) FROM pg_class")
    with pytest.raises(psycopg2.Error, match="the extension citus is not in this database"):
        pg.query(SCRIPT)
    assert pg.query("SELECT count(*), sum(relnatts) FROM pg_class") == before


def test_a_table_that_it_does_not_name_stops_it(pg):
    """As far as it can be run here: with functions in the extension's place, which do nothing."""
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        cur.execute("CREATE TABLE citus_tables (table_name regclass, citus_table_type text);"
                    "CREATE FUNCTION create_reference_table(t text) RETURNS void LANGUAGE sql AS "
                    "$$ INSERT INTO citus_tables VALUES (t::regclass, 'reference') $$;"
                    "CREATE FUNCTION create_distributed_table(t text, col text, colocate_with text) RETURNS void "
                    "LANGUAGE sql AS $$ INSERT INTO citus_tables VALUES (t::regclass, 'distributed') $$")
        script = SCRIPT.replace("extname = 'citus'", "extname = 'plpgsql'")
        with pytest.raises(psycopg2.Error, match="it does not name citus_tables"):
            cur.execute(script)
        c.rollback()


# ---- on a cluster ----

WINDOW = 10
GRACE = 30  # of sealing: collector/store/store.c
PYTHON = "/usr/bin/python3"
POLICY = "allow trim uid>=0 exe=/usr/bin/python3* max=20/h cooldown=1s\ndeny *\n"
RULES = """rule big on process where cmdline ~ "*FOLDER/target.py*" {
    why "a test wants it";
    warmup 1s;
    level mail when rss > 1MiB for 1s;
}
"""
DAY = datetime.timedelta(days=1)
TODAY = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
GONE = TODAY - 20 * DAY  # chunks are kept for 14 days
# Workers don't show them unless they are told to.
SHARDS = "SET citus.override_table_visibility TO off; SELECT count(*) FROM pg_class WHERE relname LIKE %s AND relkind = 'r'"


@pytest.fixture(scope="module")
def cluster(pg):
    if not pg.query("SELECT 1 FROM pg_available_extensions WHERE name = 'citus'"):
        pytest.skip("extension citus is not installed for this PostgreSQL")
    with Cluster() as c:
        migrate(c)
        yield c


def migrate(cluster):
    r = subprocess.run([BIN / "memherd-collector", "migrate", "-c", "/dev/null", "-o", f"database={cluster.coordinator.url}"],
                       capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout


@pytest.fixture(scope="module")
def stack(cluster):
    s = Stack(window=f"{WINDOW}s", interval="1s", policy=POLICY, collector={"database": cluster.coordinator.url},
              agent={"spool_disk": "0"})  # so that a process that dies leaves a gap
    s.rules = RULES.replace("FOLDER", str(s.dir))
    s.sql = cluster.coordinator.query
    try:
        s.up()
        s.write("target.py", "import time\ntime.sleep(3600)\n")
        s.start("target", PYTHON, s.path("target.py"))
        yield s
    finally:
        s.close()


def target(stack):
    """Its id, once it was sampled."""
    pid = stack.programs["target"].pid
    # Not by a list of REST: others may have started a thousand processes on this machine.
    return wait_for("the target", lambda: stack.sql("SELECT proc_id FROM process WHERE pid = %s AND cmdline LIKE '%%target.py' "
                                                    "ORDER BY first_seen DESC", pid), 60)[0][0]


def points(stack):
    answer = stack.get(f"/api/v1/processes/{target(stack)}/series?metric=rss&from=-15min&max_points=10000")
    return answer["points"] if answer else []


def sealed(stack, after="-infinity"):
    """Windows of the target in chunks that begin after that time."""
    return [t for t, in stack.sql("SELECT DISTINCT t0 FROM chunk WHERE host_id = 1 AND proc_id = %s AND t0 > %s::timestamptz "
                                  "ORDER BY t0", int(target(stack)), after)]


def log(stack):
    return stack.programs["collector"].log.read_text()


def test_it_distributes_the_schema_and_may_be_run_again(cluster):
    pg = cluster.coordinator
    for _ in range(2):
        pg.query(SCRIPT)
        assert migrate(cluster).startswith("0 migrations applied")
    rows = pg.query("SELECT table_name::text, citus_table_type, colocation_id FROM citus_tables")
    assert {t for t, _, _ in rows} >= set(names("by_host")) and not {t for t, _, _ in rows} & set(names("here"))
    assert {(kind, colocation) for _, kind, colocation in rows} == {("distributed", rows[0][2])}
    ports = {port for port, in pg.query("SELECT DISTINCT nodeport FROM citus_shards WHERE table_name = 'chunk'::regclass")}
    assert ports == {w.port for w in cluster.workers}


def test_samples_arrive_and_windows_seal(cluster, stack):
    wait_for("two windows in chunks", lambda: len(sealed(stack)) > 1, 3 * WINDOW + GRACE + 60)
    series = points(stack)
    assert len(series) > WINDOW and len({t for t, _ in series}) == len(series)
    # By SQL the same, from the chunks.
    stored = dict(stack.sql("SELECT round(extract(epoch FROM t)::numeric, 3)::float8, v FROM "
                            "(SELECT * FROM series(%s, 'rss')) AS s(t, v)", int(target(stack))))
    assert len(stored) > WINDOW and stored.items() <= dict(series).items()
    seen = stack.sql("SELECT count(*) FROM sample_rss WHERE host_id = 1 AND proc_id = %s AND t <= %s::timestamptz",
                     int(target(stack)), datetime.datetime.fromtimestamp(max(stored) + 0.002, datetime.timezone.utc))
    assert seen == [(len(stored),)]
    assert stack.sql("SELECT count(*) > 0, bool_and(samples > 0) FROM rollup_hours WHERE process = %s",
                     int(target(stack))) == [(True, True)]
    assert stack.sql("SELECT count(*) > 0 FROM series_host('1', 'available')") == [(True,)]


def test_events_alert_mail_and_command(stack):
    child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(2)"])
    child.wait()
    wait_for("its start and exit", lambda: {kind for kind, in stack.sql(
        "SELECT kind FROM event WHERE doc ->> 'pid' = %s::text", child.pid)} >= {"start", "exit"}, 60)
    assert {e["kind"] for e in stack.items("/events?kind=exit&limit=5")} == {"exit"}
    (alert, title), = wait_for("the alert", lambda: stack.sql("SELECT alert_id, title FROM alert WHERE rule = 'big'"), 30)
    assert f"pid {stack.programs['target'].pid}" in title
    wait_for("its mail", lambda: stack.sql("SELECT 1 FROM mail WHERE alert_id = %s AND state = 'sent'", alert), 30)
    said = stack.cli("trim", f"1:{stack.programs['target'].pid}", "--yes", "--wait", check=False)
    assert stack.sql("SELECT state IN ('done', 'ineffective') FROM command WHERE pid = %s AND action = 'trim'",
                     stack.programs["target"].pid) == [(True,)], said
    assert len(stack.items("/actions")) == 1 and stack.items("/alerts")


def test_the_account_balances_and_gaps_are_told(stack):
    def whole():
        rows = stack.sql("SELECT ok, produced, checked_from - 1 + stored + gapped + dead_lettered + waiting FROM stream_account")
        return rows if all(ok and produced == account for ok, produced, account in rows) else None
    assert wait_for("the account", whole, 30)
    (gaps,), = stack.sql("SELECT count(*) FROM gaps")
    link, = (p for p in psutil.Process(stack.programs["agent"].pid).children() if p.name() == "memherd-link")
    link.kill()
    wait_for("the end of what it had not sent", lambda: stack.sql("SELECT count(*) FROM gaps")[0][0] > gaps, 30)
    wait_for("the account", whole, 30)


def test_a_restart_replays_the_inbox(stack):
    before = points(stack)
    code = stack.programs["collector"].stop(signal.SIGKILL)
    assert code == -signal.SIGKILL
    stack.start_collector()
    after = dict(points(stack))
    assert dict(before).items() <= after.items(), "also what was in no chunk yet"
    wait_for("new samples", lambda: len(points(stack)) > len(before) + 3, 30)
    newest = max(sealed(stack))
    wait_for("a window after it in chunks", lambda: sealed(stack, newest), 3 * WINDOW + GRACE + 60)
    times = [t for t, _ in points(stack)]
    assert times == sorted(set(times))


def add_day(pg, t0):
    """Two windows of a process."""
    for h in (1, 2):
        pg.query("INSERT INTO compaction (t0, shard) VALUES (%s, 0), (%s, -1)", *2 * [t0 + h * DAY / 24])
        pg.query("""INSERT INTO rollup_window (t0, host_id, part, proc_first, proc_last, procs, n, rss_min, max_over, avg_over,
                                               first_over, last_over, anon_last, swap_max, cpu_ms, majflt, gc2, gc_collected,
                                               gc_uncollectable, rss_slope_kib_h)
                    VALUES (%s, 1, 0, 7, 7, '{7}', '{6}', '{1000}', '{100}', '{50}', '{0}', %s, '{900}', '{0}', '{10}', '{0}',
                            '{0}', '{0}', '{0}', '{0}')""", t0 + h * DAY / 24, [h])


def test_what_is_old_goes_and_days_are_made(cluster, stack):
    """While somebody reads it stays, and nobody waits for that; what an alert was about is kept apart."""
    pg = cluster.coordinator
    assert stack.programs["collector"].stop() == 0
    leaf, = pg.query("SELECT mh_make_leaf('chunk', %s, %s)", GONE, GONE + DAY)[0]
    for start in {t.replace(day=1) for t in (GONE, TODAY - 2 * DAY)}:
        for table in "rollup_window", "rollup_1d":
            pg.query("SELECT mh_make_leaf(%s, %s, %s)", table, start, (start + 32 * DAY).replace(day=1))
    add_day(pg, TODAY - 2 * DAY)
    pg.query("""INSERT INTO oom_kill (host_id, kill_id, ts, cause, confidence, oom, complete, replayed, comm, service, container,
                                      limit_cgroup, limit_owner, verdict, doc)
                VALUES (1, 1, %s, 'oom', 'certain', true, true, false, 'c', 'shop', '', '', '', '', '{}')""", GONE + DAY / 2)
    for h in range(24):
        for host in 1, 2:
            pg.query("INSERT INTO chunk SELECT %s, %s, 99, 0, n, codec, d FROM (SELECT n, codec, d FROM chunk WHERE host_id = 1 "
                     "ORDER BY t0, proc_id LIMIT 1) AS c", GONE + h * DAY / 24, host)
    assert sum(w.query(SHARDS, leaf + "\\_%")[0][0] for w in cluster.workers) == 4
    reader = psycopg2.connect(pg.conninfo)
    with reader.cursor() as cur:
        cur.execute("SELECT count(*) FROM chunk WHERE host_id = 1")
        stack.start_collector()
        wait_for("word of the reader", lambda: f"leaf={leaf} state=busy" in log(stack), 60)
        (stored,), = pg.query("SELECT sum(last_seq) FROM agent_stream")
        wait_for("what comes meanwhile", lambda: pg.query("SELECT sum(last_seq) > %s FROM agent_stream", stored + 5) == [(True,)], 30)
        assert pg.query("SELECT to_regclass(%s) IS NOT NULL", leaf) == [(True,)]
    reader.close()
    wait_for("the leaf to go", lambda: pg.query("SELECT to_regclass(%s) IS NULL", leaf) == [(True,)], 60)
    assert sum(w.query(SHARDS, leaf + "\\_%")[0][0] for w in cluster.workers) == 0
    hours = [(1, GONE + h * DAY / 24) for h in range(24) if -2 <= h - 12 <= 0.5]
    held = pg.query("SELECT host_id, t0 FROM chunk_held ORDER BY t0")
    assert held and {h for h, _ in held} == {1} and set(held) >= set(hours[:1])
    assert stack.get("/api/v1/oom-events/1")["cause"] == "oom"
    wait_for("the day", lambda: pg.query("SELECT n, rss_max FROM rollup_1d WHERE t0 = %s AND proc_id = 7",
                                         TODAY - 2 * DAY) == [(12, 1100)], 60)
    assert pg.query("SELECT seals FROM rollup_day WHERE t0 = %s", TODAY - 2 * DAY) == [(2,)]


def test_nothing_was_refused(cluster, stack):
    """The coordinator's log has no error of a statement of the collector's, the collector's no failure of its store."""
    assert {"chunk", "inbox", "event", "agent_stream"} <= {t["name"] for t in stack.get("/api/v1/store")["tables"]}
    assert stack.programs["collector"].stop() == 0
    assert not [line for line in log(stack).splitlines() if " error=" in line and "store" in line]
    errors = [line for line in pathlib.Path(cluster.coordinator.dir, "log").read_text().splitlines()
              if " ERROR: " in line and "lock timeout" not in line]
    assert errors == []
