# SPDX-License-Identifier: Apache-2.0
"""Figures of cgroup v2 in REST are what the kernel's files say."""

import pathlib

from guest import MIB, PythonUnit, agree, keyed, meminfo, path_of, row_of, run, wait_until

# Private memory, page cache, and then nothing changes any more.
STILL = """
import time
room = b"x" * (20 << 20)
open("/usr/bin/python3", "rb").read()
ready()
time.sleep(600)
"""
# Needs more than its memory.high, once.
OVER = """
import time
room = []
for _ in range(40):
    room.append(bytearray(1 << 20))
ready()
time.sleep(600)
"""


def test_figures_are_those_of_the_files(product):
    with PythonUnit(STILL) as unit:
        row = wait_until("figures that agree with the files", lambda: agree(unit.cgroup), 45)
        assert row["anon_bytes"] > 20 * MIB and row["version"] == 2 and row["runtime"] == "systemd"


def test_limits_and_whose_they_are(product):
    pathlib.Path("/run/systemd/system/held.slice").write_text("[Slice]\nMemoryMax=120M\n")
    run("systemctl", "daemon-reload")
    with PythonUnit(STILL, Slice="held.slice", MemoryMax="200M", MemoryHigh="100M", MemorySwapMax="10M") as unit:
        row = wait_until("the unit's cgroup", lambda: row_of(path_of(unit.cgroup)), 30)
        assert row["limit_bytes"] == 120 * MIB and row["limited_by"] == "/held.slice" and not row["no_limit"]
        assert row["own_limit_bytes"] == 200 * MIB and row["high_bytes"] == 100 * MIB
        assert row["swap_limit_bytes"] == 10 * MIB


def test_a_service_without_a_limit(product):
    with PythonUnit(STILL) as unit:
        row = wait_until("the unit's cgroup", lambda: row_of(path_of(unit.cgroup)), 30)
        assert row["no_limit"] and row["limited_by"] is None
        assert row["own_limit_bytes"] is None and row["high_bytes"] is None
        assert row["limit_bytes"] == meminfo("MemTotal")


def test_memory_high_is_counted_and_its_pressure_is_measured(product):
    with PythonUnit(OVER, MemoryHigh="32M", wait=False) as unit:
        folder = unit.cgroup
        wait_until("memory.high to be exceeded", lambda: keyed(folder / "memory.events")["high"] > 0, 60)
        row = wait_until("high in REST", lambda: (r := row_of(path_of(folder))) and r["events_high"] and r, 30)
        assert row["oom_kills"] == 0
        some = wait_until("pressure in REST", lambda: row_of(path_of(folder))["psi_some_seconds"], 60)
        total = int((folder / "memory.pressure").read_text().split("total=")[1].split()[0]) / 1e6
        assert 0 < some <= total + 0.01
        wait_until("the pressure of 10 s", lambda: row_of(path_of(folder))["psi_some10"], 60)
