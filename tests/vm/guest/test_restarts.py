# SPDX-License-Identifier: Apache-2.0
"""Restarts of real units by systemd, asked over the whole path of the installed product, and ends that
look like them and are not."""

import json
import os
import signal
import subprocess

import pytest
from guest import ETC, MIB, OUT, PythonUnit, active, ended, items, known, prop, run, wait_until

POLICY = """
allow restart uid>=0 cgroup=/system.slice/shop*.service max=2/h
allow restart uid>=0 cgroup=/system.slice/systemd-*.service
allow restart uid>=0 cgroup=/system.slice/broken.service
deny *
"""
# Large the first time, small when it was restarted.
TEXT = """
import pathlib, time
mark = pathlib.Path('/run/vm/%s.again')
room = b'x' * ((8 if mark.exists() else 60) << 20)
mark.touch()
ready()
time.sleep(600)
"""


@pytest.fixture(scope="module")
def actd(product):
    (ETC / "policy").write_text(POLICY)
    (ETC / "policy").chmod(0o600)
    run("systemctl", "start", "memherd-actd.socket")  # which the agent's first look starts the service for
    wait_until("memherd-actd to be active", lambda: active("memherd-actd"), 60)
    wait_until("the host to take commands", lambda: items("/hosts")[0]["can_act"], 60)


def restart(pid, *args):
    """Exit code and the action, as 'memherd restart --json' tells it."""
    r = subprocess.run(["memherd", "restart", f"1:{pid}", "--json", *(args or ("--yes", "--wait"))],
                       capture_output=True, text=True, timeout=180, check=False)
    assert r.stdout, r.stderr
    return r.returncode, json.loads(r.stdout)


def evidence(process):
    event = wait_until("the event of its end", lambda: [e for e in items("/events?kind=death&limit=1000")
                                                        if e["process_id"] == process["id"]], 30)[0]
    return [v for k, v in event["details"].items() if k.startswith("evidence")]


def test_a_unit_is_restarted_by_systemd_and_told_as_ours(actd):
    with PythonUnit(TEXT % "shop1", name="shop1") as unit:
        process = known(unit.pid)
        wait_until("its memory", lambda: known(unit.pid)["rss_bytes"] > 60 * MIB, 30)
        code, dry = restart(unit.pid, "--dry-run")
        assert code == 0 and "would be restarted by systemd, unit shop1.service" in dry["detail"], dry
        assert int(unit.prop("MainPID")) == unit.pid
        code, action = restart(unit.pid)
        new = int(unit.prop("MainPID"))
        assert code == 0 and action["state"] == "done", action
        assert new not in (0, unit.pid) and f"process {new} with" in action["detail"], action
        assert action["rss_before_bytes"] > 60 * MIB > action["rss_after_bytes"] > 8 * MIB
        end = ended(process["id"])
        assert end["cause"] == "own_action" and end["signal"] in (15, "SIGTERM"), end
        assert any(action["id"] in line for line in evidence(process)), evidence(process)
        # The second one is the last in this hour, though it is another process.
        assert restart(new)[0] in (0, 1)
        code, action = restart(int(unit.prop("MainPID")))
        assert code == 3 and "allows 2" in action["detail"], action


def test_a_unit_that_does_not_come_back_is_a_failure(actd):
    text = "import pathlib, sys, time\nmark = pathlib.Path('/run/vm/broken.again')\nif mark.exists():\n    sys.exit(3)\n" \
           "mark.touch()\nready()\ntime.sleep(600)\n"
    # Systemd waits for the second program: by then the first one has ended, and so the start has failed.
    with PythonUnit(text, name="broken", ExecStartPost="/bin/sleep 2") as unit:
        known(unit.pid)
        code, action = restart(unit.pid)
        assert code == 1 and action["state"] == "failed" and "did not start again" in action["detail"], action
        assert action["rss_after_bytes"] == 0


def test_what_the_host_hangs_on_is_refused(actd):
    pid = int(prop("systemd-journald", "MainPID"))
    known(pid)
    code, action = restart(pid)
    assert code == 3 and action["state"] == "refused", action
    assert int(prop("systemd-journald", "MainPID")) == pid


def test_a_kill_by_somebody_else_is_not_ours(actd):
    with PythonUnit("import time\nready()\ntime.sleep(600)\n", name="other") as unit:
        process = known(unit.pid)
        code, action = restart(unit.pid)
        assert code == 3 and action["state"] == "refused", action
        os.kill(unit.pid, signal.SIGKILL)
        assert ended(process["id"])["cause"] == "killed"
        assert not any("memherd" in line for line in evidence(process))


def test_what_systemd_writes_of_a_stop(product):
    """For the record: the fields that tell a unit's stop, found in build/vm/last/out afterwards."""
    with PythonUnit("import time\nready()\ntime.sleep(600)\n", name="stopped") as unit:
        run("systemctl", "restart", unit.name)
        run("systemctl", "stop", unit.name)
        said = run("journalctl", "--no-pager", "-o", "verbose", "-b", "UNIT=stopped.service")
        OUT.mkdir(exist_ok=True)
        (OUT / "stop.txt").write_text(said)
    assert "JOB_TYPE=restart" in said and "JOB_TYPE=stop" in said


def test_nothing_that_its_unit_forbids_was_needed(actd):
    said = run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", "memherd-actd")
    assert "not permitted" not in said and "ermission denied" not in said, said
    assert prop("memherd-actd", "NRestarts") == "0"
    run("systemctl", "stop", "memherd-actd")


def test_without_its_socket_unit_the_helper_makes_the_socket_itself(actd):
    run("systemctl", "stop", "memherd-actd.socket", "memherd-actd")
    wait_until("the host to take no commands", lambda: not items("/hosts")[0]["can_act"], 60)
    run("systemctl", "start", "memherd-actd")
    wait_until("the host to take commands", lambda: items("/hosts")[0]["can_act"], 60)
    assert prop("memherd-actd.socket", "ActiveState") == "inactive"
