# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real Chromium against the real stack: page.js drives it and reports check by check."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/support")]
from dossier import DOSSIER, KILL, VERDICT  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

MODULES = ROOT / "build/npm-browser"
CHROMIUM = "/usr/bin/chromium"
HOSTILE = "<img src=x onerror=alert(1)>"
POLICY = "allow trim uid>=1000 exe=/usr/bin/python3* max=60/h cooldown=1s\ndeny *\n"
CHECKS = re.findall(r'check\("(\w+)"', (HERE / "page.js").read_text())


def hostile_comm():
    """A process whose comm is made to break parsers of /proc/PID/stat."""
    code = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'x) R 1', 0, 0, 0); time.sleep(300)"
    return subprocess.Popen([sys.executable, "-c", code])


def store_a_kill(stack):
    """As the collector stores what an agent tells."""
    row = {"host_id": 1, "kill_id": KILL["id"], "ts": "now", "rss": KILL["rss_bytes"], "doc": json.dumps(DOSSIER)}
    row |= {c: KILL[c] for c in ("cause", "confidence", "oom", "complete", "replayed", "pid", "comm", "service", "container",
                                 "limit_cgroup", "limit_owner", "limit_bytes", "verdict")}
    names = ", ".join(row)
    assert stack.sql(f"INSERT INTO oom_kill ({names}) VALUES ({', '.join(['%s'] * len(row))}) RETURNING 1", *row.values())


def store_censuses(stack, pid):
    """As the collector stores what an agent counts: between the two one type has grown."""
    process, = wait_for("the leak among the processes", lambda: [p for p in stack.items("/hosts/1/processes?limit=500") if p["pid"] == pid], 30)
    assert stack.sql("INSERT INTO census_type (name, used) VALUES (%s, now()), ('dict', now()) RETURNING 1", HOSTILE)
    for n, age in ((1, "30 min"), (2, "1 min")):
        assert stack.sql("INSERT INTO census (ts, host_id, census_id, proc_id, pid, start_ticks, service, comm, method, reason, version, "
                         "interpreters, pause_us, walk_us, objects, bytes, types_total, error, types, counts, sizes, parts, note) "
                         "SELECT now() - %s::interval, 1, %s, %s, %s, 1, '', '', 'snapshot', 'asked', 50987760, 1, 7000, 9000, 100, 100, "
                         "2, 0, array_agg(type_id ORDER BY type_id), ARRAY[%s, 50], ARRAY[%s, 5000], '{}', '' "
                         "FROM census_type RETURNING 1", age, n, process["id"], pid, 1000 * n, (n * 20) << 20)


@pytest.fixture(scope="module")
def results():
    if not (MODULES / "node_modules/playwright-core").is_dir():
        subprocess.run([ROOT / "tools/npm-install", HERE, MODULES], check=True)
    profile = tempfile.mkdtemp(prefix="memherd-chromium-")
    programs = []
    try:
        with Stack(rules=(ROOT / "tools/demo/demo.rules").read_text(), policy=POLICY) as stack:
            stack.up()
            # Where user nobody, whom the policy allows to be trimmed, can read it.
            stack.write("leak.py", (ROOT / "tools/demo/leak.py").read_text())
            leak = stack.start("leak", sys.executable, stack.path("leak.py"), 4, user="nobody")
            programs.append(subprocess.Popen([HOSTILE, "300"], executable="/usr/bin/sleep"))
            programs.append(hostile_comm())
            store_a_kill(stack)
            store_censuses(stack, leak.pid)
            assert stack.sql("INSERT INTO maintenance (host, service, starts, until, reason, created, created_by) VALUES ('*', 'none-*', now(),"
                             " now() + interval '1 day', %s, now(), 'token:ops') RETURNING 1", HOSTILE)
            wait_for("a firing alert", lambda: stack.items("/alerts?state=firing"), 90)
            with front_of(stack) as front:
                yield drive(stack, front, leak.pid, [p.pid for p in programs], profile)
    finally:
        for p in programs:
            p.kill()
            p.wait()
        shutil.rmtree(profile, ignore_errors=True)


def front_of(stack):
    """A collector that fronts it, and a cell that is not there."""
    front = Stack()
    token = front.write("cell.token", stack.token + "\n", 0o600)
    front.collector_options["cells"] = f"there=http://127.0.0.1:{stack.http},{token}\ncells = gone=http://127.0.0.1:{front.smtp},{token}"
    try:
        front.start_collector()
    except BaseException:
        front.close()
        raise
    return front


def drive(stack, front, leak, hostile, profile):
    given = {
        "login": stack.cli("login-link").strip(),
        "front": front.cli("login-link").strip(),
        "host": stack.items("/hosts")[0]["name"],
        "leak": leak,
        "hostile": hostile,
        "kill": {"id": KILL["id"], "verdict": VERDICT},
        "axe": (MODULES / "node_modules/axe-core/axe.min.js").read_text(),
        "chromium": CHROMIUM,
        "out": str(ROOT / "build/browser"),
        "profile": profile,
    }
    # A file: Node 18 gives up on standard input that is not there at once.
    argument = stack.write("given.json", json.dumps(given), 0o600)
    script = subprocess.run(["node", HERE / "page.js", argument], text=True, capture_output=True,
                            timeout=400, check=False, env=dict(os.environ, NODE_MODULES=str(MODULES / "node_modules")))
    found = {}
    for line in script.stdout.splitlines():
        one = json.loads(line)
        found[one["name"]] = (one["ok"], one["detail"])
    found["stderr"] = (True, script.stderr[-2000:])
    return found


@pytest.mark.parametrize("name", CHECKS)
def test_page(results, name):
    assert name in results, f"it was not reached: {results}"
    ok, detail = results[name]
    assert ok, detail
