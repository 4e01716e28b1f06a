# SPDX-License-Identifier: Apache-2.0
"""A limit of memory.high on a real unit, over the whole path of the installed product: the freeze that it can
lead to without swap is made, seen, and ended by itself within 15 s."""

import json
import subprocess
import time

import pytest
from guest import CGROUPS, ETC, MIB, PythonUnit, active, items, journal, known, prop, run, wait_until

POLICY = "allow limit uid>=0 cgroup=/system.slice/leaky*.service\ndeny *\n"
# Files that the kernel may take first, then a leak that nothing can be taken from.
TEXT = """
import pathlib, time
go = pathlib.Path('/run/vm/%s.go')
blob = pathlib.Path('/var/tmp/%s.blob')
room = bytearray(10 << 20)
blob.write_bytes(b'x' * (60 << 20))
ready()
while not go.exists():
    time.sleep(0.2)
kept = []
while True:
    kept.append(bytearray(1 << 20))
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def actd(product):
    (ETC / "policy").write_text(POLICY)
    (ETC / "policy").chmod(0o600)
    run("systemctl", "restart", "memherd-actd")
    wait_until("memherd-actd to be active", lambda: active("memherd-actd"), 30)
    wait_until("the host to take commands", lambda: items("/hosts")[0]["can_act"], 60)
    yield
    run("systemctl", "stop", "memherd-actd")
    assert prop("memherd-actd", "Result") == "success"


def limit(pid, *args):
    r = subprocess.run(["memherd", "limit", f"1:{pid}", "--json", "--yes", "--wait", *map(str, args)],
                       capture_output=True, text=True, timeout=180, check=False)
    assert r.stdout, r.stderr
    return r.returncode, json.loads(r.stdout)


def word(folder, file, key):
    line = next(x for x in (folder / file).read_text().splitlines() if x.split()[0] == key)
    return int(line.split("total=")[1] if "total=" in line else line.split()[1])


def high(folder):
    return (folder / "memory.high").read_text().strip()


def test_a_freeze_is_ended_by_itself(actd):
    assert next(x for x in open("/proc/meminfo") if x.startswith("SwapTotal")).split()[1] == "0"
    with PythonUnit(TEXT % ("leaky", "leaky"), name="leaky") as unit:
        known(unit.pid)
        folder = CGROUPS / "system.slice/leaky.service"
        code, action = limit(unit.pid, "--bytes", 60 * MIB, "--for", "1h")
        assert (code, action["state"]) == (0, "done") and "memory.high" in action["detail"], action
        assert high(folder) == str(60 * MIB)
        time.sleep(7)
        assert high(folder) == str(60 * MIB), "it stays while it does no harm"
        open("/run/vm/leaky.go", "w").close()
        # It has used up what could be taken from it: now it stands.
        events = word(folder, "memory.events", "high")
        wait_until("the freeze", lambda: word(folder, "memory.events", "high") > events + 20, 120, 0.1)
        began = time.monotonic()
        wait_until("the limit to be taken back", lambda: high(folder) == "max", 60, 0.1)
        took = time.monotonic() - began
        told = wait_until("the journal", lambda: [x for x in journal("memherd-actd") if "event=taken_back" in str(x)], 30)
        assert took < 15, (took, told)
        assert "at the limit" in str(told[-1]) or "waited for memory" in str(told[-1]), told
        grown = int((folder / "memory.current").read_text())
        wait_until("it to go on", lambda: int((folder / "memory.current").read_text()) > grown + 5 * MIB, 60)


def test_what_would_freeze_at_once_is_refused(actd):
    text = "import time\nroom = bytearray(80 << 20)\nready()\ntime.sleep(600)\n"
    with PythonUnit(text, name="leaky2") as unit:
        known(unit.pid)
        code, action = limit(unit.pid, "--bytes", 300 * MIB)
        assert (code, action["state"]) == (3, "refused") and "anonymous and there is no swap" in action["detail"], action
        code, action = limit(unit.pid, "--bytes", 50 * MIB)
        assert (code, action["state"]) == (3, "refused") and "less than its working set" in action["detail"], action


def test_the_end_of_actd_takes_it_back(actd):
    text = "import pathlib, time\npathlib.Path('/var/tmp/l3').write_bytes(b'x' * (60 << 20))\nready()\ntime.sleep(600)\n"
    with PythonUnit(text, name="leaky3") as unit:
        known(unit.pid)
        folder = CGROUPS / "system.slice/leaky3.service"
        code, action = limit(unit.pid, "--bytes", 100 * MIB, "--for", "1h")
        assert code == 0, action
        assert high(folder) == str(100 * MIB)
        run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", "memherd-actd")
        wait_until("the limit to be taken back", lambda: high(folder) == "max", 60)
        wait_until("memherd-actd to be back", lambda: active("memherd-actd"), 30)
