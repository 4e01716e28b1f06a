# SPDX-License-Identifier: Apache-2.0
"""reclaim, drop-caches, oom-score and shed over the whole path of the installed product, under the unit's walls:
cgroup v2, swap, processes of another user, the loopback."""

import json
import os
import pathlib
import socket
import subprocess

import pytest
from guest import CGROUPS, ETC, MIB, PYTHON, PythonUnit, active, items, known, meminfo, run, swap_file, wait_until

POLICY = """
shed unit=hook-signal.service signal=USR1
shed unit=hook-unix.service unix=/run/vm/hook.sock:/shed
shed unit=hook-http.service http=127.0.0.1:18080/shed
allow reclaim uid>=0
allow oom-score uid>=0
allow shed uid>=0 unit=hook-*.service
allow drop-caches
deny *
"""
FILES = """
import pathlib, time
room = bytearray(%d << 20)
for i in range(0, len(room), 4096):
    room[i] = 1
blob = pathlib.Path('/var/tmp/%s.blob')
blob.write_bytes(b'x' * (%d << 20))
import os
fd = os.open(blob, os.O_RDONLY); os.fsync(fd)
while os.read(fd, 1 << 20):
    pass
ready()
time.sleep(900)
"""
DROP_IN = pathlib.Path("/etc/systemd/system/memherd-actd.service.d/loopback.conf")
CACHES = DROP_IN.with_name("drop-caches.conf")
# as they come with memherd
SHIPPED = pathlib.Path("/usr/local/share/doc/memherd/examples/memherd-actd.service.d")


def listens():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        return s.connect_ex("/run/memherd/actd.sock") == 0


def restart_actd():
    run("systemctl", "restart", "memherd-actd")
    # 'active' before it listens, and can_act is what the agent told last
    wait_until("memherd-actd to listen", listens, 30)
    wait_until("memherd-actd to be active", lambda: active("memherd-actd"), 30)
    wait_until("the host to take commands", lambda: items("/hosts")[0]["can_act"], 60)


@pytest.fixture(scope="module")
def actd(product):
    CACHES.parent.mkdir(parents=True, exist_ok=True)
    CACHES.write_text((SHIPPED / CACHES.name).read_text())
    run("systemctl", "daemon-reload")
    (ETC / "policy").write_text(POLICY)
    (ETC / "policy").chmod(0o600)
    restart_actd()
    yield
    CACHES.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "stop", "memherd-actd")


def act(word, target, *args):
    r = subprocess.run(["memherd", word, target, "--json", "--yes", "--wait", *map(str, args)],
                       capture_output=True, text=True, timeout=240, check=False)
    assert r.stdout, r.stderr
    return r.returncode, json.loads(r.stdout)


def stat(folder, key):
    return next(int(x.split()[1]) for x in (folder / "memory.stat").read_text().splitlines() if x.split()[0] == key)


def test_files_are_reclaimed_and_a_shortfall_told(actd):
    with PythonUnit(FILES % (10, "files", 150), name="files") as unit:
        known(unit.pid)
        before = stat(unit.cgroup, "file")
        code, action = act("reclaim", f"1:{unit.pid}", "--bytes", 30 * MIB)
        assert (code, action["state"]) == (0, "done"), action
        assert "gave back " in action["detail"] and " of 30 MiB" in action["detail"] and "pressure " in action["detail"], action
        after = stat(unit.cgroup, "file")
        # a kernel takes more than it was asked for, too
        assert before - 90 * MIB < after < before - 25 * MIB, (before, after, action)
        code, action = act("reclaim", f"1:{unit.pid}", "--bytes", 200 * MIB)
        assert (code, action["state"]) == (0, "done"), action
        assert "of 200 MiB, more could not be taken: anon " in action["detail"], action
        code, action = act("reclaim", f"1:{unit.pid}", "--bytes", 200 * MIB)
        assert (code, action["state"]) == (3, "refused") and "pointless" in action["detail"], action
        assert active("files.service")


def test_anonymous_memory_goes_into_swap(actd):
    with swap_file(200), PythonUnit(FILES % (60, "anon", 60), name="anon") as unit:
        known(unit.pid)
        code, action = act("reclaim", f"1:{unit.pid}", "--bytes", 110 * MIB)
        assert (code, action["state"]) == (0, "done"), action
        assert int((unit.cgroup / "memory.swap.current").read_text()) > 20 * MIB, action
        assert action["swap_after_bytes"] > action["swap_before_bytes"] + 20 * MIB, action


def test_a_process_without_a_cgroup_of_its_own_is_paged_out(actd):
    shared = CGROUPS / "shared.slice"
    shared.mkdir(exist_ok=True)
    text = "import sys\nroom = bytearray(60 << 20)\nfor i in range(0, len(room), 4096): room[i] = 1\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([PYTHON, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user="nobody") as p:
        assert p.stdout.readline() == "ready\n"
        (shared / "cgroup.procs").write_text(str(p.pid))
        known(p.pid)
        code, action = act("reclaim", f"1:{p.pid}", "--bytes", 40 * MIB)
        assert (code, action["state"]) == (3, "refused") and "there is no swap that its own pages could go to" in action["detail"], action
        with swap_file(200):
            code, action = act("reclaim", f"1:{p.pid}", "--bytes", 40 * MIB)
            assert (code, action["state"]) == (0, "done"), action
            assert "paged out " in action["detail"] and action["swap_after_bytes"] > 30 * MIB, action
            p.stdin.close()
            assert p.wait(60) == 0
    shared.rmdir()


def test_caches_are_dropped_once_an_hour(actd):
    pathlib.Path("/var/tmp/cached").write_bytes(b"x" * (40 << 20))
    run("sync")
    before = meminfo("Cached")
    code, action = act("drop-caches", "1", "--dry-run")
    assert (code, action["state"], action["pid"], action["process_id"]) == (0, "done", None, None), action
    assert "It rarely helps" in action["detail"] and meminfo("Cached") > before - 20 * MIB
    code, action = act("drop-caches", "1")
    assert (code, action["state"]) == (0, "done") and "threw away the page cache: free " in action["detail"], action
    assert meminfo("Cached") < before - 20 * MIB and action["freed_bytes"] > 20 * MIB, action
    restart_actd()
    code, action = act("drop-caches", "1")
    assert (code, action["state"]) == (3, "refused") and "drop-caches wants a rest of 60 min" in action["detail"], action
    audit = run("memherd", "audit", "--json", "--limit", "100")
    assert "drop-caches" in audit


def test_a_score_of_another_user_is_raised_for_a_time(actd):
    with PythonUnit("import time\nready()\ntime.sleep(900)", name="scored", User="nobody") as unit:
        known(unit.pid)
        adj = pathlib.Path(f"/proc/{unit.pid}/oom_score_adj")
        code, action = act("oom-score", f"1:{unit.pid}", "--score", 400, "--for", "15s")
        assert (code, action["state"]) == (0, "done") and "(it was 0)" in action["detail"], action
        wait_until("the score to be taken back", lambda: adj.read_text() == "0\n", 60)
        code, action = act("oom-score", f"1:{unit.pid}", "--score", -100)
        assert (code, action["state"]) == (3, "refused") and "must say lower=yes" in action["detail"], action


SHED = """
import http.server, os, signal, socket, socketserver, sys
kept = [bytearray(b'x' * (1 << 20)) for i in range(40)]
signal.signal(signal.SIGUSR1, lambda *a: kept.clear())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        kept.clear()
        self.send_response(200); self.end_headers()
    def address_string(self):
        return 'local'
class Unix(socketserver.UnixStreamServer):
    server_name, server_port = 'unix', 0
if '%s' == 'unix':
    s = Unix('/run/vm/hook.sock', Handler)
else:
    s = http.server.HTTPServer(('127.0.0.1', 18080), Handler)
ready()
s.serve_forever()
"""


def shed(kind):
    return PythonUnit(SHED % kind, name=f"hook-{kind}", User="nobody")


@pytest.mark.parametrize("kind", ["signal", "unix"])
def test_a_service_sheds(actd, kind):
    os.chmod("/run/vm", 0o777)
    with shed(kind) as unit:
        known(unit.pid)
        code, action = act("shed", f"1:{unit.pid}")
        assert (code, action["state"]) == (0, "done"), action
        assert action["freed_bytes"] > 25 * MIB, action
    pathlib.Path("/run/vm/hook.sock").unlink(missing_ok=True)


def test_the_loopback_is_given_by_root(actd):
    with shed("http") as unit:
        known(unit.pid)
        code, action = act("shed", f"1:{unit.pid}")
        assert (code, action["state"]) == (3, "refused") and "do not share a loopback" in action["detail"], action
        DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        DROP_IN.write_text((SHIPPED / DROP_IN.name).read_text())
        try:
            run("systemctl", "daemon-reload")
            restart_actd()
            code, action = act("shed", f"1:{unit.pid}")
            assert (code, action["state"]) == (0, "done") and "answered 200" in action["detail"], action
            assert action["freed_bytes"] > 25 * MIB, action
        finally:
            DROP_IN.unlink()
            run("systemctl", "daemon-reload")
            restart_actd()
