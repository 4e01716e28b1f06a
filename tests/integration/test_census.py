# SPDX-License-Identifier: Apache-2.0
"""The census of a live Python process: what it counts is what the process itself would count, on every CPython
there is, and nothing that it does to the process can be noticed inside of it, whenever it is cut short."""
import array
import ast
import fcntl
import glob
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/support"), os.path.join(ROOT, "tests/integration")]
import pythons  # noqa: E402
from test_actd import Collector, Link, actd, build, daemon, rss, signals_blocked, spawn  # noqa: E402,F401

BIN = os.environ.get("BIN", os.path.join(ROOT, "build"))
TARGET = os.path.join(ROOT, "tests/support/census_target.py")
PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
PROT_KINDS = 8
KIND_OBJECTS = 100_000  # of each kind: a million in all, with what they hold
BUSY_SLACK = 1500       # objects that two threads make and drop at any moment


def censuses(actd):
    actd.policy("allow census uid>=0\nallow census uid>=0 container=yes\n")

    def take(pid, *args, timeout=40):
        p = actd.run("census", pid, "--json", "--top", 500, *args, timeout=timeout)
        return p.returncode, json.loads(p.stdout)

    return take


@pytest.fixture
def census(actd):  # noqa: F811
    return censuses(actd)


class Target:
    """tests/support/census_target.py in one of the Pythons."""

    def __init__(self, python, objects, threads):
        with open(TARGET) as f:
            source = f.read()
        argv = python.argv("-S", "-c", source, objects, threads)
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=pythons.clean_environment())
        self.pid = self.proc.pid
        self.truth = ast.literal_eval(self.proc.stdout.readline().decode())
        assert self.proc.stdout.readline() == b"ready\n"

    def ask(self, what=b"?"):
        self.proc.stdin.write(what + b"\n")
        self.proc.stdin.flush()
        return ast.literal_eval(self.proc.stdout.readline().decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()


def every_python():
    params = [pytest.param(p, id=p.label) for p in pythons.all() if p.kind == "cpython" and p.minor() >= 8]
    return params + [pytest.param(None, id=name, marks=pytest.mark.skip(reason=why)) for name, why in pythons.unavailable().items()]


def local(minor=11):
    return next(p for p in pythons.all() if p.root is None and p.kind == "cpython" and p.minor() == minor)


def children(pid):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, errors="replace") as f:
                fields = f.read().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.split("/")[2]))
    return found


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def rows(answer):
    return {t["type"]: (t["objects"], t["bytes"]) for t in answer["census"]["types"]}


# What an instance keeps beside or inside of itself for its attributes, sys.getsizeof() does not say.
HAS_VALUES = {"__main__.Plain", "__main__.Listed"}
OWN = {"__main__.Plain", "__main__.Slots", "__main__.Listed", "__main__.local.<locals>.Inner"}


@pytest.mark.parametrize("python", every_python())
def test_counts_and_bytes_are_the_interpreters_own(census, python, capsys):
    with Target(python, KIND_OBJECTS, 2) as p:
        rc, r = census(p.pid, "--method", "snapshot")
        assert (rc, r["status"]) == (0, "done"), r
        got, c = rows(r), r["census"]
        total = sum(n for n, _ in p.truth.values())
        assert abs(c["objects"] - total) <= total // 1000 + BUSY_SLACK
        for name in OWN | {"list", "dict", "tuple", "set", "frozenset", "function", "type"}:
            n, size = p.truth[name]
            assert abs(got[name][0] - n) <= n / 1000 + BUSY_SLACK, name
            if n < KIND_OBJECTS // 4:
                continue
            one, real = got[name][1] / got[name][0], size / n
            if python.minor() >= 11 and name in HAS_VALUES:
                assert real <= one <= real + 8 * 40, name
            else:
                assert abs(one - real) <= real / 100, name
        walk = c["walk_us"] / 1000 * 1e6 / c["objects"]
        with capsys.disabled():
            print(f"\n  {python.label}: {c['objects']} objects of {total}, {walk:.0f} ms per million, "
                  f"paused {c['pause_us'] / 1000:.1f} ms at {r['rss_before_bytes'] >> 20} MiB", end="")


def test_every_way_counts_the_same(census):
    with Target(local(), 20_000, 2) as p:
        total = sum(n for n, _ in p.truth.values())
        for method in ("snapshot", "stopped", "live"):
            rc, r = census(p.pid, "--method", method)
            assert (rc, r["status"]) == (0, "done"), r
            c = r["census"]
            assert c["method"] == method
            assert (c["error_per_10000"] > 0) == (method == "live")
            assert (c["pause_us"] > 0) == (method != "live")
            slack = total * c["error_per_10000"] // 10000 + total // 100 + BUSY_SLACK
            assert abs(c["objects"] - total) <= slack, method
            assert ("while it ran" in r["detail"]) == (method == "live")


def test_it_tells_where_the_memory_is(census, spawn):  # noqa: F811
    """A native buffer, shared memory and what Python's allocator has are told apart."""
    p = spawn(PYTHON, "-c", "import mmap, time\nb = bytearray(96 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\n"
              "s = mmap.mmap(-1, 48 << 20)\ns.write(bytes(48 << 20))\nk = [(i, str(i)) for i in range(300000)]\n"
              "print('ready', flush=True); time.sleep(600)")
    parts = census(p.pid)[1]["census"]["parts"]
    mb = {k: v >> 20 for k, v in parts.items()}
    assert 94 <= mb["native"] <= 110 and 47 <= mb["shmem"] <= 50 and 35 <= mb["pymalloc"] <= 80, mb
    assert parts["arenas"] == 1 and abs(mb["rss"] - (rss(p.pid) >> 20)) <= 4 and 0 < parts["page_tables"] < 2 << 20
    assert sum(parts[k] for k in ("pymalloc", "malloc", "native", "stacks", "file", "shmem")) == parts["rss"]


def test_a_method_that_there_is_not_is_refused(actd):
    r = actd.run("census", os.getpid(), "--method", "fast")
    assert r.returncode == 2 and "'method' is 'fast', but one of fitting|snapshot|stopped|live" in r.stderr
    r = actd.run("trim", os.getpid(), "--method", "live")
    assert r.returncode == 2 and "trim takes no parameter 'method'" in r.stderr


def test_a_dry_run_touches_nothing_and_tells_the_pause(census):
    with Target(local(), 10_000, 1) as p:
        rc, r = census(p.pid, "--dry-run")
        assert (rc, r["status"]) == (0, "dry_run")
        assert r["detail"].startswith("would take a snapshot of ") and "expected pause about " in r["detail"]
        assert "census" not in r and r["held_us"] == 0
        rc, r = census(p.pid, "--dry-run", "--method", "stopped")
        assert r["detail"].startswith("would stop and read ")


def test_the_pause_is_short(census, capsys):
    """Beside the process's own fork(), which copies as many page tables, turn and turn about: whoever else uses the
    processors makes both of them wait. (Milliseconds: docs/BENCHMARKS.md.)"""
    with Target(local(), 240_000, 2) as p:
        pauses, walks, forks = [], [], []
        for _ in range(24):             # one that is starved of its 10 s says so, and harms none
            rc, r = census(p.pid, "--method", "snapshot")
            if "not done in time" in (r.get("detail") or ""):
                continue
            assert rc == 0, r
            pauses.append(r["held_us"] / 1000)
            walks.append(r["census"]["walk_us"] / 1000)
            forks.append(p.ask(b"fork") / 1e6)
            if len(pauses) == 12:
                break
        assert len(pauses) >= 6
        size = r["rss_before_bytes"] / 1e6
        with capsys.disabled():
            print(f"\n  {size:.0f} MB: paused {statistics.median(pauses):.1f} ms (of {min(pauses):.1f} to {max(pauses):.1f}; "
                  f"fork() {statistics.median(forks):.1f}, {min(forks):.1f} to {max(forks):.1f}), "
                  f"counted in {statistics.median(walks):.0f} ms", end="")
        assert sorted(pauses)[1] < 4 * sorted(forks)[1], (pauses, forks)


WATCHFUL = r"""
import ctypes, gc, json, os, select, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
class Node:
    def __init__(self, i): self.i, self.l = i, [i]
keep = [Node(i) for i in range(40000)]
seen = {"eintr": 0, "sigchld": 0, "strange": 0, "turns": [0] * 6, "children": 0}
ended = []
def on_child(*_): seen["sigchld"] += 1
signal.signal(signal.SIGCHLD, on_child)
def churn(k):
    while True:
        t = [Node(j) for j in range(100)]
        seen["turns"][k] += len(t) == 100
class Spec(ctypes.Structure): _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]
def call(k, make):
    # A signal to the process is for the main thread: the kernel may give it to any other while that one is held.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        if make() < 0 and ctypes.get_errno() == 4: seen["eintr"] += 1
        seen["turns"][k] += 1
ep = select.epoll()
events = ctypes.create_string_buffer(64)
a, b = socket.socketpair()
a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (0).to_bytes(8, "little") + (5000).to_bytes(8, "little"))
for k, f in enumerate([lambda: churn(0), lambda: churn(1),
                       lambda: call(2, lambda: libc.epoll_wait(ep.fileno(), events, 2, 7)),
                       lambda: call(3, lambda: libc.nanosleep(ctypes.byref(Spec(0, 5000000)), None)),
                       lambda: call(4, lambda: libc.recv(a.fileno(), events, 1, 0)),
                       lambda: call(5, lambda: libc.poll(None, 0, 6))]):
    threading.Thread(target=f, daemon=True).start()
print("ready", flush=True)
os.set_blocking(0, False)
mine = 0
while True:
    # All that waits for children sees only the ones that were started here.
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
        seen["strange"] += 1
    except ChildProcessError:
        pass
    if mine % 50 == 0:
        child = os.posix_spawn("/bin/true", ["true"], {})
        seen["children"] += 1
        pid, status = os.waitpid(-1, 0)
        seen["strange"] += pid != child or status != 0
    mine += 1
    try:
        line = os.read(0, 100)
    except BlockingIOError:
        line = None
    if line == b"":
        print(json.dumps({**seen, "kept": len(keep), "fds": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}), flush=True)
        break
    if line:
        print(json.dumps(seen), flush=True)
    time.sleep(0.003)
"""


def ask(p):
    p.stdin.write("?")
    p.stdin.flush()
    return json.loads(p.stdout.readline())


def check_watchful(p, before, rss_before, interrupted=0):
    """It says of itself that nothing has happened, and from outside it is what it was."""
    deadline = time.time() + 20
    while True:
        now = ask(p)
        if all(x > y for x, y in zip(now["turns"], before["turns"])) or time.time() > deadline:
            break
        time.sleep(0.05)
    assert all(x > y for x, y in zip(now["turns"], before["turns"])), "a thread stands still"
    assert now["strange"] == 0 and now["eintr"] <= interrupted, now
    # A child of the program's own may have ended just now.
    assert 0 <= now["children"] - now["sigchld"] <= 1, now
    assert signals_blocked(p.pid) == {"0000000000000000", "0000000000010000"}
    assert threads_of(p.pid) == 7
    with open(f"/proc/{p.pid}/status") as f:
        assert "TracerPid:\t0\n" in f.read()
    assert rss(p.pid) < rss_before * 1.1 + (8 << 20)


def no_children(pid, seconds=10):
    """Its own come and go; one that stays is ours."""
    deadline = time.time() + seconds
    while True:
        left = children(pid)
        if not left:
            return True
        time.sleep(0.02)
        if time.time() > deadline:
            return False


def test_two_hundred_in_a_row_go_unnoticed(census, spawn, capsys):  # noqa: F811
    p = spawn(PYTHON, "-c", WATCHFUL)
    before, size, held, attempts = ask(p), rss(p.pid), [], 0
    for _ in range(200):
        rc, r = census(p.pid)
        assert (rc, r["status"]) == (0, "done"), r
        assert r["census"]["method"] == "snapshot" and 80_000 <= r["census"]["objects"] < 90_000
        held.append(r["held_us"] / 1000)
        assert no_children(p.pid), "a copy is left"
    check_watchful(p, before, size)
    with capsys.disabled():
        print(f"\n  200 censuses, held for {statistics.median(held):.2f} ms (at most {max(held):.1f})", end="")


@pytest.mark.parametrize("method", ["snapshot", "stopped"])
def test_killing_the_worker_at_any_moment_leaves_the_target_alone(actd, census, spawn, method):  # noqa: F811
    p = spawn(PYTHON, "-c", WATCHFUL)
    before, size, cut = ask(p), rss(p.pid), 0
    # The leak sanitizer works in a child, too, when all is done, and waits for it for ever.
    env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    for _ in range(100 if method == "snapshot" else 40):
        c = subprocess.Popen(actd.command("census", p.pid, "--method", method), stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, env=env)
        deadline = time.time() + 10
        while not (workers := children(c.pid)) and c.poll() is None and time.time() < deadline:
            pass
        time.sleep(random.uniform(0, 0.06))
        for w in workers:
            try:
                os.kill(w, signal.SIGKILL)
            except ProcessLookupError:
                pass
        said = c.communicate(timeout=30)[1]
        cut += c.returncode != 0 and "worker ended by signal 9" in said
        assert no_children(p.pid), f"a copy is left after: {said}"
    assert cut > 2, "the worker was hardly ever cut short"
    # Some calls the kernel does not make anew by itself: between the stop of a thread that enters one and our
    # setting it right the death of the worker shows as EINTR. Of a snapshot hardly ever: who sleeps is let sleep.
    check_watchful(p, before, size, interrupted=3 if method == "snapshot" else cut)
    rc, r = census(p.pid)
    assert rc == 0 and r["status"] == "done", r


def test_killing_all_of_it_leaves_at_most_an_empty_zombie(actd, census, spawn):  # noqa: F811
    """Nobody is there to have it reaped: the copy has ended, holds no memory, and the next one is not disturbed."""
    p = spawn(PYTHON, "-c", WATCHFUL)
    before, size = ask(p), rss(p.pid)
    for _ in range(25):
        c = subprocess.Popen(actd.command("census", p.pid, "--method", "snapshot"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.12))
        c.kill()
        c.wait()
        deadline = time.time() + 10
        while any(state(k) != "Z" for k in children(p.pid)):
            assert time.time() < deadline, "a copy runs"
            time.sleep(0.02)
    check_watchful(p, before, size, interrupted=3)
    assert census(p.pid)[0] == 0


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as f:
            return f.read().rpartition(") ")[2][0]
    except OSError:
        return "Z"


def refused(census, pid, *args):
    rc, r = census(pid, *args)
    assert rc != 0 and r["status"] == "refused" and "census" not in r, r
    return r["detail"]


def test_what_cannot_be_counted_is_refused_by_name(census, spawn, build):  # noqa: F811
    plain = '#include <stdio.h>\n#include <unistd.h>\nint main(void){puts("ready");fflush(stdout);for(;;)pause();}'
    static = spawn(build("static", plain, "-static"))
    assert refused(census, static.pid) == "no CPython in this process"
    assert refused(census, static.pid, "--method", "live") == "no CPython in this process"
    p = spawn(PYTHON, "-c", "import time; print('ready', flush=True); time.sleep(600)")
    tracer = spawn(build("tracer", r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int c, char **v){ if (c < 2 || ptrace(PTRACE_SEIZE, atoi(v[1]), 0, 0)) return 1;
puts("ready"); fflush(stdout); getchar(); }"""), p.pid)
    assert refused(census, p.pid) == f"already traced by {tracer.pid}"
    tracer.kill()
    strict = spawn(build("strict", r"""
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void){ puts("ready"); fflush(stdout); prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); char c; read(0, &c, 1); for(;;); }"""))
    deadline = time.time() + 10
    while "strict seccomp" not in (said := refused(census, strict.pid)) and time.time() < deadline:
        time.sleep(0.05)
    assert said == f"process {strict.pid} is under strict seccomp"
    asleep = spawn(build("vfork", r"""
#include <stdio.h>
#include <unistd.h>
int main(void){ puts("ready"); fflush(stdout); if (vfork() == 0) { char c; read(0, &c, 1); _exit(0); } return 0; }"""))
    deadline = time.time() + 10
    while state(asleep.pid) != "D" and time.time() < deadline:
        time.sleep(0.02)
    assert refused(census, asleep.pid) == f"process {asleep.pid} is in uninterruptible sleep"
    narrow = subprocess.run(["gcc", "-m32", "-x", "c", "-", "-o", "/dev/null"], input=plain, text=True, capture_output=True)
    if narrow.returncode == 0:
        assert "32-bit" in refused(census, spawn(build("narrow", plain, "-m32")).pid)


def test_a_stopped_process_is_read_as_it_stands(census):
    with Target(local(), 5000, 1) as p:
        os.kill(p.pid, signal.SIGSTOP)
        deadline = time.time() + 10
        while state(p.pid) != "T" and time.time() < deadline:
            time.sleep(0.01)
        assert "is stopped" in refused(census, p.pid, "--method", "snapshot")
        rc, r = census(p.pid)
        assert rc == 0 and r["census"]["method"] == "stopped" and "is stopped" in r["census"]["note"]
        assert state(p.pid) == "T"
        os.kill(p.pid, signal.SIGCONT)
        assert p.ask()["kept"] == 8 * 5000


def test_a_process_under_a_filter_is_stopped_instead(census, spawn, build):  # noqa: F811
    """The filter might end it for the clone."""
    run = build("filtered", r"""
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int c, char **v){ struct sock_filter f[] = {{0x20,0,0,0},{0x15,0,1,SYS_clone},{0x06,0,0,0x80000000},{0x06,0,0,0x7fff0000}};
struct sock_fprog p = {4, f}; (void)c; prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0); prctl(PR_SET_SECCOMP,SECCOMP_MODE_FILTER,&p); execv(v[1], v+1); return 1; }""")
    p = spawn(run, PYTHON, "-c", "import time; print('ready', flush=True); time.sleep(600)")
    assert "seccomp" in refused(census, p.pid, "--method", "snapshot")
    rc, r = census(p.pid)
    assert rc == 0 and r["census"]["method"] == "stopped" and "seccomp" in r["census"]["note"]
    assert p.poll() is None


def test_one_busy_thread_is_enough(census, spawn):  # noqa: F811
    """It never rests in a call: it is borrowed between two instructions."""
    p = spawn(PYTHON, "-c", "print('ready', flush=True)\nn = 0\nwhile True: n += len([[], {}])")
    for _ in range(20):
        rc, r = census(p.pid, "--method", "snapshot")
        assert rc == 0, r
    assert no_children(p.pid) and p.poll() is None


def test_the_policy_decides(actd, census, spawn):  # noqa: F811
    p = spawn(PYTHON, "-c", "import time; print('ready', flush=True); time.sleep(600)")
    actd.policy("allow trim uid>=0\n")
    rc, r = census(p.pid)
    assert (rc, r["status"]) == (3, "refused") and "not allowed" in r["detail"]
    actd.policy("allow census uid>=0 max=1/h\n")
    assert census(p.pid)[0] == 0
    rc, r = census(p.pid)
    assert rc == 3 and "allows 1" in r["detail"]


def test_a_signed_command_gets_the_census_as_a_sealed_file(actd, daemon, spawn):  # noqa: F811
    actd.policy("allow census uid>=0\n")
    collector = Collector(actd.folder)
    p = spawn(PYTHON, "-c", "class Unusual: pass\nk = [Unusual() for i in range(5000)]\nimport time; print('ready', flush=True); time.sleep(600)")
    daemon()
    link = Link(actd.path("socket"))
    request = collector.command(p.pid, action=3)
    link.s.send(request)
    answer, control, _, _ = link.s.recvmsg(4096, socket.CMSG_SPACE(64))
    assert len(answer) == 512 and answer[4] == 1, answer[72:456]
    assert b"Unusual" in answer[72:456] and b"held for" in answer[72:456]
    (level, kind, data), = control
    assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    fd, = array.array("i", data)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & 0xf == 0xf
    body = os.pread(fd, 1 << 20, 0)
    os.close(fd)
    assert b"__main__.Unusual" in body and request[8:24] != body[:16] and len(body) < 192 << 10
    # The same command once more: the same answer, and nothing is done again.
    link.s.send(request)
    again, control, _, _ = link.s.recvmsg(4096, socket.CMSG_SPACE(64))
    assert again == answer and not control
    dry = collector.command(p.pid, action=3, dry=1)
    link.s.send(dry)
    answer, control, _, _ = link.s.recvmsg(4096, socket.CMSG_SPACE(64))
    assert answer[4] == 2 and not control


def test_inspect_shows_it_too(spawn):  # noqa: F811
    p = spawn(PYTHON, "-c", "class Unusual: pass\nk = [Unusual() for i in range(5000)]\nimport time; print('ready', flush=True); time.sleep(600)")
    agent = os.path.join(BIN, "memherd-agent")
    r = subprocess.run([agent, "inspect", str(p.pid), "--census", "--json"], capture_output=True, text=True, timeout=40, check=True)
    c = json.loads(r.stdout)["census"]
    assert c["method"] == "snapshot" and {"type": "__main__.Unusual", "objects": 5000}.items() <= c["types"][0].items()
    r = subprocess.run([agent, "inspect", str(p.pid), "--census"], capture_output=True, text=True, timeout=40, check=True)
    assert "__main__.Unusual" in r.stdout and "snapshot: held for" in r.stdout
    other = spawn(PYTHON, "-c", "import os; os.setgid(65534); os.setuid(65534)\nimport time; print('ready', flush=True); time.sleep(600)")
    r = subprocess.run([agent, "inspect", str(other.pid), "--census", "--json"], capture_output=True, text=True, timeout=40, user=65534)
    said = json.loads(r.stdout)
    assert said["census"] is None and any(n.startswith("census: ") for n in said["notes"]) or said["census"]["method"] == "live"
