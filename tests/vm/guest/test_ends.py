# SPDX-License-Identifier: Apache-2.0
"""How services end without anybody being short of memory."""

import os
import signal

import pytest
from guest import PythonUnit, ended, get, known, pids, run, wait_until

SLEEP = "import time\nready()\ntime.sleep(600)\n"
LATER = "import ctypes, sys, time\nready()\ntime.sleep(5)\n"


@pytest.mark.parametrize("properties", [{}, {"Restart": "always", "RestartSec": "200ms"}], ids=["stays", "comes back"])
def test_a_service_that_somebody_kills(product, properties):
    with PythonUnit(SLEEP, **properties) as unit:
        process = known(unit.pid)
        os.kill(unit.pid, signal.SIGKILL)
        end = ended(process["id"])
    assert end["cause"] == "killed" and end["signal"] in (9, "SIGKILL")


def test_a_service_that_is_killed_and_then_stopped(product):
    """Who was dead before systemd began to stop the unit was not stopped by it."""
    text = "import os, time\nif not os.fork():\n    time.sleep(600)\n" + SLEEP
    with PythonUnit(text) as unit:
        child, = (p for p in pids(unit.name) if p != unit.pid)
        processes = [known(p) for p in (child, unit.pid)]
        os.kill(child, signal.SIGKILL)
        wait_until("the child to be seen to end", lambda: get(f"/processes/{processes[0]['id']}")["alive"] is False, 30)
        run("systemctl", "stop", unit.name)
        ends = [ended(p["id"]) for p in processes]
    assert [e["cause"] for e in ends] == ["killed", "unit_stop"], ends


def test_a_service_that_ignores_the_stop(product):
    """systemd kills it after its grace: that, too, is the stop."""
    text = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    with PythonUnit(text, TimeoutStopSec="5s") as unit:
        process = known(unit.pid)
        run("systemctl", "stop", unit.name)
        end = ended(process["id"])
    assert end["cause"] == "unit_stop" and end["signal"] in (9, "SIGKILL"), end


@pytest.mark.parametrize("text,cause", [("sys.exit(3)", "exit_code"), ("ctypes.string_at(0)", "crash"),
                                        ("sys.exit(0)", "clean_exit")])
def test_a_service_that_ends_by_itself(product, text, cause):
    with PythonUnit(LATER + text, LimitCORE="0") as unit:
        process = known(unit.pid)
        end = ended(process["id"])
        assert end["cause"] == cause
        if cause == "exit_code":
            assert end["exit_code"] == 3
        if cause == "crash":
            assert end["signal"] in (11, "SIGSEGV") and unit.prop("Result") == "signal"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_service_that_its_administrator_ends(product, verb):
    with PythonUnit(SLEEP) as unit:
        process = known(unit.pid)
        run("systemctl", verb, unit.name)
        end = ended(process["id"])
        assert end["cause"] == "unit_stop" and end["signal"] in (15, "SIGTERM"), end
        if verb == "restart":
            new = wait_until("the new process", lambda: int(unit.prop("MainPID") or 0), 30)
            assert known(new)["service"] == process["service"]
