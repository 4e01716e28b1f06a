# SPDX-License-Identifier: Apache-2.0
"""What outlives what: evidence held, hours and days read where chunks have gone, days made exactly once, and nobody who
reads stands in the way of what is stored."""
import datetime
import decimal
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/integration")

from test_senses_store import Collector, Unmigrated  # noqa: E402
from test_sql import COLLECTOR, chunks  # noqa: E402

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
NOW = datetime.datetime.now(datetime.timezone.utc)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
GONE = TODAY - 20 * DAY  # chunks are kept for 14 days
LONG_AGO = GONE - 22 * DAY
KILLED = GONE + 12 * HOUR
# Censuses and snapshots are kept as long as hours, 90 days, and go by the month.
FOUND_LONG_AGO = TODAY - 200 * DAY
FOUND = TODAY - 80 * DAY
PROCESS = 4711
MINUTE = datetime.timedelta(minutes=1)


def wait_for(what, tell, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        found = tell()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def leaf(pg, table, start, span):
    return pg.query("SELECT mh_make_leaf(%s, %s, %s)", table, start, start + span)[0][0]


def leaves(pg, table):
    return {r[0] for r in pg.query("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", table)}


def add_hour(pg, t0, part, proc=PROCESS, n=6, first=1000, last=2000, host=1):
    """As a seal of writer 0 does: the rollup row, the seal, and its count over all writers, in one transaction.
    Before noon, as collectors did that knew no rollup_window."""
    window = t0 + part * 30 * MINUTE
    low, high = min(first, last), max(first, last)
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        cur.execute("""INSERT INTO compaction AS c (t0, shard) VALUES (%s, 0), (%s, -1)
                       ON CONFLICT (t0, shard) DO UPDATE SET seals = c.seals + 1""", (window, window))
        if t0.hour < 12:
            cur.execute("""INSERT INTO rollup_1h VALUES (%s, %s, %s, (SELECT count(*) + %s * 1000 FROM rollup_1h WHERE t0 = %s
                                                         AND part / 1000 = %s), %s, %s, %s, %s, %s, %s, 900, 7, 10, 1, 1, 2,
                                                         0, 5)""",
                        (t0, host, proc, part, t0, part, n, low, high, (first + last) // 2, first, last))
        else:  # beside a process that has nothing
            cur.execute("""INSERT INTO rollup_window
                           SELECT %s, %s, count(*), 7, %s, ARRAY[7, %s], ARRAY[1, %s], ARRAY[NULL, %s]::int4[],
                                  ARRAY[NULL, %s]::int4[], ARRAY[NULL, %s]::int4[], ARRAY[NULL, %s]::int4[],
                                  ARRAY[NULL, %s]::int4[], ARRAY[NULL, 900], ARRAY[NULL, 7], ARRAY[NULL, 10], ARRAY[NULL, 1],
                                  ARRAY[NULL, 1], ARRAY[NULL, 2], NULL, ARRAY[NULL, 5]
                             FROM rollup_window WHERE t0 = %s""",
                        (window, host, proc, proc, n, low, high - low, (first + last) // 2 - low, first - low, last - low, window))
    c.close()


def month_leaf(pg, table, t):
    first = t.replace(day=1)
    return leaf(pg, table, first, (first + 32 * DAY).replace(day=1) - first)


def fill_found(pg):
    """A census and a snapshot of one process, before and within what is kept."""
    for number, t in ((1, FOUND_LONG_AGO), (2, FOUND)):
        for table in "census", "snapshot":
            month_leaf(pg, table, t)
        with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
            cur.execute("""INSERT INTO snapshot (ts, host_id, snapshot_id, proc_id, pid, start_ticks, service, comm, kind, reason, subject,
                                                 totals, rows, note)
                           VALUES (%s, 1, %s, %s, 42, 1, 'shop', 'c', 'referrers', 'asked', 'app.Entry',
                                   '{"heap_objects": 9, "type_objects": 5}', '[{"chain": "a", "through": null, "objects": 5}]', '')""",
                        (t, number, PROCESS))
            cur.execute("""INSERT INTO census (ts, host_id, census_id, proc_id, pid, start_ticks, service, comm, method, reason, version,
                                               interpreters, pause_us, walk_us, objects, bytes, types_total, error, types, counts,
                                               sizes, parts, note)
                           VALUES (%s, 1, %s, %s, 42, 1, 'shop', 'c', 'snapshot', 'asked', 51052784, 1, 1, 1, 1, 1, 0, 0, '{}', '{}', '{}',
                                   '{}', '')""", (t, number, PROCESS))
        c.close()


@pytest.fixture(scope="module")
def pg():
    with Unmigrated() as server:
        subprocess.run([COLLECTOR, "migrate", "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                        f"database=postgresql:///postgres?host={server.dir}&user=postgres"], check=True, capture_output=True)
        server.query("INSERT INTO host (host_id, uuid, name) VALUES (1, gen_random_uuid(), 'web-1'), (2, gen_random_uuid(), 'b')")
        server.query("INSERT INTO meta VALUES ('window_us', '60000000')")  # the driver's
        fill(server)
        fill_found(server)
        yield server


def fill(pg):
    """Twenty days ago: a day of chunks of two hosts, one of them with a kill at noon. A hundred days ago: only hours."""
    known = chunks(3, 60)
    made = [c for c in known if c.kind == 0 and c.columns[0] != [None] * c.n][:4]
    host = [c for c in known if c.kind == 1][:4]
    for table in "chunk", "host_chunk":
        leaf(pg, table, GONE, DAY)
    for month in {(GONE - i * 20 * DAY).replace(day=1) for i in range(7)}:
        after = (month + 32 * DAY).replace(day=1)
        for table in "rollup_1h", "rollup_window", "rollup_1d":
            leaf(pg, table, month, after - month)
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        cur.execute("""INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe,
                                            cgroup, service, first_seen)
                       VALUES (1, %s, gen_random_uuid(), 42, 1, 1, 0, 'c', 'c', '', '', 'shop', %s)""", (PROCESS, LONG_AGO))
        cur.execute("""INSERT INTO oom_kill (host_id, kill_id, ts, cause, confidence, oom, complete, replayed, comm, service,
                                             container, limit_cgroup, limit_owner, verdict, doc)
                       VALUES (1, 1, %s, 'oom', 'certain', true, true, false, 'c', '', '', '', '', '', '{}')""", (KILLED,))
        for h in range(24):
            m, k = made[h % len(made)], host[h % len(host)]
            for host_id in 1, 2:
                cur.execute("INSERT INTO chunk VALUES (%s, %s, %s, 0, %s, 1, %s)",
                            (GONE + h * HOUR, host_id, PROCESS if host_id == 1 else 99, m.n, m.data))
                cur.execute("INSERT INTO host_chunk VALUES (%s, %s, 1, 0, 0, %s, 1, %s)",
                            (GONE + h * HOUR, host_id, k.n, k.data))
    c.close()
    for h in range(24):
        add_hour(pg, GONE + h * HOUR, 0, first=1000 + h, last=1001 + h)
        add_hour(pg, GONE + h * HOUR, 1, first=1000 + h, last=1001 + h)
    add_hour(pg, GONE, 0, proc=5)  # one window only
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:  # long ago, hours have gone
        cur.execute("INSERT INTO rollup_1d VALUES (%s, 1, %s, 42, 'c', 'shop', 99, 400, 700, 500, 400, 600)",
                    (LONG_AGO, PROCESS))
    c.close()


@pytest.fixture(scope="module")
def c(pg, tmp_path_factory):
    collector = Collector(pg, str(tmp_path_factory.mktemp("retain")))
    yield collector
    collector.close()


def test_evidence_is_held_and_the_rest_goes(pg, c):
    wait_for("the old leaves to go", lambda: not {f"chunk_p{GONE:%Y%m%d}", f"host_chunk_p{GONE:%Y%m%d}"} & (
        leaves(pg, "chunk") | leaves(pg, "host_chunk")))
    held = [(1, KILLED - i * HOUR) for i in (2, 1, 0)]
    assert pg.query("SELECT host_id, t0 FROM chunk_held ORDER BY 1, 2") == held
    assert pg.query("SELECT host_id, t0 FROM host_chunk_held ORDER BY 1, 2") == held
    wait_for("the table itself", lambda: pg.query("SELECT to_regclass(%s)", f"chunk_p{GONE:%Y%m%d}") == [(None,)])
    assert pg.query(f"SELECT count(*) FROM series_host('1', 'free', '{GONE}', '{GONE + DAY}')")[0][0] > 3


def test_what_was_found_in_processes_goes_with_its_month(pg, c):
    """Snapshots as censuses: the leaf of a month of which nothing is kept any more, and what REST tells of it."""
    for table in "snapshot", "census":
        wait_for(f"the old leaf of {table} to go", lambda table=table: pg.query(
            "SELECT to_regclass(%s)", f"{table}_p{FOUND_LONG_AGO:%Y%m}01") == [(None,)])
        assert f"{table}_p{FOUND:%Y%m}01" in leaves(pg, table), "its month is not over for 90 days"
        assert pg.query(f"SELECT {table}_id FROM {table}") == [(2,)]
    assert [s["id"] for s in c.items("/snapshots")] == ["2"] and [s["id"] for s in c.items(f"/processes/{PROCESS}/census")] == ["2"]
    assert c.status("/snapshots/2") == c.status("/censuses/2") == 200
    for gone in ("/snapshots/1", "/snapshots/1/diff", "/snapshots/2/diff?base=1", "/snapshots/2/diff", "/censuses/1"):
        assert c.status(gone) == 404, gone


def series(c, what, **query):
    text = "&".join(f"{k}={v:%Y-%m-%dT%H:%M:%SZ}" if isinstance(v, datetime.datetime) else f"{k}={v}" for k, v in query.items())
    return c.get(f"/{what}/series?{text}")


def test_a_series_has_evidence_then_hours_then_days(pg, c):
    test_evidence_is_held_and_the_rest_goes(pg, c)
    said = series(c, f"processes/{PROCESS}", metric="rss", **{"from": GONE - 24 * DAY, "to": GONE + DAY, "max_points": 10000})
    at = {t: v for t, v in said["points"]}
    assert said["resolution_seconds"] == 86400
    # the day of which there is nothing else
    noon = (LONG_AGO + 12 * HOUR).timestamp()
    assert at[noon] == 700 * 1024 and at[noon + 12 * 3600 - 1] == 600 * 1024
    # hours without evidence: highest and last are the same here
    assert at[(GONE + HOUR / 2).timestamp()] == 1001 * 1024
    assert at[(GONE + 20 * HOUR + HOUR / 2).timestamp()] == 1021 * 1024
    assert (KILLED + HOUR / 2).timestamp() not in at
    # the evidence, sample by sample
    samples = [t for t in at if KILLED.timestamp() <= t < (KILLED + HOUR).timestamp()]
    stored = pg.query(f"SELECT count(*) FROM series({PROCESS}, 'rss', '{KILLED}', '{KILLED + HOUR}')")[0][0]
    assert len(samples) == stored > 3
    assert [t for t, _ in said["points"]] == sorted(at)


def test_too_long_a_time_is_told(c):
    assert c.status(f"/processes/{PROCESS}/series?from=2020-01-01T00:00:00Z") == 400


def test_what_has_no_rollup_has_only_its_evidence(pg, c):
    test_evidence_is_held_and_the_rest_goes(pg, c)
    said = series(c, f"processes/{PROCESS}", metric="fds", **{"from": GONE, "to": GONE + DAY})
    assert all(KILLED - 2 * HOUR <= datetime.datetime.fromtimestamp(t, datetime.timezone.utc) for t, _ in said["points"])


def day(pg, proc=PROCESS):
    return pg.query("""SELECT n, rss_min, rss_max, rss_avg, rss_first, rss_last, cpu_ms, round(rss_slope_kib_h::numeric, 3), service
                         FROM rollup_1d WHERE t0 = %s AND proc_id = %s""", GONE, proc)


def test_a_day_is_made_of_its_hours(pg, c):
    wait_for("the day", lambda: day(pg))
    # Rows before noon tell the hour of their windows, later ones the window.
    points = [(h + (w / 2 if h >= 12 else 0), 1000 + h) for h in range(24) for w in (0, 1)]
    slope = statistics.linear_regression(*zip(*points)).slope
    assert day(pg) == [(48 * 6, 1000, 1024, 1012, 1000, 1024, 480, round(decimal.Decimal(slope), 3), "shop")]
    assert day(pg, 5) == []  # there in one window: it stays in the hours
    assert pg.query("SELECT n, rss_min, gc_uncollectable FROM rollup_1d WHERE proc_id = 7") == [(24, None, None)]
    assert pg.query("SELECT seals FROM rollup_day WHERE t0 = %s", GONE) == [(49,)]


MAKING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'WITH grid AS%' AND state = 'active' AND pid <> pg_backend_pid()"


def test_late_data_is_folded_in_once_though_killed_meanwhile(pg, c, tmp_path):
    """kill -9 after the number of seals and before the commit: a lock on the day's figures holds the program there."""
    test_a_day_is_made_of_its_hours(pg, c)
    os.kill(c.p.pid, signal.SIGSTOP)  # it asks for the next day that is due just now, and would make this one
    try:
        add_hour(pg, GONE + 23 * HOUR, 1, n=12, first=5000, last=3000)  # a peak and another last value
        lock = psycopg2.connect(pg.conninfo)
        with lock.cursor() as cur:
            cur.execute("SELECT 1 FROM rollup_1d WHERE t0 = %s AND proc_id = %s FOR UPDATE", (GONE, PROCESS))
        victim = Collector(pg, str(tmp_path))
        wait_for("the day under way", lambda: pg.query(f"{MAKING} AND wait_event_type = 'Lock'"))
        victim.p.kill()
        victim.p.wait()
        victim.p.stdin.close()
        lock.rollback()
        lock.close()
        wait_for("its end", lambda: not pg.query(MAKING))
        assert day(pg)[0][0] == 48 * 6 and pg.query("SELECT seals FROM rollup_day WHERE t0 = %s", GONE) == [(49,)]
        again = Collector(pg, str(tmp_path))
        wait_for("the day again", lambda: day(pg)[0][0] == 48 * 6 + 12)
        (_, low, high, avg, first, last, cpu, _, _), = day(pg)
        assert (low, high, first, last, cpu) == (1000, 5000, 1000, 3000, 490)
        assert avg == round((sum(1000 + h for h in range(24)) * 12 + 4000 * 12) / (48 * 6 + 12))
        again.close()
    finally:
        os.kill(c.p.pid, signal.SIGCONT)


def test_a_reader_stalls_nothing(pg, tmp_path):
    """G8, its short form: a transaction reads every table for 8 s while leaves are made, detached and dropped."""
    old = TODAY - 30 * DAY
    for table in "chunk", "host_chunk":
        leaf(pg, table, old, DAY)
    leaf(pg, "inbox", old, HOUR)
    collector = Collector(pg, str(tmp_path))
    collector.say("keyframe 1000")
    reader = psycopg2.connect(pg.conninfo)
    with reader.cursor() as cur:
        for table in "chunk", "host_chunk", "inbox", "event", "rollup_1h", "rollup_window", "census", "process", "agent_stream":
            cur.execute(f"SELECT count(*) FROM {table}")
    made = []

    def make():
        t = time.monotonic()
        leaf(pg, "event", datetime.datetime(2031, 1, 1, tzinfo=datetime.timezone.utc), 31 * DAY)
        leaf(pg, "inbox", datetime.datetime(2031, 1, 1, tzinfo=datetime.timezone.utc), HOUR)
        made.append(time.monotonic() - t)

    maker = threading.Thread(target=make)
    maker.start()
    worst, begin, waits = 0, time.monotonic(), 0
    while time.monotonic() < begin + 8:
        t = time.monotonic()
        collector.say(f"tick {1000 + int(t)}")
        worst = max(worst, time.monotonic() - t)
        waits += bool(pg.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE%DETACH%' AND state = 'active'"))
        time.sleep(0.1)
    maker.join()
    reader.close()
    print(f"longest time to store a batch: {worst:.2f} s, a leaf made in {made[0]:.2f} s")
    assert waits, "retention was not at work"
    assert worst < 1 and made[0] < 1
    collector.close()
    after = Collector(pg, str(tmp_path))  # its first round comes after 5 s
    wait_for("the old leaves to go", lambda: not [t for t in ("chunk", "host_chunk") if f"{t}_p{old:%Y%m%d}" in leaves(pg, t)])
    after.close()


def test_a_leaf_that_cannot_be_detached_is_dropped_in_a_quiet_moment(pg, tmp_path):
    """A table that Citus distributes is known by its trigger: here one of that name. test_citus.py has the real one."""
    old = TODAY - 31 * DAY
    name = leaf(pg, "chunk", old, DAY)
    pg.query("CREATE FUNCTION citus_truncate_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    pg.query("CREATE TRIGGER t BEFORE TRUNCATE ON chunk FOR EACH STATEMENT EXECUTE FUNCTION citus_truncate_trigger()")
    reader = psycopg2.connect(pg.conninfo)
    with reader.cursor() as cur:
        cur.execute("SELECT count(*) FROM chunk")
        collector = Collector(pg, str(tmp_path))
        wait_for("word of the reader", lambda: f"leaf={name} state=busy" in (tmp_path / "driver.log").read_text())
        collector.say("keyframe 1000")
        assert name in leaves(pg, "chunk"), "not detached"
    reader.close()
    wait_for("the leaf to go", lambda: pg.query("SELECT to_regclass(%s)", name) == [(None,)])
    collector.close()
    pg.query("DROP FUNCTION citus_truncate_trigger CASCADE")
