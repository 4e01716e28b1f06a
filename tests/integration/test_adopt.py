# SPDX-License-Identifier: Apache-2.0
"""A collector that is gone for good: the one that leads seals what it received, once, also when it comes back
or wakes up; and an agent that moved while a window was open has its samples in both halves."""
import os
import pathlib
import re
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402
from stack import wait_for  # noqa: E402

WINDOW = 10
SILENT = 5
GRACE = 30  # of sealing: collector/store/store.c

# How often a process was seen, by the chunks: points of its RSS, each time once.
SEEN = """
SELECT t, count(*) FROM (
    SELECT c.t0 + ms * interval '1 ms' AS t
      FROM chunk AS c, LATERAL unnest(mh_col(c.d, -1, c.n)) AS ms
     WHERE c.host_id = %s AND c.proc_id = %s) AS s
 GROUP BY t ORDER BY t
"""
# What of a writer's batches is in no chunk.
UNSEALED = """
SELECT count(*) FROM inbox AS i LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
 WHERE i.writer = %s AND (a.done IS NULL OR i.rcv > a.done)
"""


@pytest.fixture
def pair():
    with collectors.Pair(window=f"{WINDOW}s", options={"adopt_after": f"{SILENT}s"}) as p:
        yield p


def started(pair):
    """The process that is watched, and its ids by host."""
    pid = pair.target().pid
    a = pair.stacks[0]
    return pid, {h: int(wait_for("the process", lambda h=h: collectors.process_of(a, h, pid), 60)["id"].split("-")[-1])
                 for h in (1, 2)}


OPEN = """
SELECT i.t0::text, i.writer, i.host_id, i.epoch, i.seq, i.last, i.rcv::text, a.done::text, now()::text
  FROM inbox AS i LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
 WHERE i.rcv < to_timestamp(%s) AND (a.done IS NULL OR i.rcv > a.done) ORDER BY i.rcv
"""


def seal_everything(pair, until):
    """Every batch received before that time is in chunks."""
    try:
        wait_for("all of it in chunks", lambda: not pair.sql(OPEN, until), GRACE + 4 * WINDOW + 30, 0.5)
    except TimeoutError as e:
        logs = [s.programs["collector"].log.read_text()[-3000:] for s in pair.stacks]
        raise TimeoutError("\n".join([str(e), *map(str, pair.sql(OPEN, until)), *logs])) from None


def check(pair, proc, host_id, since, until):
    """A sample a second, each once, no hole."""
    rows = [(t.timestamp(), n) for t, n in pair.sql(SEEN, host_id, proc)]
    assert rows and {n for _, n in rows} == {1}, [r for r in rows if r[1] != 1]
    times = [t for t, _ in rows if since <= t < until]
    assert len(times) > (until - since) * 0.8, (len(times), until - since)
    holes = [(x, y) for x, y in zip(times, times[1:]) if y - x > 4]
    assert not holes and times[0] - since < 4 and until - times[-1] < 4, holes
    bad = pair.sql("SELECT * FROM stream_account WHERE NOT ok")
    assert not bad, bad
    # Rollups count what the chunks hold.
    assert pair.sql("SELECT sum(n) FROM rollup_1h WHERE host_id = %s AND proc_id = %s", host_id, proc) == pair.sql(
        "SELECT sum(n) FROM chunk WHERE host_id = %s AND proc_id = %s", host_id, proc)


def test_what_a_dead_collector_received_is_sealed(pair):
    pid, procs = started(pair)
    del pid
    since = time.time()
    time.sleep(WINDOW / 2)
    pair.stacks[1].programs["collector"].stop(signal.SIGKILL)
    assert pair.sql(UNSEALED, 1)[0][0] > 0, "it left something"
    wait_for("the host at the first", lambda: {h["name"]: h["connected"] for h in pair.stacks[0].items("/hosts")}[
        "second"], 30)
    wait_for("its batches in chunks", lambda: pair.sql(UNSEALED, 1) == [(0,)], GRACE + 2 * WINDOW + 3 * SILENT + 20, 0.5)
    assert pair.sql("SELECT oldest IS NULL AND adopted IS NOT NULL FROM collector WHERE collector_id = 1") == [(True,)]
    until = time.time()
    seal_everything(pair, until)
    for host, proc in procs.items():
        check(pair, proc, host, since, until)
    log = pair.stacks[0].programs["collector"].log.read_text()
    assert "store=adopt collector=1" in log and "state=done" in log
    metrics = pair.stacks[0].get("/metrics", raw=True).decode()
    assert re.search(r"(?m)^memherd_adopted_windows_total [1-9]", metrics)


def test_one_that_wakes_up_or_starts_anew_seals_nothing_twice(pair):
    _, procs = started(pair)
    since = time.time()
    time.sleep(WINDOW / 2)
    b = pair.stacks[1]
    os.kill(b.programs["collector"].pid, signal.SIGSTOP)
    wait_for("its batches in chunks", lambda: pair.sql(UNSEALED, 1) == [(0,)], GRACE + 2 * WINDOW + 3 * SILENT + 30, 0.2)
    os.kill(b.programs["collector"].pid, signal.SIGCONT)
    assert b.programs["collector"].process.wait(30) != 0, "it ends: another took over what it received"
    assert "took us for gone" in b.programs["collector"].log.read_text()
    b.programs["collector"].file.close()
    b.start_collector()
    until = time.time() + 2
    seal_everything(pair, until)
    for host, proc in procs.items():
        check(pair, proc, host, since, until - 2)


def test_what_comes_late_by_an_old_connection_is_refused():
    """A collector hangs, its agent goes to the other one; when it wakes up it reads what the agent had sent before it
    left, of which the other has stored the same numbers by then."""
    with collectors.Pair(window=f"{WINDOW}s") as pair:
        a, b = pair.stacks
        _, procs = started(pair)
        since = time.time()
        pid = b.programs["collector"].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for("the host at the first", lambda: {h["name"]: h["collector"] for h in a.items("/hosts")}["second"]
                     == f"127.0.0.1:{a.stream}", 90)
            wait_for("batches by the new way", lambda: pair.sql(
                "SELECT count(*) FROM inbox WHERE host_id = 2 AND writer = 0")[0][0] > 3, 30)
        finally:
            os.kill(pid, signal.SIGCONT)

        def fenced():
            text = (b.get("/metrics", raw=True) or b"").decode()
            found = re.search(r"(?m)^memherd_ingest_fenced_total (\d+)", text)
            return found and int(found.group(1))
        assert wait_for("refused batches", fenced, 20) > 0
        # Of each stream the numbers by the old way end where those by the new one begin.
        rows = pair.sql("SELECT epoch, min(seq) FILTER (WHERE writer = 0), max(last) FILTER (WHERE writer = 1) "
                        "FROM inbox WHERE host_id = 2 GROUP BY epoch")
        assert any(new and old for _, new, old in rows)
        assert all(new == old + 1 for _, new, old in rows if new and old), rows
        until = time.time()
        seal_everything(pair, until)
        check(pair, procs[2], 2, since, until - 2)
