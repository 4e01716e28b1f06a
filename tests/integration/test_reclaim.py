# SPDX-License-Identifier: Apache-2.0
"""'reclaim', 'oom-score' and 'shed' against real processes and a real memory cgroup (v1 on this machine; v2 and
'drop-caches' for real in the guest, tests/vm/guest/test_reclaim.py)."""
import http.server
import json
import os
import pathlib
import signal
import socketserver
import subprocess
import sys
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/support"), os.path.join(ROOT, "tests/integration")]
from test_actd import Actd, spawn  # noqa: E402,F401
from test_limit import Daemon, Target, V1, wait_for  # noqa: E402

MIB = 1 << 20
SWAP = len(pathlib.Path("/proc/swaps").read_text().splitlines()) > 1
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_v1 = pytest.mark.skipif(not os.access(V1 / "memory.force_empty", os.W_OK), reason="needs a memory controller of cgroup v1")


@pytest.fixture
def actd(tmp_path):
    tmp_path.chmod(0o700)
    a = Actd(str(tmp_path))
    a.policy("".join(f"allow {word} uid>=0\nallow {word} uid>=0 container=yes\n" for word in ("reclaim", "oom-score", "shed")))
    return a


@pytest.fixture
def daemon(actd):
    d = Daemon(actd)
    yield d
    if d.process.poll() is None:
        assert d.stop() == 0
    d.log.close()


def act(actd, word, pid, *args):
    p = actd.run(word, pid, "--json", *args)
    assert p.stdout, p.stderr
    return p.returncode, json.loads(p.stdout)


# ---- reclaim ----

@pytest.fixture
def target(tmp_path):
    t = Target(tmp_path)
    yield t
    t.close()


def cached(target):
    return next(int(x.split()[1]) for x in (target.cgroup / "memory.stat").read_text().splitlines() if x.startswith("total_cache"))


@needs_v1
def test_cached_files_are_given_back(actd, target):
    before = cached(target)
    assert before > 50 * MIB
    rc, r = act(actd, "reclaim", target.pid, "--bytes", "50MiB", "--dry-run")
    assert (rc, r["status"]) == (0, "dry_run"), r
    assert f"all it can (v1 knows no amount) from cgroup '/{target.cgroup.name}'" in r["detail"] and cached(target) > 50 * MIB
    rc, r = act(actd, "reclaim", target.pid, "--bytes", "50MiB")
    assert (rc, r["status"]) == (0, "done"), r
    assert r["detail"].startswith("gave back ") and "of 50 MiB (v1 takes all it can): anon " in r["detail"], r
    assert ", file " in r["detail"] and ", swap 0 B -> 0 B; " in r["detail"] or SWAP, r
    assert cached(target) < before - 40 * MIB, r
    assert 0 < r["rss_after_bytes"] and target.process.poll() is None
    # now there is nothing left to give, unless anonymous memory has somewhere to go
    if not SWAP:
        rc, r = act(actd, "reclaim", target.pid, "--bytes", "50MiB")
        assert (rc, r["status"]) == (1, "refused"), r
        assert "could be taken (no swap: cached files alone), 50 MiB are asked: pointless" in r["detail"], r


@needs_v1
def test_reclaim_is_refused(actd, target):
    def says(*args):
        before = cached(target)
        _, r = act(actd, "reclaim", target.pid, *args)
        assert r["status"] == "refused" and cached(target) >= before - MIB, r
        return r["detail"]

    assert "1 GiB are asked: pointless" in says("--bytes", "1GiB") or SWAP
    actd.policy("allow * uid>=0\nallow * uid>=0 container=yes\n")
    assert "not allowed" in says("--bytes", "20MiB")
    actd.policy("allow reclaim uid>=0\nallow reclaim uid>=0 container=yes\n")
    if not SWAP:
        (target.cgroup / "inner").mkdir()
        assert "holds other cgroups, and there is no swap that its own pages could go to" in says("--bytes", "20MiB")
        (target.cgroup / "inner").rmdir()
        (target.cgroup.parent / "cgroup.procs").write_text(str(target.pid))
        assert "in no cgroup of its own" in says("--bytes", "20MiB")
    for wrong in ([], ["--bytes", "1"], ["--bytes", "-5"], ["--bytes", "many"], ["--bytes", "20MiB", "--for", "5s"]):
        assert actd.run("reclaim", target.pid, *wrong).returncode == 2, wrong


# ---- oom-score ----

SLEEPER = "import sys; print('ready', flush=True); sys.stdin.read()"


def score(pid):
    return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())


@pytest.fixture
def sleeper(spawn):  # noqa: F811
    return spawn(sys.executable, "-c", SLEEPER)


def test_a_score_is_raised_and_told(actd, sleeper):
    was = score(sleeper.pid)
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", was + 300, "--dry-run")
    assert (rc, r["status"], score(sleeper.pid)) == (0, "dry_run", was), r
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", was + 300)
    assert (rc, r["status"], score(sleeper.pid)) == (0, "done", was + 300), r
    assert f"set oom_score_adj to {was + 300} (it was {was}): it is killed sooner than others; it stays until the process ends" in r["detail"]
    assert "a process that comes after it does not have it" in r["detail"]
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", was + 300)
    assert (rc, r["status"]) == (1, "refused") and f"is {was + 300} already" in r["detail"]


def test_down_takes_a_word_of_the_policy(actd, sleeper):
    # begun from here, not by the action: the least that it may have stays as it was
    was = score(sleeper.pid)
    assert act(actd, "oom-score", sleeper.pid, "--score", was + 300)[0] == 0
    for less in (was + 100, -1):
        rc, r = act(actd, "oom-score", sleeper.pid, "--score", less)
        assert (rc, r["status"], score(sleeper.pid)) == (1, "refused", was + 300), r
        assert f"oom_score_adj is {was + 300}: to lower it" in r["detail"] and "must say lower=yes" in r["detail"]
    actd.policy("allow oom-score uid>=0 lower=yes\nallow oom-score uid>=0 container=yes lower=yes\n")
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", was + 100)
    if "CAP_SYS_RESOURCE" in r["detail"]:  # where root has it, what it sets is the least from then on
        pytest.skip(r["detail"])
    assert (rc, r["status"], score(sleeper.pid)) == (0, "done", was + 100), r
    assert "killed later than others" in r["detail"]


def test_scores_are_bounded_and_named(actd, sleeper):
    was = score(sleeper.pid)
    for wrong in (["--score", "-1000"], ["--score", "1001"], ["--score", "x"], [], ["--score", "5", "--for", "2d"]):
        p = actd.run("oom-score", sleeper.pid, *wrong)
        assert p.returncode == 2, (wrong, p.stderr)
    assert "at least -999" in actd.run("oom-score", sleeper.pid, "--score", "-1000").stderr
    actd.policy("allow * uid>=0\nallow * uid>=0 container=yes\n")
    assert "not allowed" in act(actd, "oom-score", sleeper.pid, "--score", "500")[1]["detail"]
    assert score(sleeper.pid) == was


def test_a_score_for_a_time_is_taken_back(actd, daemon, sleeper):
    was = score(sleeper.pid)
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", was + 200, "--for", "2s")
    assert (rc, r["status"]) == (0, "done") and "taken back in 2 s" in r["detail"], r
    assert f"/proc/{sleeper.pid}@" in pathlib.Path(actd.path("journal.limits")).read_text() or score(sleeper.pid) == was
    wait_for(lambda: score(sleeper.pid) == was)
    wait_for(lambda: "file=oom_score_adj event=taken_back why='its time is over'" in daemon.said())
    wait_for(lambda: pathlib.Path(actd.path("journal.limits")).read_text() == "")


def test_the_end_of_actd_takes_a_score_back(actd, daemon, sleeper):
    was = score(sleeper.pid)
    assert act(actd, "oom-score", sleeper.pid, "--score", was + 200, "--for", "1h")[0] == 0
    assert score(sleeper.pid) == was + 200
    assert daemon.stop() == 0
    wait_for(lambda: score(sleeper.pid) == was)


def test_a_score_of_who_is_gone_is_dropped(actd, daemon, sleeper):
    assert act(actd, "oom-score", sleeper.pid, "--score", "999", "--for", "1h")[0] == 0
    sleeper.kill()
    sleeper.wait()
    (pathlib.Path(actd.path("journal.limits"))).read_text()
    assert daemon.stop() == 0
    wait_for(lambda: "event=gone" in daemon.said())


def test_for_a_time_wants_a_daemon(actd, sleeper):
    rc, r = act(actd, "oom-score", sleeper.pid, "--score", "700", "--for", "1h")
    assert r["status"] == "refused" and "no memherd-actd runs that would take" in r["detail"], r


# ---- shed ----

CATCHER = """
import os, signal, sys
kept = [bytearray(1 << 20) for i in range(60)]
for page in kept:
    page[:] = b'x' * len(page)
def shed(number, frame):
    kept.clear()
for s in (signal.SIGUSR1, signal.SIGRTMIN + 3):
    signal.signal(s, shed)
print('ready', flush=True)
while sys.stdin.readline():
    pass
print('left=%d' % len(kept))
"""


def hook_policy(actd, *hooks):
    rows = "".join(f"shed exe={os.path.realpath(sys.executable)} {h}\n" for h in hooks)
    actd.policy(rows + "allow shed uid>=0\nallow shed uid>=0 container=yes\n")


@pytest.mark.parametrize("name", ["USR1", "SIGRTMIN+3"])
def test_a_signal_that_is_caught_is_sent(actd, spawn, name):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER)
    hook_policy(actd, f"signal={name}")
    rc, r = act(actd, "shed", p.pid, "--dry-run")
    assert (rc, r["status"]) == (0, "dry_run") and f"would ask it by SIG{name.removeprefix('SIG')}" in r["detail"], r
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"]) == (0, "done"), r
    assert r["rss_before_bytes"] - r["rss_after_bytes"] > 40 * MIB and "RSS " in r["detail"], r
    p.stdin.close()
    assert p.stdout.read() == "left=0\n" and p.wait(20) == 0


def test_a_signal_without_a_handler_is_not_sent(actd, spawn):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER)
    for name in ("USR2", "HUP", "RTMIN+4"):
        hook_policy(actd, f"signal={name}")
        for args in ((), ("--dry-run",)):
            rc, r = act(actd, "shed", p.pid, *args)
            assert (rc, r["status"]) == (1, "refused") and f"has no handler for SIG{name}: it would be ended" in r["detail"], r
    assert p.poll() is None


def test_without_a_hook_of_its_own_nobody_is_asked(actd, spawn):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER)
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"]) == (1, "refused") and "no 'shed' line of" in r["detail"], r
    hook_policy(actd)
    actd.policy("shed unit=other.service signal=USR1\n" + pathlib.Path(actd.path("policy")).read_text())
    assert "no 'shed' line of" in act(actd, "shed", p.pid)[1]["detail"]
    # by hand without the policy's leave it still is the policy that says how
    assert "no 'shed' line of" in act(actd, "shed", p.pid, "--no-policy")[1]["detail"]
    actd.policy(f"shed exe={os.path.realpath(sys.executable)} signal=USR1\nallow * uid>=0\nallow * uid>=0 container=yes\n")
    assert "not allowed" in act(actd, "shed", p.pid)[1]["detail"]
    assert actd.run("shed", p.pid, "--bytes", "1MiB").returncode == 2


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.seen.append((self.path, self.headers.get("Content-Length")))
        self.server.shed()
        self.send_response(self.server.status)
        self.end_headers()

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass


class Unix(socketserver.UnixStreamServer):
    server_name, server_port = "unix", 0


@pytest.fixture(params=["http", "unix"])
def server(request, tmp_path):
    """(the line's hook, the server), asked for the process that sheds: the test's own child gets a signal from it."""
    s = http.server.HTTPServer(("127.0.0.1", 0), Handler) if request.param == "http" else Unix(str(tmp_path / "hook"), Handler)
    s.hook = f"http=127.0.0.1:{s.server_port}/shed?now=1" if request.param == "http" else f"unix={tmp_path}/hook:/shed?now=1"
    s.seen, s.status, s.shed = [], 200, lambda: None
    thread = threading.Thread(target=s.serve_forever)
    thread.start()
    yield s
    s.shutdown()
    thread.join()
    s.server_close()


def test_a_hook_is_posted_to(actd, spawn, server):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER)
    server.shed = lambda: p.send_signal(signal.SIGUSR1)
    hook_policy(actd, server.hook)
    rc, r = act(actd, "shed", p.pid, "--dry-run")
    assert (rc, r["status"], server.seen) == (0, "dry_run", []), r
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"], server.seen) == (0, "done", [("/shed?now=1", "0")]), r
    assert "answered 200: RSS " in r["detail"] and r["rss_before_bytes"] - r["rss_after_bytes"] > 40 * MIB, r
    server.status, server.shed = 503, lambda: None
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"]) == (1, "failed") and "answered 503: it did not shed" in r["detail"], r


def test_a_hook_where_nobody_listens_fails(actd, spawn):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER)
    for hook, says in (("http=127.0.0.1:1/shed", "cannot reach port 1"), (f"unix={actd.path('none')}:/x", "cannot reach")):
        hook_policy(actd, hook)
        rc, r = act(actd, "shed", p.pid)
        assert (rc, r["status"]) == (1, "failed") and says in r["detail"], r
        assert r["rss_after_bytes"] is None


def test_another_networks_loopback_is_not_asked(actd, spawn):  # noqa: F811
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    p = spawn("unshare", "-n", sys.executable, "-c", CATCHER)
    hook_policy(actd, "http=127.0.0.1:1/shed")
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"]) == (1, "refused") and "do not share a loopback" in r["detail"], r


def test_who_ends_of_it_is_told(actd, spawn):  # noqa: F811
    p = spawn(sys.executable, "-c", CATCHER.replace("kept.clear()", "os._exit(3)"))
    hook_policy(actd, "signal=USR1")
    rc, r = act(actd, "shed", p.pid)
    assert (rc, r["status"]) == (1, "failed") and "the process ended within 5 s of it" in r["detail"], r
    assert p.wait(5) == 3


# ---- drop-caches: here only what drops nothing ----

def test_drop_caches_is_of_the_host(actd):
    actd.policy("allow drop-caches\n")
    p = actd.run("drop-caches", "--dry-run", "--json")
    r = json.loads(p.stdout)
    assert (p.returncode, r["status"], r["pid"]) == (0, "dry_run", None), r
    assert "would throw away the page cache" in r["detail"] and "It rarely helps" in r["detail"]
    p = actd.run("drop-caches", "--dry-run", "--kind", "slab")
    assert p.returncode == 0 and p.stdout.startswith("drop-caches: dry_run: would throw away cached names"), p.stdout
    assert actd.run("drop-caches", os.getpid(), "--dry-run").returncode == 2
    assert actd.run("drop-caches", "--dry-run", "--kind", "all").returncode == 2
    actd.policy("allow *\n")
    p = actd.run("drop-caches", "--json")
    assert p.returncode == 3 and "not allowed" in json.loads(p.stdout)["detail"]
