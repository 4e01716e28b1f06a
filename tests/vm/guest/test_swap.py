# SPDX-License-Identifier: Apache-2.0
"""Swap: a file and zram; what is in it of whom."""

import pathlib

import pytest
from guest import MIB, PythonUnit, agree, findings, get, items, meminfo, processes, restart_agent, run, swap_file, wait_until

HOLD = "import os, time\nroom = os.urandom(40 << 20)\nready()\ntime.sleep(600)\n"


def push_out(unit, mib):
    """Swaps out that much of the unit; the kernel may do less and says so."""
    try:
        (unit.cgroup / "memory.reclaim").write_text(f"{mib}M")
    except OSError:
        pass
    assert int((unit.cgroup / "memory.swap.current").read_text()) > 5 * MIB


def vm_swap(pid):
    words = pathlib.Path(f"/proc/{pid}/status").read_text().split()
    return int(words[words.index("VmSwap:") + 1]) * 1024


def test_a_swap_file(product):
    with swap_file(128):
        wait_until("the host's swap", lambda: get("/hosts/1")["swap_total_bytes"] == meminfo("SwapTotal"), 30)
        with PythonUnit(HOLD) as unit:
            push_out(unit, 30)
            wait_until("the process's swap",
                       lambda: (p := processes().get(unit.pid)) and p["swap_bytes"] == vm_swap(unit.pid) > 0, 45)
            wait_until("the cgroup's swap", lambda: agree(unit.cgroup), 45)
            host = wait_until("what is free", lambda: (h := get("/hosts/1"))["swap_free_bytes"] < h["swap_total_bytes"]
                              and h, 30)
            assert host["swap_out"] > 0
        restart_agent()
        assert "no_swap" not in findings()
    wait_until("no swap", lambda: get("/hosts/1")["swap_total_bytes"] == 0, 30)
    restart_agent()
    assert "no_swap" in findings()


@pytest.fixture
def zram():
    run("modprobe", "zram", "num_devices=1")
    pathlib.Path("/sys/block/zram0/disksize").write_text("64M")
    run("mkswap", "/dev/zram0")
    run("swapon", "/dev/zram0")
    yield pathlib.Path("/sys/block/zram0")
    run("swapoff", "/dev/zram0")
    run("rmmod", "zram", check=False)


def test_zram(product, zram):
    with PythonUnit(HOLD) as unit:
        push_out(unit, 30)

        def equal():
            data, _, used = [int(w) for w in (zram / "mm_stat").read_text().split()[:3]]
            host, = items("/hosts")
            return data and (host["zram_data_bytes"], host["zram_used_bytes"]) == (data // 1024 * 1024, used // 1024 * 1024)
        wait_until("zram's figures", equal, 45)
    restart_agent()
    assert not {"no_swap", "zram_would_help"} & findings()
