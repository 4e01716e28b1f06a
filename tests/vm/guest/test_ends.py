# SPDX-License-Identifier: Apache-2.0
"""How services end without anybody being short of memory."""

import os
import signal

import pytest
from guest import PythonUnit, ended, known, run, wait_until

SLEEP = "import time\nready()\ntime.sleep(600)\n"
LATER = "import ctypes, sys, time\nready()\ntime.sleep(5)\n"


def test_a_service_that_somebody_kills(product):
    with PythonUnit(SLEEP) as unit:
        process = known(unit.pid)
        os.kill(unit.pid, signal.SIGKILL)
        end = ended(process["id"])
    assert end["cause"] == "killed" and end["signal"] in (9, "SIGKILL")


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
        assert end["cause"] in ("unit_stop", "terminated") and end["signal"] in (15, "SIGTERM")
        if verb == "restart":
            new = wait_until("the new process", lambda: int(unit.prop("MainPID") or 0), 30)
            assert known(new)["service"] == process["service"]
