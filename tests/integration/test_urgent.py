# SPDX-License-Identifier: Apache-2.0
"""What is urgent does not wait behind samples: a real link and a real collector, with a sense that
produces what a test orders (drivers/agent.c)."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/support")]
import inbox  # noqa: E402
from kills import GAP_UNCLEAN_END, LANES, count_streams  # noqa: E402
from stack import Stack, sanitizer_report, wait_for  # noqa: E402

DRIVER = ROOT / os.environ.get("B", "build/release-gcc") / "drivers/agent"
TICKS = 200             # of some 50 KB: several times what the collector lets be under way
GRANT = 4 * 1024 * 1024  # collector/fleet/session_greet.c
FRAME = 256 * 1024


class World:
    def __init__(self, collector=None, window="30min"):
        self.stack = Stack(window=window, agent={"spool_memory": "16MiB", "spool_disk": 0},
                           collector={"agent_rate": "64MiB", **(collector or {})})
        self.agent = self.log = None
        try:
            self.stack.start_sink()
            self.stack.start_collector()
            self.stack.enroll_agent()
            self.log = open(self.stack.path("driver.log"), "wb")
            self.agent = subprocess.Popen([DRIVER, self.stack.path("agent.conf")],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
            self.begun()
        except BaseException:
            self.close()
            raise

    def begun(self):
        """A sense has started: its first tick and event are stored."""
        wait_for("the streams", lambda: [n for _, n in self.streams() if n == 1] == [1] * LANES)

    def order(self, what, n):
        self.agent.stdin.write(f"{what} {n}\n".encode())
        self.agent.stdin.flush()
        assert self.agent.stdout.readline() == b"ok\n"
        time.sleep(0.5)  # link reads the last of it

    def said(self):
        return self.stack.path("driver.log").read_text(errors="replace")

    def child(self, name):
        return int(re.findall(rf"child={name} pid=(\d+) started", self.said())[-1])

    def streams(self):
        """(epoch, last number) of the link that runs, newest streams only."""
        return self.stack.sql("SELECT epoch, last_seq FROM agent_stream WHERE conn = (SELECT max(conn) FROM agent_stream)")

    def wait_stored(self, ticks, others):
        wait_for(f"{ticks} ticks and {others} others stored",
                 lambda: sorted(n for _, n in self.streams()) == sorted((ticks, others)), 60)

    def arrivals(self):
        """[(kind, first, last, bytes)] of the streams of now in the order in which the collector got them."""
        kinds = {e: "ticks" if n >= TICKS else "others" for e, n in self.streams()}
        assert sorted(kinds.values()) == ["others", "ticks"]
        rows = self.stack.sql("SELECT epoch, seq, last, codec, d FROM inbox ORDER BY rcv")
        return [(kinds[e], first, last, len(inbox.batch(codec, d))) for e, first, last, codec, d in rows if e in kinds]

    def end(self):
        """Ends the agent in order; {epoch: stored} as its links said."""
        self.agent.send_signal(signal.SIGTERM)
        assert self.agent.wait(20) == 0
        ends = re.findall(r"stream=(\w+) ends lane=\w+ produced=(\d+) stored=(\d+)", self.said())
        assert len(ends) == LANES and all(made == stored for _, made, stored in ends), ends
        return {int(e, 16): int(stored) for e, _, stored in ends}

    def close(self):
        report = ""
        if self.agent and self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        if self.log:
            self.log.close()
            print(self.said())
            report = sanitizer_report(self.stack.path("driver.log"))
        self.stack.close()
        assert not report, report


@pytest.fixture
def world():
    w = World()
    try:
        yield w
    finally:
        w.close()


def assert_counted(world):
    streams, records = count_streams(world.stack.sql, world.end())
    return streams, records


def test_after_an_outage_the_kills_are_stored_first(world):
    assert world.stack.programs["collector"].stop() == 0
    world.order("ticks", TICKS)
    world.order("kills", 14)
    world.order("events", 1)
    world.stack.start_collector()
    world.wait_stored(1 + TICKS, 1 + 15)
    arrivals = [a for a in world.arrivals() if a[1] > 1]  # without what came before the outage
    assert arrivals[0][:3] == ("others", 2, 16)
    assert {a[0] for a in arrivals[1:]} == {"ticks"}
    assert assert_counted(world) == (LANES, 1 + TICKS + 1 + 15)


@contextlib.contextmanager
def standing_still(postmaster):
    """PostgreSQL, all of it: the postmaster first, so that nothing new is started."""
    postmaster.suspend()
    stopped = [postmaster]
    try:
        for p in postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it was about to end
                p.suspend()
                stopped.append(p)
        yield
    finally:
        for p in reversed(stopped):
            with contextlib.suppress(psutil.NoSuchProcess):
                p.resume()


def test_a_database_that_stands_still_holds_no_kill_back(world):
    pid = int(world.stack.path("pg/data/postmaster.pid").read_text().split()[0])
    with standing_still(psutil.Process(pid)):
        world.order("ticks", TICKS)
        world.order("kills", 1)
        world.order("postures", 1)
    world.wait_stored(1 + TICKS, 1 + 2)
    arrivals = [a for a in world.arrivals() if a[1] > 1]
    at = next(i for i, a in enumerate(arrivals) if a[0] == "others")
    before, after = arrivals[:at], arrivals[at + 1:]
    # Behind what was under way, and before what waited.
    assert sum(size for *_, size in before) <= GRANT + FRAME
    assert sum(size for kind, *_, size in after if kind == "ticks") > GRANT
    assert assert_counted(world) == (LANES, 1 + TICKS + 1 + 2)


def test_a_killed_link_without_a_disk_leaves_a_gap_on_each_lane(world):
    first = dict(world.streams())
    world.order("kills", 3)
    world.wait_stored(1, 1 + 3)
    ended = dict(world.streams())
    assert ended.keys() == first.keys()
    os.kill(world.child("link"), signal.SIGKILL)
    wait_for("new streams", lambda: not dict(world.streams()).keys() & first.keys(), 30)
    world.begun()
    gaps = world.stack.sql("SELECT epoch, from_seq, to_seq, reason FROM gap")
    assert sorted(gaps) == sorted((e, n + 1, n + 1, GAP_UNCLEAN_END) for e, n in ended.items())
    world.order("kills", 2)
    world.wait_stored(1, 1 + 2)
    assert assert_counted(world) == (2 * LANES, 1 + 4 + 1 + 3)


def test_a_window_of_events_alone_is_sealed():
    """So that a restart reads no batch of it, and nothing waits for it."""
    with contextlib.closing(World(window="10s")) as w:
        w.wait_stored(1, 1)
        before = w.stack.sql("SELECT max(t0) FROM inbox")[0][0].timestamp()
        wait_for("the next window", lambda: time.time() > before + 10.5)
        w.order("events", 3)
        w.wait_stored(1, 4)
        alone = w.stack.sql("SELECT t0 FROM inbox ORDER BY rcv DESC LIMIT 1")[0][0]
        assert alone.timestamp() > before
        # grace of sealing: collector/store/store.c
        wait_for("its row", lambda: w.stack.sql("SELECT 1 FROM compaction WHERE t0 = %s AND shard >= 0", alone), 90, 0.5)
        assert w.stack.sql("SELECT count(*) FROM inbox AS i LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer"
                           " WHERE a.done IS NULL OR i.rcv > a.done") == [(0,)]
        w.end()
