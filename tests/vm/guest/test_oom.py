# SPDX-License-Identifier: Apache-2.0
"""The kernel's kills under systemd: at a unit's limit, of a whole unit, of the host; and what systemd says."""

import pathlib
import re
import time

from guest import MIB, End, PythonUnit, ended, events, items, kernel_log, kill_of, kills, known, pids, prop, wait_until

# Grows by 1 MiB each 0.1 s: slowly enough to be seen growing.
LEAK = """
import time
room = []
ready()
while True:
    room.append(bytearray(1 << 20))
    time.sleep(0.1)
"""
WORKERS = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        room = bytearray(4 << 20)
        time.sleep(600)
time.sleep(2)
""" + LEAK
HOG = """
room = []
ready()
while True:
    room.append(bytearray(16 << 20))
"""


def test_a_unit_that_leaks_to_its_limit(product, record_property):
    with PythonUnit(LEAK, name="leaky-shop", MemoryMax="50M") as unit:
        group = str(unit.cgroup).removeprefix("/sys/fs/cgroup")
        end = End(unit.pid)
        process = known(unit.pid)
        died = end.wait(90)
        kill = kill_of(unit.pid)
        told = time.monotonic() - died
        record_property("kill_to_rest_seconds", round(told, 2))
        print(f"\nfrom the end of the process to the dossier in REST: {told:.2f} s")
        assert told < 5
        d = kill["dossier"]
        assert (kill["cause"], kill["confidence"], kill["service"]) == ("kernel_memcg", "certain", "leaky-shop")
        assert kill["limit_cgroup"] == group and kill["limit_owner"] == "leaky-shop"
        assert kill["limit_bytes"] == d["figures"]["limit_bytes"] == 50 * MIB
        assert kill["process_id"] == process["id"]
        assert "leaky-shop" in kill["verdict"] and "50 MiB" in kill["verdict"]
        assert d["growers"][0]["pid"] == unit.pid and d["growers"][0]["grown_1m_bytes"] > 10 * MIB
        assert d["trigger"]["pid"] == unit.pid and d["advice"]
        # systemd says the same
        wait_until("systemd's word", lambda: unit.prop("Result") == "oom-kill", 30)
        assert ended(process["id"])["cause"] == "kernel_memcg"


def test_a_unit_that_dies_as_a_whole(product):
    """OOMPolicy=kill sets memory.oom.group: the kernel ends all of it at one stroke. systemd, which hears of the
    first, ends the rest as well: whom it reaches before the kernel does, the kernel's log names nowhere."""
    with PythonUnit(WORKERS, name="pool-shop", MemoryMax="60M", OOMPolicy="kill") as unit:
        assert (unit.cgroup / "memory.oom.group").read_text() == "1\n"
        group = str(unit.cgroup).removeprefix("/sys/fs/cgroup")
        members = pids(unit.name)
        assert len(members) == 4
        end = End(unit.pid)
        for pid in members:
            known(pid)
        end.wait(90)
        told = {pid: kill_of(pid) for pid in members}
        causes = sorted(k["cause"] for k in told.values())
        assert causes == ["kernel_group"] * 3 + ["kernel_memcg"]
        assert {k["service"] for k in told.values()} == {"pool-shop"}
        assert {k["limit_owner"] for k in told.values()} == {"pool-shop"}
        assert {k["limit_cgroup"] for k in told.values()} == {group}
        wait_until("systemd's word", lambda: unit.prop("Result") == "oom-kill", 30)


def test_the_host_runs_out_of_memory(product, record_property):
    """The hog is the one that the kernel prefers; everybody else lives on."""
    ours = set(pids("memherd-agent")) | {int(prop("memherd-collector", "MainPID"))}
    with PythonUnit(HOG, name="hog", OOMScoreAdjust="1000") as unit:
        died = End(unit.pid).wait(180)
        kill = kill_of(unit.pid, 60)
        told = time.monotonic() - died
        record_property("global_kill_to_rest_seconds", round(told, 2))
        print(f"\nfrom the end of the process to the dossier in REST: {told:.2f} s")
        d = kill["dossier"]
        assert (kill["cause"], kill["confidence"], kill["service"]) == ("kernel_global", "certain", "hog")
        assert kill["limit_cgroup"] is None
        assert kill["rss_bytes"] > 500 * MIB and d["figures"]["host_total_bytes"] > 1024 * MIB
        assert "host" in kill["verdict"] and d["advice"]
        assert len(d["tasks"]) > 10 and d["growers"][0]["pid"] == unit.pid
    assert ours <= set(pids("memherd-agent")) | {int(prop("memherd-collector", "MainPID"))}


def test_counters_and_kills_agree(product):
    """The kernel counts, and tells, whoever stands for a group's kill twice: it is one kill to us."""
    vmstat = pathlib.Path("/proc/vmstat").read_text().split()
    count = int(vmstat[vmstat.index("oom_kill") + 1])
    lines = [re.search(r"Killed process (\d+)", line) for line in kernel_log()]
    victims = [int(m[1]) for m in lines if m]
    assert len(victims) == count
    wait_until("the counter", lambda: items("/hosts")[0]["oom_kills"] == count, 30)
    told = [k for k in kills() if k["cause"].startswith("kernel_")]
    assert {k["pid"] for k in told if k["confidence"] == "certain"} == set(victims)
    # Of a unit that died as a whole systemd may have ended some before the kernel came to them.
    assert {(k["cause"], k["service"]) for k in told if k["confidence"] != "certain"} <= {("kernel_group", "pool-shop")}
    assert events("mismatch") == []


def test_nobody_of_ours_was_restarted(product):
    assert prop("memherd-agent", "NRestarts") == "0" and prop("memherd-collector", "NRestarts") == "0"
