# SPDX-License-Identifier: Apache-2.0
"""A day of the gathering process's rounds in a few minutes, and the whole product at 1 s for SOAK_SECONDS
among processes that come, go, and are killed for want of memory: what it keeps must not grow. Prints its
figures (pytest -s)."""
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tools/demo")]
import memcg  # noqa: E402
import soak  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

SECONDS = int(os.environ.get("SOAK_SECONDS") or 300)
WARM_UP = 60
KILL_EVERY = 15
# What may still fill: the flight ring of 1 s rounds, link's spool. Nothing that one churned process leaves.
GROWS_KIB = 512
EATER = "b = []\nwhile True: b.append(bytearray(1 << 20))"


def test_a_day_of_rounds_keeps_memory_and_descriptors():
    figures = soak.rounds(24 * 360, 2 * 360, 3600)
    assert figures["descriptors_least"] == figures["descriptors_most"]
    if not soak.SANITIZED:
        assert float(figures["slope_kib_per_hour"]) < soak.KIB_PER_HOUR


class Churn:
    """Processes that start and end, and now and then one that the kernel kills."""

    def __init__(self):
        self.random = random.Random(1)
        self.running = []
        self.kills = 0

    def step(self, second):
        while len(self.running) < 12:
            program = self.random.choice((["/bin/sleep", "600"], ["/bin/sh", "-c", "sleep 600; true"],
                                          [sys.executable, "-c", "import time; time.sleep(600)"]))
            self.running.append(subprocess.Popen(program, start_new_session=True))
        for _ in range(3):
            self.end(self.running.pop(self.random.randrange(len(self.running))))
        if second % KILL_EVERY == 0:
            self.kill()

    @staticmethod
    def end(program):
        os.killpg(program.pid, 9)
        program.wait()

    def kill(self):
        with memcg.Memcg(24 << 20, "memherd-soak") as box:
            box.run([sys.executable, "-c", EATER]).wait(60)
            self.kills += box.kills()

    def close(self):
        for program in self.running:
            self.end(program)


def measure(pids):
    return {name: (soak.resident_kib(pid), soak.descriptors(pid)) for pid, name in pids.items()}


def live_for(churn, seconds):
    begin = time.monotonic()
    for second in range(seconds):
        churn.step(second)
        time.sleep(max(0, begin + second + 1 - time.monotonic()))


def test_the_whole_agent_keeps_memory_and_descriptors():
    try:
        memcg.hierarchy()
    except memcg.Unusable as e:
        pytest.fail(f"no kill can be made here: {e}")
    churn = Churn()
    with Stack(interval="1s") as stack:
        try:
            stack.start_collector()
            stack.enroll_agent()
            stack.start_agent()
            wait_for("samples", lambda: any(h["processes"] for h in stack.items("/hosts")), 30)
            live_for(churn, WARM_UP)
            pids = soak.family(stack.programs["agent"].pid)
            assert len(pids) >= 3
            before = measure(pids)
            live_for(churn, SECONDS)
            assert soak.family(stack.programs["agent"].pid) == pids, "one of them was started again"
            after = measure(pids)
            for name, (kib, fds) in after.items():
                print(f"{name} rss_kib {before[name][0]} {kib} descriptors {before[name][1]} {fds}")
                assert fds == before[name][1], name
                assert soak.SANITIZED or kib - before[name][0] < GROWS_KIB, name
            wait_for("every kill", lambda: stack.sql("SELECT count(*) FROM oom_kill")[0][0] >= churn.kills, 20)
        finally:
            churn.close()
    print(f"kills {churn.kills}")
    assert churn.kills >= (WARM_UP + SECONDS) // KILL_EVERY
