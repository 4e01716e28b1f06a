# SPDX-License-Identifier: Apache-2.0
"""Kills what the main path is made of while it works, and counts afterwards: every record that an
agent numbered is stored once, or a gap says that it is not there."""
import os
import pathlib
import random
import re
import signal
import sys
import time

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/support")]
import inbox  # noqa: E402
from crowd import ROW_BYTES, Crowd  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

GAP_UNCLEAN_END = 2
LANES = 2  # streams of one link: what is urgent, and samples
# The supervisor waits up to 30 s before it starts again what dies often.
RECOVERY_SECONDS = 60
# A sealed window keeps times to within a hundredth of its step, at most this (collector/store/chunk.h).
SEALED_SLACK = 0.1


def missing(before, after):
    """What {time: value} had before and has not after. A sample may have moved by what sealing its
    window moves it, but keeps its value and its place in the order, and each stands for one only."""
    lost, rest = {}, sorted(after.items())
    for t, v in sorted(before.items()):
        at = next((i for i, (u, w) in enumerate(rest) if abs(u - t) < SEALED_SLACK + 1e-4 and w == v), None)
        if at is None:
            lost[t] = v
        else:
            del rest[:at + 1]
    return lost


def count_streams(sql, said_stored):
    """Of each stream every number up to the last is stored once, or in a gap; said_stored is what the
    agent was told, {epoch: last number}. The number of streams and of records."""
    streams = {(h, e): n for h, e, n in sql("SELECT host_id, epoch, last_seq FROM agent_stream")}
    covered = {}
    for h, e, first, last in sql("SELECT host_id, epoch, seq, last FROM inbox ORDER BY 1, 2, 3"):
        end = covered.get((h, e), 0)
        assert first == end + 1, f"epoch {e}: {first}..{last} comes after {end}"
        assert last >= first
        covered[h, e] = last
    assert covered == {s: n for s, n in streams.items() if n}, "what is acknowledged is what is stored"
    for h, e, first, last, reason in sql("SELECT host_id, epoch, from_seq, to_seq, reason FROM gap"):
        if reason == GAP_UNCLEAN_END:
            assert first == last == streams[h, e] + 1
        else:
            assert last <= streams[h, e]
    by_unsigned = {e % 2 ** 64: n for (_, e), n in streams.items()}
    assert {e: by_unsigned.get(e) for e in said_stored} == said_stored
    assert sql("SELECT count(*) FROM dead_letter") == [(0,)]
    return len(streams), sum(streams.values())


class Kills:
    targets = ("collector", "postmaster", "link", "sense", "collector and postmaster", "link and collector")

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.stack = Stack(window="10s", interval="1s")
        self.watched = None
        self.crowd = None
        self.longest = {}

    def __enter__(self):
        self.crowd = Crowd()
        try:
            self.stack.up()
            self.watched = self.stack.start("watched", "/bin/sleep", 3600)
            self.wait_fresh(time.time(), 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.crowd.end()
        self.stack.close()

    # ---- looking ----

    def sql(self, statement, *params):
        try:
            return self.stack.sql(statement, *params)
        except psycopg2.OperationalError:
            return None

    def series(self):
        """{time: rss} of the process that is watched, None while nobody answers."""
        try:
            rows = self.stack.items("/hosts/1/processes?limit=1000")
            row = next((p for p in rows if p["pid"] == self.watched.pid), None)
            answer = row and self.stack.get(f"/api/v1/processes/{row['id']}/series?from=-60min&max_points=10000")
        except OSError:
            return None
        if not answer:
            return None
        points = answer["points"]
        assert [t for t, _ in points] == sorted({t for t, _ in points}), "a time twice or out of order"
        return dict(map(tuple, points))

    def wait_fresh(self, since, seconds=RECOVERY_SECONDS):
        """Until a sample taken after since is stored and shown."""
        def fresh():
            series = self.series()
            stored = self.sql("SELECT 1 FROM agent_stream WHERE updated > to_timestamp(%s)", since)
            return stored and series and max(series) > since and series
        return wait_for("a fresh sample", fresh, seconds, 0.2)

    # ---- killing ----

    def agent_child(self, name):
        """The agent's own word for which of its processes runs as what."""
        pids = re.findall(rf"child={name} pid=(\d+) started", self.stack.path("agent.log").read_text())
        pid = int(pids[-1])
        ppid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert ppid == self.stack.programs["agent"].pid
        return pid

    def postmaster(self):
        return int(self.stack.path("pg/data/postmaster.pid").read_text().split()[0])

    def kill_one(self, name):
        if name == "collector":
            self.stack.programs["collector"].stop(signal.SIGKILL)
        else:
            os.kill(self.postmaster() if name == "postmaster" else self.agent_child(name), signal.SIGKILL)

    def kill(self, target):
        """Kills, waits for the path to work again, and compares with what was shown before."""
        before = self.series() or {}
        names = target.split(" and ")
        for name in names:
            self.kill_one(name)
        at = time.time()
        if "collector" in names:
            time.sleep(self.random.uniform(0, 1))
            self.stack.start_collector()
        after = self.wait_fresh(at)
        self.longest[target] = max(self.longest.get(target, 0), time.time() - at)
        # What was shown was stored, but for the batch that was under way.
        lost = missing({t: v for t, v in before.items() if t < at - 2}, after)
        assert not lost, f"shown and stored before, not shown after: {lost}"

    def pick(self):
        return self.random.choice(self.targets)

    def pause(self):
        time.sleep(self.random.uniform(0.2, 2.5))

    # ---- counting ----

    def finish(self):
        """Ends the agent as an operator would: it sends what it still holds."""
        assert self.stack.programs["agent"].stop() == 0
        log = self.stack.path("agent.log").read_text()
        ends = re.findall(r"stream=(\w+) ends lane=\w+ produced=(\d+) stored=(\d+)", log)
        assert len(ends) >= LANES and all(made == stored for _, made, stored in ends[-LANES:]), ends
        # The agent would say so if it was told of a record that was then not there.
        assert "collector went back" not in log
        return {int(e, 16): int(stored) for e, _, stored in ends}

    def count(self, said_stored):
        return count_streams(self.sql, said_stored)

    def count_chunks(self):
        """No sample is twice in the chunks, whatever the number of parts and seals, and none of those that were
        stored is missing. The numbers of chunks and of ticks in windows that were sealed whole."""
        twice = self.sql("SELECT host_id, proc_id, t, count(*) FROM sample_rss GROUP BY 1, 2, 3 HAVING count(*) > 1")
        assert twice == []
        lacks, ticks = inbox.unsealed(self.sql, {1: len(self.crowd)})
        assert not lacks, lacks
        assert max(len(inbox.batch(*row)) for row in self.sql("SELECT codec, d FROM inbox")) > ROW_BYTES
        (chunks,), = self.sql("SELECT count(*) FROM chunk")
        return chunks, ticks

    def count_is_not_blind(self, said_stored):
        """What the count is there to find, made by hand: it must see each."""
        at = "(host_id, epoch, seq) = (SELECT host_id, epoch, seq FROM inbox ORDER BY seq DESC LIMIT 1)"
        for harm, mend in (
                (f"UPDATE inbox SET seq = seq + 1, last = last + 1 WHERE {at} RETURNING 1",
                 f"UPDATE inbox SET seq = seq - 1, last = last - 1 WHERE {at} RETURNING 1"),
                (f"INSERT INTO inbox SELECT * FROM inbox WHERE {at} RETURNING 1",
                 f"DELETE FROM inbox WHERE {at} AND ctid = (SELECT max(ctid) FROM inbox WHERE {at}) RETURNING 1"),
                ("UPDATE agent_stream SET last_seq = last_seq + 1 RETURNING 1",
                 "UPDATE agent_stream SET last_seq = last_seq - 1 RETURNING 1"),
                (f"DELETE FROM inbox WHERE {at} RETURNING 1", None)):
            assert self.sql(harm)
            try:
                self.count(said_stored)
            except AssertionError:
                pass
            else:
                raise RuntimeError(f"the count did not see: {harm}")
            if mend:
                assert self.sql(mend)
                self.count(said_stored)


def run(seed, kills, targets=None):
    """kills times: something dies and the path recovers; then everything is counted."""
    with Kills(seed) as k:
        for n in range(kills):
            k.pause()
            target = targets[n] if targets else k.pick()
            print(f"{n + 1}/{kills}: kill -9 {target}", flush=True)
            try:
                k.kill(target)
            except (AssertionError, RuntimeError, TimeoutError) as e:
                tails = "\n".join(f"---- {p.name}\n{p.tail(40)}" for p in k.stack.programs.values())
                raise AssertionError(f"kill {n + 1} ({target}), seed {seed}: {e}\n{tails}") from e
        k.pause()
        said_stored = k.finish()
        streams, records = k.count(said_stored)
        chunks, ticks = k.count_chunks()
        longest = ", ".join(f"{t} {s:.1f} s" for t, s in sorted(k.longest.items()))
        print(f"{streams} streams, {records} records, {chunks} chunks, {ticks} ticks in them; longest recovery: {longest}")
        assert streams >= 1 and records > 2 * kills
        k.count_is_not_blind(said_stored)
