# SPDX-License-Identifier: Apache-2.0
"""The real programs that kill before the kernel does, and whether their victims are told from others'."""

import contextlib
import pathlib

from guest import MIB, CGROUPS, End, PythonUnit, active, journal, kill_of, kills, known, meminfo, prop, run, swap_file, wait_until

# It is known before it takes what ends it.
ROOM = """
import time
time.sleep(3)
room = [bytearray(16 << 20) for _ in range(%d)]
ready()
time.sleep(600)
"""
# More than its memory.high allows: what it touches has to be swapped in and out without end.
THRASH = """
room = bytearray(96 << 20)
ready()
while True:
    for i in range(0, len(room), 4096):
        room[i] = (room[i] + 1) & 255
"""


@contextlib.contextmanager
def killer(service):
    """A killer's service runs inside of this, and the agent has seen that it does."""
    run("systemctl", "start", service)
    try:
        known(int(wait_until(f"{service}", lambda: prop(service, "MainPID") != "0" and prop(service, "MainPID"), 30)))
        yield
    finally:
        run("systemctl", "stop", f"{service}.socket", service, check=False)


def test_earlyoom(product):
    """Its threshold is some 200 MiB below what is available now: the unit takes 400."""
    least = (meminfo("MemAvailable") - 200 * MIB) // 1024
    pathlib.Path("/etc/default/earlyoom").write_text(
        f'EARLYOOM_ARGS="-r 0 -M {least} --prefer ^python3$ --avoid ^(systemd|memherd|postgres)"\n')
    with killer("earlyoom"), PythonUnit(ROOM % 25, name="greedy", wait=False, OOMScoreAdjust="1000") as unit:
        end = End(unit.pid)
        process = known(unit.pid)
        end.wait(90)
        kill = kill_of(unit.pid, 30)
        assert any(f"process {unit.pid}" in line for line in journal("earlyoom"))
    assert kill["cause"] == "earlyoom" and kill["service"] == "greedy" and kill["process_id"] == process["id"]
    assert any("earlyoom" in line for line in kill["dossier"]["evidence"]), kill["dossier"]["evidence"]
    assert "earlyoom" in kill["verdict"]


def test_systemd_oomd(product):
    """A slice that may be under pressure for 1 s, and a unit in it that never has enough."""
    conf = pathlib.Path("/etc/systemd/oomd.conf.d/test.conf")
    conf.parent.mkdir(exist_ok=True)
    conf.write_text("[OOM]\nDefaultMemoryPressureDurationSec=1s\n")
    pathlib.Path("/run/systemd/system/watched.slice").write_text(
        "[Slice]\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=2%\n")
    run("systemctl", "daemon-reload")
    with swap_file(), killer("systemd-oomd"):
        with PythonUnit(THRASH, name="thrasher", wait=False, Slice="watched.slice", MemoryHigh="32M") as unit:
            end = End(unit.pid)
            process = known(unit.pid)
            end.wait(150)
            kill = kill_of(unit.pid, 30)
            said = journal("systemd-oomd")
            assert any(line.startswith("Killed /watched.slice/thrasher.service") for line in said), said
        assert active("systemd-oomd")
    assert kill["cause"] == "systemd_oomd" and kill["service"] == "thrasher"
    assert kill["process_id"] == process["id"]
    assert any("oomd" in line and "pressure" in line for line in kill["dossier"]["evidence"]), kill["dossier"]
    assert "systemd-oomd" in kill["verdict"]


def test_none_of_it_was_the_kernel(product):
    assert not [k for k in kills() if k["service"] in ("greedy", "thrasher") and k["cause"].startswith("kernel_")]
    assert not list(CGROUPS.glob("watched.slice/*.service"))
