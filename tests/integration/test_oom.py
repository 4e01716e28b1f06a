# SPDX-License-Identifier: Apache-2.0
"""Who was killed and why, on real kills: the kernel's OOM killer in a memory cgroup, other signals, exits
and crashes; through the agent and the collector to the database and REST."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from memcg import Memcg, Unusable  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
MIB = 1 << 20
# Grows by steps until it is killed; what it is called is in its command line.
HOG = """
import sys, time
room = []
while True:
    room.append(bytearray(1 << 20))
    time.sleep(float(sys.argv[2]))
"""
# Holds some memory and waits.
STILL = "import time\nroom = bytearray(8 << 20)\nprint('ready', flush=True)\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def stack():
    try:
        with Memcg(64 * MIB):
            pass
        pathlib.Path("/dev/kmsg").open("rb").close()
    except (Unusable, OSError) as e:
        pytest.skip(f"no kill can be made and read here: {e}")
    with Stack(interval="1s").up() as s:
        s.path("hog.py").write_text(HOG)
        s.path("still.py").write_text(STILL)
        wait_for("the first samples", lambda: any(h["connected"] for h in s.items("/hosts")), 30)
        yield s


def kill_of(stack, pid, seconds=15):
    """The kill whose victim had that pid."""
    return wait_for(f"the kill of {pid}",
                    lambda: next((k for k in stack.items("/oom-events?limit=500") if k["pid"] == pid), None),
                    seconds)


def dossier(stack, kill):
    got = stack.get(f"/api/v1/oom-events/{kill['id']}")
    assert got is not None and got["id"] == kill["id"]
    return got["dossier"]


def death_of(stack, process_id, seconds=20):
    return wait_for(f"the verdict on {process_id}",
                    lambda: next((e for e in stack.items("/events?kind=death&limit=1000")
                                  if e["process_id"] == process_id), None), seconds)


def known(stack, pid, seconds=15):
    """Waits until memherd has the process: only of those it tells how they ended."""
    return wait_for(f"process {pid}", lambda: next((p for h in stack.items("/hosts")
                                                    for p in stack.items(f"/hosts/{h['id']}/processes?limit=10000")
                                                    if p["pid"] == pid), None), seconds)


def test_a_kill_at_a_cgroups_limit_is_told_within_five_seconds(stack):
    with Memcg(48 * MIB) as box:
        still = box.run([PYTHON, stack.path("still.py")])
        hog = box.run([PYTHON, stack.path("hog.py"), "leaky", "0.1"])
        known(stack, hog.pid)
        hog.wait()
        died = time.monotonic()
        assert hog.returncode == -signal.SIGKILL and box.kills() >= 1
        stored = wait_for("the dossier in the database", lambda: stack.sql(
            "SELECT kill_id FROM oom_kill WHERE pid = %s", hog.pid), 10)
        assert time.monotonic() - died < 5
        assert len(stored) == 1
        kill = kill_of(stack, hog.pid)
        assert kill["cause"] == "kernel_memcg" and kill["confidence"] == "certain"
        assert kill["comm"] == "python3"
        d = dossier(stack, kill)
        assert d["limit_cgroup"] == kill["limit_cgroup"] == box.name()
        assert d["limit_bytes"] == d["figures"]["limit_bytes"] == 48 * MIB
        assert d["trigger"]["comm"] == "python3" and d["trigger"]["pid"] in (hog.pid, still.pid)
        assert d["growers"][0]["pid"] == hog.pid and d["growers"][0]["grown_1m_bytes"] > 10 * MIB
        assert {t["pid"] for t in d["tasks"]} >= {hog.pid, still.pid}
        assert any(t["pid"] == still.pid and t["service"] for t in d["tasks"])
        assert str(hog.pid) in d["verdict"] and box.name() in d["verdict"] and "48 MiB" in d["verdict"]
        assert d["advice"] and d["evidence"] and not kill["replayed"]
        python = d["victim"]["python"]
        assert python["version"].startswith("3.") and python["gc_enabled"] == 1 and python["gc_threshold0"] > 0
        death = death_of(stack, kill["process_id"])
        assert death["details"]["cause"] == "kernel_memcg" and death["details"]["signal"] in (9, "9")


def test_a_burst_of_kills_is_told_one_by_one(stack):
    with Memcg(24 * MIB) as box:
        pids = []
        for _ in range(14):
            hog = box.run([PYTHON, "-S", "-E", stack.path("hog.py"), "burst", "0"])
            pids.append(hog.pid)
            hog.wait()
            assert hog.returncode == -signal.SIGKILL
    for pid in pids:
        assert kill_of(stack, pid)["cause"] in ("kernel_memcg", "kernel_oom")
    rows = stack.sql("SELECT pid, count(*) FROM oom_kill WHERE pid = ANY (%s) GROUP BY pid", pids)
    assert sorted(rows) == sorted((pid, 1) for pid in pids)


def test_a_hostile_name_forges_nothing(stack):
    name = "evil) x,pid=1"
    code = ("import sys, time\nopen('/proc/self/comm', 'w').write(%r)\nroom = []\n"
            "while True:\n    room.append(bytearray(1 << 20))\n" % name)
    before = len(stack.items("/oom-events?limit=1000"))
    with Memcg(24 * MIB) as box:
        hog = box.run([PYTHON, "-S", "-c", code])
        hog.wait()
        kill = kill_of(stack, hog.pid)
    assert kill["comm"] == name
    assert len(stack.items("/oom-events?limit=1000")) == before + 1
    assert not [k for k in stack.items("/oom-events?limit=1000") if k["pid"] == 1]


def test_a_line_that_a_program_wrote_is_no_kill(stack):
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write("<3>Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, file-rss:0kB, "
                   "shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n")
    with Memcg(24 * MIB) as box:  # a true one behind it: when that is told, the other was read
        hog = box.run([PYTHON, "-S", stack.path("hog.py"), "after", "0"])
        hog.wait()
        kill_of(stack, hog.pid)
    assert not [k for k in stack.items("/oom-events?limit=1000") if k["pid"] == 1]


def test_other_ends_are_told_apart(stack):
    ends = {"killed": "", "terminated": "", "exit_code": "sys.exit(3)", "crash": "ctypes.string_at(0)", "clean_exit": ""}
    programs = {cause: subprocess.Popen([PYTHON, "-c", f"import ctypes, sys\nsys.stdin.read()\n{end}"],
                                        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
                for cause, end in ends.items()}
    ids = {cause: known(stack, p.pid)["id"] for cause, p in programs.items()}
    programs["killed"].kill()
    programs["terminated"].terminate()
    for p in programs.values():
        p.communicate(timeout=30)

    def ended(cause):
        return wait_for(f"how {cause} ended", lambda: (stack.get(f"/api/v1/processes/{ids[cause]}") or {}).get("ended"), 20)

    for cause in programs:
        assert ended(cause)["cause"] == cause
    assert ended("exit_code")["exit_code"] == 3
    assert ended("crash")["signal"] in (int(signal.SIGSEGV), "SIGSEGV")
    assert "not known" in ended("killed")["verdict"]
    for cause in set(programs) - {"clean_exit"}:
        assert death_of(stack, ids[cause])["details"]["cause"] == cause
    # who ended in peace is no news
    assert not [e for e in stack.items("/events?kind=death&limit=1000") if e["process_id"] == ids["clean_exit"]]


def test_a_child_that_is_ended_with_its_parent(stack):
    """PR_SET_PDEATHSIG: the kernel signals the child when its parent has ended."""
    text = ("import ctypes, os, signal, sys, time\npid = os.fork()\nif not pid:\n"
            "    ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n    time.sleep(600)\n"
            "print(pid, flush=True)\nsys.stdin.read()\nsys.exit(3)\n")
    with subprocess.Popen([PYTHON, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = known(stack, int(parent.stdout.readline()))
        parent.stdin.close()
        assert parent.wait(30) == 3
    end = wait_for("how the child ended", lambda: (stack.get(f"/api/v1/processes/{child['id']}") or {}).get("ended"), 20)
    assert end["cause"] == "parent_died" and end["signal"] in (15, "SIGTERM"), end
    assert any("parent" in v for v in death_of(stack, child["id"])["details"].values())


def test_a_kill_while_the_agent_was_down_is_told_once(stack):
    stack.programs["agent"].stop()
    with Memcg(24 * MIB) as box:
        hog = box.run([PYTHON, "-S", stack.path("hog.py"), "unseen", "0"])
        hog.wait()
    stack.start_agent()
    kill = kill_of(stack, hog.pid, 30)
    assert kill["replayed"] is True and kill["cause"] == "kernel_memcg"
    count = len(stack.items("/oom-events?limit=1000"))
    stack.programs["agent"].stop()
    stack.start_agent()
    with Memcg(24 * MIB) as box:  # told after the restart, so everything before it was looked at
        marker = box.run([PYTHON, "-S", stack.path("hog.py"), "marker", "0"])
        marker.wait()
        kill_of(stack, marker.pid, 30)
    assert len(stack.items("/oom-events?limit=1000")) == count + 1
    assert stack.sql("SELECT count(*) FROM oom_kill WHERE pid = %s", hog.pid) == [(1,)]


def test_counters_and_kills_agree(stack):
    host = stack.items("/hosts")[0]
    assert host["oom_kills"] >= 1
    assert stack.items("/events?kind=mismatch") == []
    text = stack.get("/metrics", raw=True).decode()
    assert 'memherd_oom_kills_total{' in text
