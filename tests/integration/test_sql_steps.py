# SPDX-License-Identifier: Apache-2.0
"""series() in steps against every sample, read one by one: chunks of every shape, of our own making so that there are some
that the collector would hardly write, in several parts, held ones among them."""
import datetime
import itertools
import os
import random
import subprocess
import sys

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from pg_private import Postgres  # noqa: E402

COLLECTOR = os.path.join(os.environ.get("BIN", f"{ROOT}/build"), "memherd-collector")
START = datetime.datetime(2026, 3, 4, 22, tzinfo=datetime.timezone.utc)
WINDOW = datetime.timedelta(minutes=30)
OBJECTS = {0: 4711, 1: 0, 2: 815, 3: 4711 ^ 5}
# Enough of each: rss and anon (predicted) of a process, a counter of it, of the host, of a cgroup, of an interpreter.
METRICS = [(0, "rss", 0), (0, "anon", 3), (0, "cpu", 12), (1, "available", 1), (2, "usage", 0), (3, "gc_time", 18)]
STEPS = ["40 s", "45.5 s", "288 s", "7 s", "0.5 s", "0.0003 s", "1 hour 0.000001 s", "1 day", "5000 days"]


# ---- chunks (the format is in collector/store/chunk.h) ----

def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out) + bytes([v])


def zigzag(v):
    return varint(2 * v if v >= 0 else -2 * v - 1)


def differences(deltas):
    out = b""
    for zero, run in itertools.groupby(deltas, lambda d: d == 0):
        run = list(run)
        out += b"\0" + varint(len(run) - 1) if zero else b"".join(map(zigzag, run))
    return out


def column(values, gcd):
    there = [v for v in values if v is not None]
    if not there:
        return b""
    holes = len(there) < len(values)
    out = varint(gcd << 1 | holes)
    if holes:
        runs = [(k, len(list(g))) for k, g in itertools.groupby(values, lambda v: v is not None)]
        out += (b"" if runs[0][0] else b"\0") + b"".join(varint(n) for _, n in runs)
    if any(there):
        out += zigzag(there[0])
        out += differences([(b - a) // gcd for a, b in zip(there, there[1:])]) if gcd else b""
    return out


def encode(times, step, columns, brief=True):
    """brief: as the collector does, which says nothing of times that are all one step apart."""
    out = b"\1" + varint(len(times)) + zigzag(times[0]) + varint(step)
    off = [b - a - step for a, b in zip(times, times[1:])]
    told = differences(off) if any(off) or not brief else b""
    out += varint(len(told)) + told + varint(len(columns))
    return out + b"".join(varint(len(c)) + c for c in columns)


def some_times(rnd, n, step):
    """On the grid, with jumps, with a jump at once, all over the place, or several at one time."""
    how, t, out = rnd.randrange(7), rnd.randrange(-5000, 100000), []
    for i in range(n):
        out.append(t)
        t += step
        if how == 3 or how == 4 and i == 0 or how in (1, 2) and rnd.random() < 0.04:
            t += rnd.randrange(-step, 3 * step)
        elif how == 5 and rnd.random() < 0.3:
            t -= step
    return out


def some_values(rnd, n, shape):
    v, out = rnd.choice((0, 0, *[rnd.randrange(1000)] * 6, 2**60)), []
    for _ in range(n):
        out.append(v)
        v = {0: v, 1: v + rnd.choice((0, 0, 0, 0, 0, 0, 0, 4, -8, 400)), 2: rnd.randrange(-10**6, 10**6),
             3: v + rnd.randrange(70), 4: rnd.choice((v, 2**60, -2**60, 5)), 5: 0,
             6: v + (rnd.random() < 0.02) * 10 ** rnd.randrange(16), 7: v + 40 * (len(out) == n - 5)}[shape]
    return out


def some_column(rnd, n):
    values, gcd = some_values(rnd, n, rnd.randrange(8)), rnd.choice((1, 1, 4, 80, 2**22, 2**45))
    if rnd.random() < 0.1:
        return b""
    if rnd.random() < 0.2:
        return column([None if rnd.random() < 0.1 else v for v in values], 1)
    if len(set(values)) == 1:
        return column(values, rnd.choice((0, 1)))
    if max(map(abs, values)) * gcd > 2**60:
        gcd = 1
    return column([v * gcd for v in values], gcd)


def some_chunk(rnd):
    n, step = rnd.choice((1, 2, 3, 60, 180, 180, 180, 180, 300)), rnd.choice((10000, 10000, 10000, 1000, 60000))
    told = rnd.choice((step, step, step, step, step, step, step, 0, 7000))
    return n, encode(some_times(rnd, n, step), told, [some_column(rnd, n) for _ in range(rnd.choice((13, 20, 30)))],
                     rnd.random() < 0.9)


# ---- a server with them ----

@pytest.fixture(scope="module")
def pg():
    rnd = random.Random(20)
    with Postgres() as server:
        server.query("INSERT INTO meta VALUES ('schema_version', %s)", str(int(max(os.listdir(f"{ROOT}/sql/migrations"))[:4])))
        subprocess.run([COLLECTOR, "migrate", "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                        f"database=postgresql:///postgres?host={server.dir}&user=postgres"], check=True, capture_output=True)
        with psycopg2.connect(server.conninfo) as c, c.cursor() as cur:
            for table in "chunk", "host_chunk", "chunk_held", "host_chunk_held":
                cur.execute("SELECT mh_make_leaf(%s, %s, %s)", (table, START - datetime.timedelta(days=2),
                                                                START + datetime.timedelta(days=2)))
            cur.execute("INSERT INTO host (host_id, uuid, name) VALUES (7, gen_random_uuid(), 'web-17')")
            cur.execute("""INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe,
                                                cgroup, service, first_seen)
                           VALUES (7, 4711, gen_random_uuid(), 42, 1, 1, 0, 'x', 'x', 'x', 'x', 'x', %s)""", (START,))
            for kind, window in itertools.product(OBJECTS, range(14)):
                t0 = START + window * WINDOW
                for part in range(rnd.choice((0, 1, 1, 1, 2, 3))):
                    put(cur, rnd, kind, t0, part, *some_chunk(rnd))
        c.close()
        yield server


def put(cur, rnd, kind, t0, part, n, d):
    where = rnd.choice((("",), ("",), ("_held",), ("", "_held")))
    for held in where:
        if kind == 0:
            cur.execute(f"INSERT INTO chunk{held} VALUES (%s, 7, %s, %s, %s, 1, %s)", (t0, OBJECTS[0], part, n, d))
        else:
            cur.execute(f"INSERT INTO host_chunk{held} VALUES (%s, 7, %s, %s, %s, %s, 1, %s)",
                        (t0, kind, OBJECTS[kind], part, n, d))


SOURCE = {True: """SELECT t0, part, n, d FROM chunk WHERE proc_id = %(obj)s
                   UNION SELECT t0, part, n, d FROM chunk_held WHERE proc_id = %(obj)s""",
          False: """SELECT t0, part, n, d FROM host_chunk WHERE kind = %(kind)s AND obj_id = %(obj)s
                    UNION SELECT t0, part, n, d FROM host_chunk_held WHERE kind = %(kind)s AND obj_id = %(obj)s"""}


def sample_by_sample(cur, kind, k, lo, hi, step):
    """Of several samples at the last time of a counter's step it is the greatest."""
    cur.execute(f"""
        SELECT date_bin(%(step)s, p.t, '1970-01-01Z'),
               (CASE WHEN m.counter THEN (array_agg(p.v ORDER BY p.t DESC, p.v DESC))[1] ELSE avg(p.v) END)::float8 * m.factor,
               min(p.v) * m.factor, max(p.v) * m.factor
          FROM (SELECT c.t0 + s.ms * interval '1 millisecond' AS t, s.v
                  FROM ({SOURCE[kind == 0]}) AS c,
                       LATERAL unnest(mh_col(c.d, -1, c.n), mh_values(%(kind)s, c.d, %(k)s, c.n)) AS s(ms, v)
                 WHERE c.t0 = ANY (mh_grid(%(lo)s, %(hi)s))) AS p,
               metric AS m
         WHERE p.v IS NOT NULL AND p.t >= %(lo)s AND p.t < %(hi)s AND m.kind = %(kind)s AND m.number = %(k)s
         GROUP BY 1, m.counter, m.factor ORDER BY 1""",
                {"kind": kind, "obj": OBJECTS[kind], "k": k, "lo": lo, "hi": hi, "step": step})
    return cur.fetchall()


RANGES = [(datetime.timedelta(hours=-1), datetime.timedelta(hours=9)),
          (datetime.timedelta(minutes=47, microseconds=123457), datetime.timedelta(hours=5, milliseconds=3, microseconds=1)),
          (datetime.timedelta(hours=4), datetime.timedelta(hours=4, minutes=2))]


@pytest.mark.parametrize("kind, name, k", METRICS)
def test_steps_are_those_of_the_samples(pg, kind, name, k):
    """To the last digit, whatever way a chunk goes."""
    rows = 0
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        for step, (lo, hi) in itertools.product(STEPS, RANGES):
            expected = sample_by_sample(cur, kind, k, START + lo, START + hi, step)
            cur.execute("SELECT * FROM mh_series(%s, 7, %s, %s, %s, %s, %s)", (kind, OBJECTS[kind], name, START + lo,
                                                                                START + hi, step))
            assert cur.fetchall() == expected, (step, lo, hi)
            rows += len(expected)
    c.close()
    assert rows > 500


@pytest.mark.parametrize("lo, hi, step", [("12:00", "12:00", "5 min"), ("13:00", "12:00", "5 min"), ("13:00", "12:00", "1 s"),
                                          ("2020-03-04 12:00", "2020-03-04 13:00", "5 min")])
def test_of_no_time_there_is_nothing(pg, lo, hi, step):
    day = "" if "-" in lo else "2026-03-05 "
    assert pg.query("SELECT * FROM series(4711, 'rss', %s, %s, %s)", day + lo + "Z", day + hi + "Z", step) == []


def test_of_who_is_not_known_there_is_nothing(pg):
    assert pg.query("SELECT * FROM series(4712, 'rss', %s, %s, '5 min')", START, START + WINDOW) == []


@pytest.mark.parametrize("step", ["5 min", "1 s"])
@pytest.mark.parametrize("lo, says", [("-infinity", "more than 65536 windows"), ("1900-01-01Z", "more than 65536 windows")])
def test_too_long_a_time_is_an_error(pg, lo, says, step):
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match=says):
        pg.query("SELECT * FROM series(4711, 'rss', %s, %s, %s)", lo, START, step)


def test_a_summer_time_moves_no_step(pg):
    """Europe's clocks were set forward on 29 March, New York's on 8 March."""
    asked = "SELECT t AT TIME ZONE 'UTC', value FROM series(4711, 'rss', '2026-02-10Z', '2026-04-10Z', %s)"
    for step in "10 days", "1 day 12:00":
        with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
            told = []
            for zone in "UTC", "Europe/Berlin", "America/New_York":
                cur.execute("SELECT set_config('timezone', %s, true)", (zone,))
                cur.execute(asked, (step,))
                told.append(cur.fetchall())
            assert told[0] and told[0] == told[1] == told[2]
        c.close()


def three(*columns):
    return encode([0, 10000, 20000], 10000, columns)


@pytest.mark.parametrize("d, n, says", [
    (b"\2", 3, "chunk format 2 is not known"),
    (three(b"\2\2\2\2"), 4, "chunk holds 3 samples, not 4"),
    (three(b"\2\2\2", b"\2\2\2\2"), 3, "chunk of 3 samples is damaged"),  # a sample too few: it must not be the next column's
    (three(b"\2\2\2\2")[:-2], 3, "out of valid range"),
    (b"\1\3\0" + varint(10000) + b"\2\0\7" + b"\1\4\2\2\2\2", 3, "out of valid range|is damaged"),  # a run of times too long
])
def test_a_damaged_chunk_is_an_error(pg, d, n, says):
    with pytest.raises(psycopg2.Error, match=says):
        pg.query("SELECT * FROM mh_steps(1, %s, 0, %s, false, 0, 0, 1000000000, 100000000)", psycopg2.Binary(d), n)


def test_a_sound_chunk_of_that_kind_is_none(pg):
    """So that the errors are of what was damaged."""
    d = three(b"\2\2\2\2", b"\2\2\2\2")
    assert pg.query("SELECT * FROM mh_steps(1, %s, 0, 3, false, 0, 0, 1000000000, 100000000)",
                    psycopg2.Binary(d)) == [(0, 20000000, 3, 6, 1, 3)]
