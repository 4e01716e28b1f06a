# SPDX-License-Identifier: Apache-2.0
"""INJECTIONS calls each into programs that leave no quiet moment, and KILLS workers killed at random moments and at
each edge of a call: no target is harmed. Prints its figures (pytest -s)."""
import os
import pathlib
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/integration")]
import injections  # noqa: E402
import pythons  # noqa: E402
from test_actd import FRAGMENTED, actd, rss  # noqa: E402,F401

INJECTIONS = int(os.environ.get("INJECTIONS") or 2000)
KILLS = int(os.environ.get("KILLS") or 300)
FAULT_INJECT = ROOT / "build/fault-gcc/drivers/inject"
# In their order: agent/act/inject/tracee.c.
EDGES = ("inject.seized", "inject.stopped", "inject.framed", "inject.entered", "inject.let_go", "inject.gone")
CPYTHONS = [p for p in pythons.all() if p.kind == "cpython" and p.minor() >= 8]
LOCAL = [p for p in CPYTHONS if p.root is None]
NEWEST = CPYTHONS[-1]
BLOCKS = 200000  # of 2.5 KiB
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")


@pytest.fixture(scope="module")
def hammer(tmp_path_factory):
    return injections.build_hammer(tmp_path_factory.mktemp("hammer"))


@pytest.fixture(scope="module")
def system():
    return next(p for p in LOCAL if p.program.startswith("/usr/bin/"))


@pytest.mark.parametrize("mode", ["forks", "storm"])
def test_a_malloc_hammer_is_unharmed_by_trims(hammer, mode):
    injections.trims(hammer, mode, INJECTIONS)


@pytest.mark.parametrize("mode", ["mixed", "select"])
def test_a_threaded_python_is_unharmed_by_trims(system, mode):
    with injections.running(system.argv(injections.PYTHON_TARGET, mode)) as t:
        r = injections.inject("trim", t.pid, INJECTIONS)
        injections.settle(t)
        said = t.finish()
    print(f"\n{system.label} {mode}: {INJECTIONS} trims, {r['done']} done, {r['later']} found no safe point; {said}")
    assert r["done"] + r["later"] == INJECTIONS and r["done"] >= 0.9 * INJECTIONS, r
    assert said["errors"] == said["wrong"] == 0 and said["turns"] > 0, said


@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_a_threaded_python_runs_each_script_once(python):
    injections.scripts(python, "mixed", INJECTIONS)


@pytest.mark.parametrize("mode", ["sleep", "select", "lock", "busy"])
@pytest.mark.parametrize("python", LOCAL, ids=lambda p: p.label)
def test_whatever_its_main_thread_does(python, mode):
    injections.scripts(python, mode, INJECTIONS // 10)


@pytest.mark.parametrize("python", [LOCAL[0], LOCAL[-1]], ids=lambda p: p.label)
def test_in_a_storm_of_signals_too(python):
    injections.scripts(python, "mixed", INJECTIONS, "storm")


# ---- the worker dies ----

def killed(r):
    """Those that did not end as they should: a worker that was killed tells nothing."""
    return r["unknown"] + r["failed"]


@pytest.mark.parametrize("mode", ["forks", "storm"])
def test_workers_killed_at_random_moments_leave_a_hammer_unharmed(hammer, mode):
    with injections.running([hammer, mode]) as t:
        dead, seed = 0, 1
        while dead < KILLS:
            dead += killed(injections.inject_killed("trim", t.pid, KILLS, 0.006, seed))
            seed += 1
            assert seed < 30 and t.p.poll() is None
        injections.settle(t)
        assert injections.inject("trim", t.pid, 20)["done"] > 0
        said = t.finish()
    print(f"\n{mode}: {dead} workers killed; {said}")
    # One that dies between a thread's stop and its being set right shows it: epoll_wait and its like.
    assert said["corrupt"] == said["other"] == 0 and said["eintr"] <= dead, said


@pytest.mark.parametrize("python", [LOCAL[0], LOCAL[-1]], ids=lambda p: p.label)
def test_workers_killed_at_random_moments_leave_a_python_unharmed(python):
    with injections.running(python.argv(injections.PYTHON_TARGET, "mixed")) as t:
        dead, done, seed = 0, 0, 1
        while dead < KILLS:
            r = injections.inject_killed("script", t.pid, KILLS, 0.012, seed)
            dead += killed(r)
            done += r["done"]
            seed += 1
            assert seed < 30 and t.p.poll() is None
        injections.settle(t)
        r = injections.inject("script", t.pid, 20)
        done += r["done"]
        assert r["done"] == 20, r
        said = t.finish()
    print(f"\n{python.label}: {dead} workers killed; {said}")
    assert done <= said["ran"] <= done + dead and said["errors"] == said["wrong"] == 0, said


@pytest.mark.parametrize("edge", EDGES)
def test_workers_killed_at_each_edge_leave_a_hammer_unharmed(hammer, edge):
    times = max(KILLS // len(EDGES), 1)
    env = {**os.environ, "MEMHERD_FAILPOINTS": f"{edge}=kill@1"}
    with injections.running([hammer, "forks"]) as t:
        r = injections.inject("trim", t.pid, times, FAULT_INJECT, env)
        assert killed(r) == times, (edge, r)
        injections.settle(t)
        assert injections.inject("trim", t.pid, 5)["done"] > 0
        said = t.finish()
    print(f"\n{edge}: {times} workers killed; {said}")
    assert said["corrupt"] == said["other"] == 0 and said["eintr"] <= times, said


@pytest.mark.parametrize("edge", EDGES)
def test_workers_killed_at_each_edge_leave_a_python_unharmed(system, edge):
    times = max(KILLS // len(EDGES), 1)
    env = {**os.environ, "MEMHERD_FAILPOINTS": f"{edge}=kill@1"}
    with injections.running(system.argv(injections.PYTHON_TARGET, "select")) as t:
        # the page is there: what dies is the call that runs the script
        assert injections.inject("script", t.pid, 1)["done"] == 1
        r = injections.inject("script", t.pid, times, FAULT_INJECT, env)
        assert killed(r) == times, (edge, r)
        injections.settle(t)
        before = injections.inject("script", t.pid, 20)
        assert before["done"] == 20, before
        said = t.finish()
    print(f"\n{edge}: {times} workers killed; {said}")
    assert 21 <= said["ran"] <= 21 + times and said["errors"] == said["wrong"] == 0, said


# ---- what it is for ----

@pytest.mark.parametrize("python", [*(p for p in LOCAL if p.minor() in (8, 11, 13)), NEWEST], ids=lambda p: p.label)
def test_a_fragmented_python_of_500_mb_gives_its_free_heap_back(actd, python):  # noqa: F811
    source = FRAGMENTED.replace("'ready', free", "'ready\\n%d' % free")
    with injections.running(python.argv("-c", source, BLOCKS), pythons.clean_environment()) as t:
        free = int(t.p.stdout.readline())
        before = rss(t.pid)
        assert before > 490e6 and free > 490e6
        start = time.monotonic()
        rc, r = actd.trim(t.pid)
        took = time.monotonic() - start
        gained = before - rss(t.pid)
        assert (rc, r["status"]) == (0, "done"), r
        print(f"\n{python.label}: {before / 1e6:.0f} MB, {free / 1e6:.0f} MB free, {gained / 1e6:.0f} MB "
              f"({100 * gained / free:.0f} %) given back, held {r['held_us'] / 1e3:.1f} ms, {took:.2f} s in all")
        assert gained > 0.8 * free and abs(r["rss_before_bytes"] - r["rss_after_bytes"] - gained) < 0.05 * gained
        t.finish()
