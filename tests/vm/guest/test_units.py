# SPDX-License-Identifier: Apache-2.0
"""The units of deploy/systemd under a real systemd: they start, what they promise is in force, and it
does not hinder the programs."""

import pathlib
import re

import pytest
from guest import MIB, active, cgroup, items, journal, pids, prop, ready, run, wait_until

SERVICES = ("memherd-collector", "memherd-agent")
UNITS = pathlib.Path("/usr/local/lib/systemd/system")


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def by_name(unit):
    """The unit's processes by comm; the collector's PostgreSQL has several of one name."""
    return {status(pid)["Name"]: pid for pid in pids(unit)}


def last_seen():
    """When the newest sample came, as REST says it; "" when none has come since the collector's start."""
    host, = items("/hosts")
    return host["last_seen"] or ""


@pytest.mark.parametrize("unit", sorted(u.name for u in UNITS.glob("memherd-*.s[eo]*")))
def test_systemd_understands_every_line(unit):
    said = run("sh", "-c", f"systemd-analyze verify --man=no {UNITS / unit} 2>&1", check=False)
    assert [line for line in said.splitlines() if "memherd" in line] == []


@pytest.mark.parametrize("service", SERVICES)
def test_service_runs(product, service):
    assert active(service) and prop(service, "SubState") == "running" and prop(service, "NRestarts") == "0"


def test_samples_flow(product):
    host, = items("/hosts")
    assert host["name"] == "guest" and host["connected"]
    assert host["kernel"] == run("uname", "-r").strip()
    assert host["interval_seconds"] == 1
    before = last_seen()
    wait_until("a newer sample", lambda: last_seen() > before, 15)


def test_agent_is_confined_as_its_unit_says(product):
    ours = by_name("memherd-agent")
    assert set(ours) == {"memherd-agent", "memherd-sense", "memherd-link"}
    uid = run("id", "-u", "memherd").strip()
    for pid in ours.values():
        s = status(pid)
        assert set(s["Uid"].split()) == {uid} and s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    allowed = int(status(ours["memherd-agent"])["CapBnd"], 16)
    assert bin(allowed).count("1") == len(prop("memherd-agent", "CapabilityBoundingSet").split())
    assert int(status(ours["memherd-sense"])["CapEff"], 16) & ~allowed == 0
    assert int(status(ours["memherd-sense"])["CapEff"], 16) & 1 << 19, "sense lost CAP_SYS_PTRACE"
    assert int(status(ours["memherd-link"])["CapEff"], 16) == 0


@pytest.mark.parametrize("service", SERVICES)
def test_limits_are_in_force(product, service):
    group = cgroup(service)
    assert (group / "memory.max").read_text().strip() == prop(service, "MemoryMax")
    assert (group / "pids.max").read_text().strip() == prop(service, "TasksMax")
    room = int(prop(service, "MemoryMax")) - int((group / "memory.current").read_text())
    assert room > 8 * MIB, "the limit is near what the program needs"


def test_collector_runs_its_own_postgresql_inside_the_unit(product):
    uid = run("id", "-u", "memherd-collector").strip()
    ours = [status(pid) for pid in pids("memherd-collector")]
    assert {"memherd-collect", "postgres"} <= {s["Name"] for s in ours}
    for s in ours:
        assert set(s["Uid"].split()) == {uid} and int(s["CapEff"], 16) == 0 and s["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_that_the_unit_forbids_was_needed(product, service):
    """A system call that the filter denies ends in EPERM, and what is not honoured systemd itself tells."""
    bad = re.compile(r"not permitted|permission denied|read-only file system|EPERM|EACCES|unknown (key|section|lvalue)"
                     r"|ignoring|core.dump|level=error|\berror\b", re.IGNORECASE)
    assert [line for line in journal(service) if bad.search(line)] == []


def test_agent_restarts_cleanly(product):
    before = set(pids("memherd-agent"))
    run("systemctl", "restart", "memherd-agent")
    assert active("memherd-agent") and not before & set(pids("memherd-agent"))
    restarted = last_seen()
    wait_until("samples after the restart", lambda: last_seen() > restarted and items("/hosts")[0]["connected"], 60)


def test_agent_stops_cleanly_and_starts_again(product):
    run("systemctl", "stop", "memherd-agent")
    assert prop("memherd-agent", "ActiveState") == "inactive"
    assert prop("memherd-agent", "Result") == "success" and prop("memherd-agent", "ExecMainStatus") == "0"
    assert pids("memherd-agent") == []
    run("systemctl", "start", "memherd-agent")
    stopped = last_seen()
    wait_until("samples after the start", lambda: last_seen() > stopped, 60)


def test_collector_stops_cleanly_with_its_postgresql_and_goes_on(product):
    run("systemctl", "stop", "memherd-collector")
    assert prop("memherd-collector", "Result") == "success" and prop("memherd-collector", "ExecMainStatus") == "0"
    assert pids("memherd-collector") == []
    run("systemctl", "start", "memherd-collector")
    wait_until("the collector to be ready", ready, 120)
    again = last_seen()
    wait_until("the agent to come back", lambda: last_seen() > again, 90)
    host, = items("/hosts")
    assert host["name"] == "guest"


def test_nothing_was_restarted_by_systemd(product):
    for service in SERVICES:
        assert prop(service, "NRestarts") == "0", journal(service)[-20:]


@pytest.mark.parametrize("unit", sorted(u.stem for u in UNITS.glob("memherd-*.service")))
def test_exposure(unit, record_property):
    """For the record; tests/integration/test_units.py holds it."""
    last = run("systemd-analyze", "security", "--no-pager", f"{unit}.service").strip().splitlines()[-1]
    score = re.search(r"for \S+: ([0-9.]+) (\w+)", last)
    assert score, last
    record_property("exposure", score.group(1))
    print(f"\nexposure {unit} {score.group(1)} {score.group(2)}")
