# SPDX-License-Identifier: Apache-2.0
"""'limit' on a real memory cgroup (v1 on this machine, v2 in the guest): set for a time, taken back by itself when
that is over, when it throttles, and when memherd-actd is stopped or killed."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_actd import Actd  # noqa: E402

MIB = 1 << 20
V1 = pathlib.Path("/sys/fs/cgroup/memory")
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.access(V1 / "memory.limit_in_bytes", os.W_OK),
                                reason="needs root and a memory controller of cgroup v1")

# Mostly files, so that a limit has something to reclaim; on a line it begins to leak.
HOLDER = """
import sys
anon = bytearray(20 << 20)
f = open(sys.argv[1], "rb")
while f.read(1 << 20):
    pass
f.seek(0)
while f.read(1 << 20):
    pass
print("ready", flush=True)
kept = []
for line in sys.stdin:
    while True:
        kept.append(bytearray(1 << 20))
"""


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


class Target:
    def __init__(self, folder):
        self.cgroup = V1 / f"memherd-limit-{os.getpid()}"
        self.cgroup.mkdir()
        blob = pathlib.Path(folder) / "blob"
        blob.write_bytes(os.urandom(MIB) * 60)
        os.sync()
        subprocess.run(["dd", f"of={blob}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"], capture_output=True, check=True)
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, str(blob)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid())))
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def limit(self):
        v = int((self.cgroup / "memory.limit_in_bytes").read_text())
        return None if v > 1 << 60 else v

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        for _ in range(50):
            try:
                self.cgroup.rmdir()
                return
            except OSError:
                time.sleep(0.1)


@pytest.fixture
def target(tmp_path):
    t = Target(tmp_path)
    yield t
    t.close()


@pytest.fixture
def actd(tmp_path):
    tmp_path.chmod(0o700)
    a = Actd(str(tmp_path))
    a.policy("allow limit uid>=0\n")
    return a


class Daemon:
    def __init__(self, actd):
        self.actd = actd
        for name, text in (("key", "0" * 64), ("uuid", "00000000-0000-4000-8000-000000000001")):
            pathlib.Path(actd.path(name)).write_text(text + "\n")
        self.log = open(actd.path("log"), "a+")
        self.process = subprocess.Popen(actd.command("run"), stdout=self.log, stderr=self.log)
        wait_for(lambda: os.path.exists(actd.path("socket")))

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(10)


def watcher_of(daemon):
    def name(pid):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    children = pathlib.Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    wait_for(lambda: "memherd-limits" in map(name, children.read_text().split()))
    return next(int(pid) for pid in children.read_text().split() if name(pid) == "memherd-limits")


@pytest.fixture
def daemon(actd):
    d = Daemon(actd)
    yield d
    if d.process.poll() is None:
        assert d.stop() == 0
    d.log.close()


def limit(actd, target, *args):
    p = actd.run("limit", target.pid, "--json", "--kind", "max", *args)
    return p.returncode, json.loads(p.stdout)


def test_it_is_set_for_a_time(actd, daemon, target):
    rc, dry = limit(actd, target, "--bytes", "200MiB", "--dry-run")
    assert (rc, dry["status"], target.limit()) == (0, "dry_run", None)
    assert f"would set memory.limit_in_bytes of cgroup '/{target.cgroup.name}' to 200 MiB (it was not limited) for 10 min" in dry["detail"]
    rc, r = limit(actd, target, "--bytes", "200MiB", "--for", "6s")
    assert (rc, r["status"], target.limit()) == (0, "done", 200 * MIB), r
    state = pathlib.Path(actd.path("journal.limits"))
    assert state.stat().st_mode & 0o777 == 0o600 and target.cgroup.name in state.read_text()
    time.sleep(3)
    assert target.limit() == 200 * MIB
    wait_for(lambda: target.limit() is None, 30)
    wait_for(lambda: state.read_text() == "")
    assert "event=taken_back why='its time is over'" in daemon.said()
    # the journal knows it, of the action that had set it
    wait_for(lambda: " note limit " in actd.run("journal").stdout, 5)
    items = json.loads(actd.run("journal", "--json").stdout)["items"]
    done, note = items[-2:]
    assert (done["kind"], note["kind"]) == ("done", "note") and done["id"] == note["id"] and note["pid"] == target.pid
    assert re.fullmatch(r"taken back after [678](\.\d)? s: its time is over", note["detail"]), note


def test_one_set_anew_goes_back_to_what_was_first(actd, daemon, target):
    (target.cgroup / "memory.limit_in_bytes").write_text(str(500 * MIB))
    assert limit(actd, target, "--bytes", "300MiB")[0] == 0
    assert limit(actd, target, "--bytes", "200MiB", "--for", "5s")[0] == 0
    assert target.limit() == 200 * MIB
    rc, r = limit(actd, target, "--bytes", "400MiB")
    assert (rc, r["status"]) == (1, "refused") and "is 200 MiB already" in r["detail"]
    wait_for(lambda: target.limit() == 500 * MIB, 10)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_actd_takes_it_back(actd, daemon, target, sig):
    assert limit(actd, target, "--bytes", "200MiB", "--for", "1h")[0] == 0
    daemon.stop(sig)
    wait_for(lambda: target.limit() is None, 5)
    wait_for(lambda: re.search(r"note limit .* taken back after .*: memherd-actd has ended", actd.run("journal").stdout), 5)


def test_what_was_left_is_taken_back_at_the_start(actd, daemon, target):
    """The watcher is killed too: as after a crash of both."""
    assert limit(actd, target, "--bytes", "200MiB", "--for", "1h")[0] == 0
    watcher = watcher_of(daemon)
    daemon.process.send_signal(signal.SIGSTOP)
    os.kill(watcher, signal.SIGKILL)
    daemon.process.kill()
    daemon.process.wait()
    assert target.limit() == 200 * MIB
    again = Daemon(actd)
    wait_for(lambda: target.limit() is None, 3)
    assert "had ended without notice" in again.said()
    assert again.stop() == 0
    again.log.close()


def test_without_its_watcher_actd_ends(actd, daemon, target):
    watcher = watcher_of(daemon)
    os.kill(watcher, signal.SIGKILL)
    assert daemon.process.wait(5) == 1
    assert "the watcher of limits has ended" in daemon.said()


def test_one_that_is_held_up_is_let_go(actd, daemon, target):
    """It writes files beyond its limit without an end: page after page is held up."""
    writer = subprocess.Popen(["sh", "-c", f"echo $$ > {target.cgroup}/cgroup.procs; read go; while :; do"
                               f" dd if=/dev/zero of={actd.path('big')} bs=1M count=300 2> /dev/null; done"],
                              stdin=subprocess.PIPE, text=True, start_new_session=True)
    try:
        rc, r = limit(actd, target, "--bytes", "120MiB", "--for", "1h")
        assert rc == 0, r
        time.sleep(7)
        assert target.limit() == 120 * MIB, "it stays while it does no harm"
        began = time.monotonic()
        writer.stdin.write("go\n")
        writer.stdin.flush()
        wait_for(lambda: target.limit() is None, 15)
        assert time.monotonic() - began < 15
        assert "it was held up at the limit over 50 times a second" in daemon.said()
    finally:
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdin.close()


def test_refusals(actd, daemon, target):
    def says(*args):
        rc, r = limit(actd, target, *args)
        assert (r["status"], target.limit()) == ("refused", None), r
        return r["detail"]

    assert "less than its working set" in says("--bytes", "20MiB")
    p = actd.run("limit", target.pid, "--bytes", "200MiB", "--json")
    assert "cgroup v1 has no 'high'" in p.stdout
    (target.cgroup / "inner").mkdir()
    assert "holds other cgroups" in says("--bytes", "200MiB")
    (target.cgroup / "inner").rmdir()
    actd.policy("allow * uid>=0\n")
    assert "not allowed" in says("--bytes", "200MiB")
    actd.policy("allow limit uid>=0\n")
    (target.cgroup.parent / "cgroup.procs").write_text(str(target.pid))
    assert "in no cgroup of its own" in says("--bytes", "200MiB")
    for wrong in (["--bytes", "1"], ["--bytes", "x"], [], ["--bytes", "200MiB", "--for", "1s"], ["--bytes", "200MiB", "--kind", "soft"]):
        assert actd.run("limit", target.pid, *wrong).returncode == 2, wrong


def test_mostly_anonymous_without_swap_is_refused(actd, daemon, target):
    if "SwapTotal:              0 kB" not in pathlib.Path("/proc/meminfo").read_text():
        pytest.skip("there is swap here")
    (target.cgroup / "memory.force_empty").write_text("0")
    rc, r = limit(actd, target, "--bytes", "1GiB")
    assert (r["status"], target.limit()) == ("refused", None)
    assert "are anonymous and there is no swap: at the limit nothing could be reclaimed" in r["detail"]


def test_without_a_daemon_by_hand_is_refused(actd, target):
    rc, r = limit(actd, target, "--bytes", "200MiB")
    assert r["status"] == "refused" and "no memherd-actd runs that would take the limit back" in r["detail"]
    assert target.limit() is None


def test_a_damaged_file_is_told_and_does_no_harm(actd, target):
    pathlib.Path(actd.path("journal.limits")).write_text("nonsense\n\n/etc/passwd x\n")
    os.chmod(actd.path("journal.limits"), 0o600)
    d = Daemon(actd)
    assert "'nonsense' is no limit of ours" in d.said() or "is no limit of ours" in d.said()
    rc, r = limit(actd, target, "--bytes", "200MiB")
    assert r["status"] == "failed" and "is no limit of ours" in r["detail"]
    assert target.limit() is None and d.stop() == 0
    d.log.close()
