# SPDX-License-Identifier: Apache-2.0
"""What the agent may see under its unit, and what it says it cannot."""

import pathlib
import re
import time

from guest import MIB, PythonUnit, findings, get, inspect, items, journal, known, pids, processes, prop, restart_agent, run, wait_until

STATE = pathlib.Path("/var/lib/memherd-agent")
# What the unit file has to prevent: nobody who installs it as it is should read this.
AVOIDABLE = {"kmsg_unreadable", "exits_unheard", "journal_unreadable", "psi_absent", "pss_denied", "pss_absent",
             "processes_hidden", "cgroups_absent", "cgroups_v1", "agent_can_be_killed"}
CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYSLOG = 1 << 12, 1 << 19, 1 << 34
HOLD = "import time\nroom = b'x' * (20 << 20)\nready()\ntime.sleep(600)\n"


def test_no_blind_spot_that_the_unit_can_avoid(product):
    wait_until("the posture", lambda: get("/hosts/1")["posture"], 30)
    assert not findings() & AVOIDABLE
    # what is true of this guest
    assert {"no_swap", "services_unlimited"} <= findings()
    assert items("/events?kind=sense_trouble") == []


def test_capabilities_of_each_process(product):
    caps = {}
    for pid in pids("memherd-agent"):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        sets = {k: int(re.search(rf"^{k}:\t(\w+)$", text, re.M)[1], 16) for k in ("CapEff", "CapPrm", "CapAmb")}
        caps[re.search(r"^Name:\t(.*)$", text, re.M)[1]] = sets["CapEff"] | sets["CapPrm"] | sets["CapAmb"]
    assert caps == {"memherd-agent": CAP_SYS_PTRACE | CAP_SYSLOG, "memherd-sense": CAP_SYS_PTRACE | CAP_SYSLOG,
                    "memherd-link": 0}
    assert prop("memherd-agent", "User") == "memherd"


def test_state_is_kept_in_the_state_directory(product):
    box = STATE / "blackbox"
    assert box.stat().st_mode & 0o777 == 0o600 and box.stat().st_size > 0
    before = box.stat().st_mtime_ns
    wait_until("the next beat of the black box", lambda: box.stat().st_mtime_ns > before, 90)
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (STATE / "kmsg").read_text().startswith(boot_id)


def test_pss_of_others_processes_is_read(product):
    """Of a process of root, which is not the agent's user."""
    with PythonUnit(HOLD) as unit:
        known(unit.pid)

        def close():
            rollup = pathlib.Path(f"/proc/{unit.pid}/smaps_rollup").read_text().split()
            pss = processes()[unit.pid]["pss_bytes"]
            return pss and abs(pss - int(rollup[rollup.index("Pss:") + 1]) * 1024) < MIB
        wait_until("its PSS", close, 60)


def test_nothing_was_denied(product):
    bad = re.compile(r"EPERM|EACCES|not permitted|permission denied|unreadable|not_readable", re.IGNORECASE)
    assert [line for line in journal("memherd-agent") if bad.search(line)] == []


def test_hidepid_hides_nothing_from_it(product):
    """hidepid=2 is for those who may not trace: the unit's CAP_SYS_PTRACE sees through it."""
    run("mount", "-o", "remount,hidepid=2", "/proc")
    try:
        assert "hidepid=invisible" in pathlib.Path("/proc/mounts").read_text()
        restart_agent()
        assert "processes_hidden" not in findings()
        with PythonUnit(HOLD) as unit:
            assert known(unit.pid)["uid"] == 0
            wait_until("its PSS", lambda: processes()[unit.pid]["pss_bytes"], 60)
            assert inspect(unit.pid)["pid"] == unit.pid
        assert 1 in processes()
    finally:
        run("mount", "-o", "remount,hidepid=0", "/proc")


def test_cost(product, record_property):
    """For the record: memory of each process of the agent, and CPU time of all in 20 s."""
    for pid in pids("memherd-agent"):
        name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split()
        rss, pss = (int(rollup[rollup.index(k) + 1]) for k in ("Rss:", "Pss:"))
        record_property(f"{name}_kib", f"RSS {rss} PSS {pss}")
        print(f"\n{name}: RSS {rss} KiB, PSS {pss} KiB")
    before = int(prop("memherd-agent", "CPUUsageNSec"))
    time.sleep(20)
    share = (int(prop("memherd-agent", "CPUUsageNSec")) - before) / 20e9
    print(f"CPU at an interval of 1 s, emulated: {share:.2%}")
    assert share < 0.2
