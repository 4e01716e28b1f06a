# SPDX-License-Identifier: Apache-2.0
"""The leader dies at each edge of an adoption: whoever comes next seals what is left, once."""
import contextlib
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402
import faults  # noqa: E402
import stack  # noqa: E402

WINDOW = 10
# Two windows are left at least: one is sealed before the last two die.
EDGES = ("adopt.begun=kill", "adopt.page=kill", "seal.rows=kill", "adopt.sealed=kill", "adopt.ended=kill")


def die(leader, monkeypatch, edge):
    """It is started with that fault, and has died of it."""
    monkeypatch.setenv("MEMHERD_FAILPOINTS", edge)
    with contextlib.suppress(RuntimeError):  # it may have died by now
        leader.start_collector()
    log = leader.programs["collector"].log
    assert leader.programs["collector"].process.wait(120) == -signal.SIGKILL
    assert f"failpoint={edge.partition('=')[0]} kill" in log.read_text(), log.read_text()[-2000:]
    leader.programs["collector"].file.close()


def test_a_leader_that_dies_while_it_adopts(monkeypatch):
    monkeypatch.setattr(stack, "BIN", faults.FAULT)
    with collectors.Pair(window=f"{WINDOW}s", options={"adopt_after": "5s"}) as pair:
        _, procs = collectors.started(pair)
        since = time.time()
        time.sleep(WINDOW * 2)
        leader, gone = pair.stacks
        for s in (gone, leader):
            s.programs["collector"].stop(signal.SIGKILL)
        for edge in EDGES:
            die(leader, monkeypatch, edge)
        monkeypatch.setenv("MEMHERD_FAILPOINTS", "")
        leader.start_collector()
        stack.wait_for("what it left in chunks", lambda: pair.sql(collectors.UNSEALED, 1) == [(0,)], 120, 0.5)
        until = time.time()
        collectors.seal_everything(pair, until)
        for host, proc in procs.items():
            collectors.check(pair, proc, host, since, until)
