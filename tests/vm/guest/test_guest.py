# SPDX-License-Identifier: Apache-2.0
"""The guest is what the other tests take it for."""

import pathlib

from guest import CGROUPS, PythonUnit, kernel_log, prop, wait_until

GROW = "room = []\nready()\nwhile True:\n    room.append(b'x' * (1 << 20))\n"


def test_systemd_cgroup_v2_and_pressure_are_there():
    assert pathlib.Path("/proc/1/comm").read_text() == "systemd\n"
    assert "memory" in (CGROUPS / "cgroup.controllers").read_text().split()
    assert pathlib.Path("/proc/pressure/memory").read_text().startswith("some ")
    assert pathlib.Path("/proc/swaps").read_text().count("\n") == 1, "the guest has swap"


def test_killers_are_there_and_do_not_run():
    for service in ("systemd-oomd", "earlyoom", "nohang"):
        assert (prop(service, "LoadState"), prop(service, "ActiveState")) == ("loaded", "inactive")


def test_a_unit_that_outgrows_its_limit_is_killed():
    with PythonUnit(GROW, MemoryMax="50M") as unit:
        wait_until("the kill", lambda: unit.prop("Result") == "oom-kill", 60)
        assert any("oom-kill:" in line and unit.name in line for line in kernel_log())
