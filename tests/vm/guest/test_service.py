# SPDX-License-Identifier: Apache-2.0
"""Services are named by their unit, and a unit's limit is the limit of its processes."""

import pathlib

from guest import MIB, PythonUnit, inspect, items, processes, prop, wait_until

HOLD = """
import time
room = b"x" * (20 << 20)
ready()
time.sleep(600)
"""


def total():
    meminfo = pathlib.Path("/proc/meminfo").read_text().split()
    return int(meminfo[meminfo.index("MemTotal:") + 1]) * 1024


def test_a_process_is_named_by_its_unit(product):
    with PythonUnit(HOLD, name="web-shop") as unit:
        row = wait_until("the unit's process", lambda: processes().get(unit.pid), 30)
        assert row["service"] == "web-shop" and row["comm"] == "python3"
        assert row["cgroup"].endswith("/web-shop.service")
        assert inspect(unit.pid)["service"] == "web-shop"


def test_workers_of_a_unit_are_one_service(product):
    fork = "import os\nfor _ in range(3):\n    if os.fork() == 0:\n        break\n"
    with PythonUnit(fork + HOLD, name="pool"):
        def whole():
            rows = [s for s in items("/hosts/1/services") if s["service"] == "pool"]
            return rows and rows[0]["processes"] == 4 and rows[0]["rss_bytes"] > 80 * MIB
        wait_until("the service with four processes of 20 MiB each", whole, 30)


def test_our_own_services_are_named_too(product):
    rows = wait_until("the collector's processes", lambda: processes(), 30)
    assert rows[int(prop("memherd-agent", "MainPID"))]["service"] == "memherd-agent"
    assert rows[int(prop("memherd-collector", "MainPID"))]["service"] == "memherd-collector"


def test_limit_of_a_unit_is_known(product):
    with PythonUnit(HOLD, MemoryMax="50M") as unit:
        assert (unit.cgroup / "memory.max").read_text().strip() == str(50 * MIB)
        assert inspect(unit.pid)["limit_bytes"] == 50 * MIB


def test_limit_of_an_ancestor_counts_when_it_is_smaller(product):
    """The unit may have 80 MiB, its slice 60."""
    pathlib.Path("/run/systemd/system/small.slice").write_text("[Slice]\nMemoryMax=60M\n")
    with PythonUnit(HOLD, Slice="small.slice", MemoryMax="80M") as unit:
        assert inspect(unit.pid)["limit_bytes"] == 60 * MIB


def test_without_a_limit_the_host_is_the_limit_or_none_is_named(product):
    with PythonUnit(HOLD) as unit:
        got = inspect(unit.pid)
        assert got["limit_bytes"] in (None, total())
        assert got["limit_bytes"] or any(n.startswith("limit:") for n in got["notes"])
