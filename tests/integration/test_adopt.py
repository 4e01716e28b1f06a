# SPDX-License-Identifier: Apache-2.0
"""A collector that is gone for good: the one that leads seals what it received, once, also when it comes back
or wakes up; and an agent that moved while a window was open has its samples in both halves."""
import contextlib
import os
import pathlib
import re
import signal
import sys
import time

import psycopg2
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402
from stack import wait_for  # noqa: E402

WINDOW = 10
SILENT = 5


@pytest.fixture
def pair():
    with collectors.Pair(window=f"{WINDOW}s", options={"adopt_after": f"{SILENT}s"}) as p:
        yield p


def test_what_a_dead_collector_received_is_sealed(pair):
    pid, procs = collectors.started(pair)
    del pid
    since = time.time()
    time.sleep(WINDOW / 2)
    pair.stacks[1].programs["collector"].stop(signal.SIGKILL)
    assert pair.sql(collectors.UNSEALED, 1)[0][0] > 0, "it left something"
    wait_for("the host at the first", lambda: {h["name"]: h["connected"] for h in pair.stacks[0].items("/hosts")}[
        "second"], 30)
    wait_for("its batches in chunks", lambda: pair.sql(collectors.UNSEALED, 1) == [(0,)],
             collectors.GRACE + 2 * WINDOW + 3 * SILENT + 20, 0.5)
    assert pair.sql("SELECT oldest IS NULL AND adopted IS NOT NULL FROM collector WHERE collector_id = 1") == [(True,)]
    until = time.time()
    collectors.seal_everything(pair, until)
    for host, proc in procs.items():
        collectors.check(pair, proc, host, since, until)
    log = pair.stacks[0].programs["collector"].log.read_text()
    assert "store=adopt collector=1" in log and "state=done" in log
    metrics = pair.stacks[0].get("/metrics", raw=True).decode()
    assert re.search(r"(?m)^memherd_adopted_windows_total [1-9]", metrics)


def test_one_that_wakes_up_or_starts_anew_seals_nothing_twice(pair):
    _, procs = collectors.started(pair)
    since = time.time()
    time.sleep(WINDOW / 2)
    b = pair.stacks[1]
    os.kill(b.programs["collector"].pid, signal.SIGSTOP)
    wait_for("its batches in chunks", lambda: pair.sql(collectors.UNSEALED, 1) == [(0,)], collectors.GRACE + 2 * WINDOW + 3 * SILENT + 30, 0.2)
    os.kill(b.programs["collector"].pid, signal.SIGCONT)
    assert b.programs["collector"].process.wait(30) != 0, "it ends: another took over what it received"
    assert "took us for gone" in b.programs["collector"].log.read_text()
    b.programs["collector"].file.close()
    b.start_collector()
    until = time.time() + 2
    collectors.seal_everything(pair, until)
    for host, proc in procs.items():
        collectors.check(pair, proc, host, since, until - 2)


@contextlib.contextmanager
def in_hand(pair, host):
    """What comes of this host is not stored: its collector waits for it, and at the end has lost its connection. (What
    is only in a collector's socket may be thrown away with an agent that was silent for too long.)"""
    with contextlib.closing(psycopg2.connect(pair.pg.url)) as c, c.cursor() as cur:
        cur.execute("SELECT FROM agent_stream WHERE host_id = %s FOR UPDATE", (host,))
        yield
        cur.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pg_backend_pid() = ANY "
                    "(pg_blocking_pids(pid))")
        assert cur.fetchall() in ([], [(True,)])  # none: it hung before it had sent it


def test_what_comes_late_by_an_old_connection_is_refused():
    """A collector hangs with a batch in hand, its agent goes to the other one; when it wakes up it stores what the agent
    had sent before it left, of which the other has stored the same numbers by then."""
    with collectors.Pair(window=f"{WINDOW}s") as pair:
        a, b = pair.stacks
        _, procs = collectors.started(pair)
        since = time.time()
        pid = b.programs["collector"].pid

        def told(name):
            text = (b.get("/metrics", raw=True) or b"").decode()
            found = re.search(rf"(?m)^memherd_{name} (\d+)", text)
            return found and int(found.group(1))
        with in_hand(pair, 2):
            wait_for("a batch in hand", lambda: told("ingest_queue_bytes"), 30)
            os.kill(pid, signal.SIGSTOP)
        try:
            wait_for("the host at the first", lambda: {h["name"]: h["collector"] for h in a.items("/hosts")}["second"]
                     == f"127.0.0.1:{a.stream}", 90)
            wait_for("batches by the new way", lambda: pair.sql(
                "SELECT count(*) FROM inbox WHERE host_id = 2 AND writer = 0")[0][0] > 3, 30)
        finally:
            os.kill(pid, signal.SIGCONT)

        assert wait_for("refused batches", lambda: told("ingest_fenced_total"), 60) > 0
        # Of each stream the numbers by the old way end where those by the new one begin.
        rows = pair.sql("SELECT epoch, min(seq) FILTER (WHERE writer = 0), max(last) FILTER (WHERE writer = 1) "
                        "FROM inbox WHERE host_id = 2 GROUP BY epoch")
        assert any(new and old for _, new, old in rows)
        assert all(new == old + 1 for _, new, old in rows if new and old), rows
        until = time.time()
        collectors.seal_everything(pair, until)
        collectors.check(pair, procs[2], 2, since, until - 2)
