# SPDX-License-Identifier: Apache-2.0
"""Python that memherd-actd has run in a process: exactly once, whatever its main thread does, and it is unharmed."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/support"), os.path.join(ROOT, "tests/integration")]
import pythons  # noqa: E402
from test_actd import actd, build, signals_blocked, spawn  # noqa: E402,F401

TARGET = os.path.join(ROOT, "tests/support/script_target.py")
TIMES = int(os.environ.get("SCRIPT_TIMES", "3"))
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
ACTIONS = ("gc", "gc-threshold", "gc-freeze", "gc-unfreeze", "tracemalloc")
CPYTHONS = [p for p in pythons.all() if p.kind == "cpython" and p.minor() >= 8]
OTHERS = [p for p in pythons.all() if p.kind != "cpython"]


class Target:
    """A Python program of ours; in a chroot with its own /proc unless told otherwise."""

    def __init__(self, python, mode, source=None, proc=True):
        if source is None:
            with open(TARGET) as f:
                source = f.read()
        argv = python.argv("-c", source, mode)
        if python.root and proc:
            os.makedirs(python.path("/proc"), exist_ok=True)
            mount = 'mount -t proc proc "$0/proc" && exec "$@"'
            argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", mount, str(python.root), *argv]
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=pythons.clean_environment())
        self.pid = self.p.pid
        line = self.p.stdout.readline()
        assert line == b"ready\n", (line, self.p.stderr.read())

    def finish(self, wake=False):
        """What it says of itself; its stderr must be empty."""
        self.p.stdin.close()
        if wake:
            time.sleep(0.2)
        out = self.p.stdout.read().decode()
        assert self.p.wait(30) == 0, out
        assert self.p.stderr.read() == b""
        return dict(pair.split("=") for pair in out.split())

    def end(self):
        self.p.kill()
        self.p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr):
            f.close()


@pytest.fixture
def start():
    started = []

    def go(*args, **kw):
        started.append(Target(*args, **kw))
        return started[-1]

    yield go
    for t in started:
        t.end()


@pytest.fixture
def act(actd):  # noqa: F811
    actd.policy("".join(f"allow {a} uid>=0\nallow {a} uid>=0 container=yes\n" for a in ACTIONS))

    def go(action, pid, *args, timeout=40):
        p = actd.run(action, pid, "--json", *args, timeout=timeout)
        assert p.stdout, p.stderr
        return p.returncode, json.loads(p.stdout)

    return go


@pytest.fixture
def local():
    return next(p for p in CPYTHONS if p.root is None)


@pytest.mark.parametrize("mode", ["sleep", "select", "block", "cpu", "alone", "handler"])
@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_each_runs_exactly_once_and_harms_nothing(act, start, python, mode):
    t = start(python, mode)
    for _ in range(TIMES):
        rc, r = act("gc", t.pid)
        assert (rc, r["status"]) == (0, "done"), r
        assert re.match(r"gc.collect\(2\) found \d+ unreachable objects, 0 of them uncollectable, in [\d.]+ s; RSS ", r["detail"]), r
        assert r["held_us"] < 500000
    assert signals_blocked(t.pid) == {"0000000000000000"}
    # at its end the interpreter collects, too, but has forgotten our callback's list by then
    said = t.finish()
    assert said == {"full": str(TIMES), "errors": "0", "disturbed": "0", "new": "-"}, said


IN_C = """
import ctypes, gc, os, sys, threading, time
gc.disable()
full = [0]
gc.callbacks.append(lambda phase, info: full.__setitem__(0, full[0] + (phase == "start" and info["generation"] == 2)))
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(10 ** 9)], daemon=True).start()
buf = ctypes.create_string_buffer(1)
print("ready", flush=True)
ctypes.PyDLL(None).read(0, buf, 1)  # blocked with the GIL
for i in range(200000):
    pass
print("ran=%d" % full[0], flush=True)
sys.stdin.read()
print("full=%d" % full[0], flush=True)
"""


def test_one_that_is_blocked_in_c_is_told_and_taken_back(act, start, local):
    t = start(local, "", IN_C)
    rc, r = act("gc", t.pid)
    assert (rc, r["status"]) == (1, "failed"), r
    assert "queued but not run within 5 s and taken back: the main thread is blocked in C, in system call 0" in r["detail"]
    assert r["rss_after_bytes"] is None, "nothing was done"
    t.p.stdin.write(b"x")
    t.p.stdin.flush()
    assert t.p.stdout.readline() == b"ran=0\n", "what was taken back must not run later"
    rc, r = act("gc", t.pid)
    assert (rc, r["status"]) == (0, "done"), r
    assert t.finish() == {"full": "1"}


def test_a_main_thread_that_sleeps_for_long_is_asked_where_it_sleeps(act, start, local):
    t = start(local, "long")
    for _ in range(TIMES):
        rc, r = act("gc", t.pid)
        assert (rc, r["status"]) == (0, "done") and r["total_us"] < 3000000, r


WAKES = {
    "join": "t = threading.Thread(target=sys.stdin.read); t.start(); print('ready', flush=True); t.join()",
    "queue": "import queue; q = queue.Queue(); t = threading.Thread(target=lambda: (sys.stdin.read(), q.put(1))); t.start(); "
             "print('ready', flush=True); q.get()",
    "child": "import subprocess; p = subprocess.Popen(['cat'], stdout=subprocess.DEVNULL); print('ready', flush=True); p.wait()",
    "input": "print('ready', flush=True); sys.stdin.read()",
    "asyncio": "import asyncio\nasync def main():\n    loop = asyncio.get_running_loop(); print('ready', flush=True); "
               "await loop.run_in_executor(None, sys.stdin.read)\nasyncio.run(main())",
    "timeout": "e = threading.Event(); threading.Thread(target=lambda: (sys.stdin.read(), e.set()), daemon=True).start(); "
               "print('ready', flush=True)\nwhile not e.wait(3600): raise SystemExit('woke early')",
}


@pytest.mark.parametrize("how", sorted(WAKES))
@pytest.mark.parametrize("python", [p for p in CPYTHONS if p.root is None], ids=lambda p: p.label)
def test_a_wait_goes_on_as_if_nothing_had_been(act, start, python, how):
    t = start(python, "", "import sys, threading\n" + WAKES[how] + "\nprint('over=1', flush=True)")
    for _ in range(TIMES):
        rc, r = act("gc", t.pid)
        assert (rc, r["status"]) == (0, "done"), r
        assert t.p.poll() is None
    assert t.finish() == {"over": "1"}


CYCLES = """
import gc, sys
gc.set_threshold(100000, 7, 3)
class Node: pass
for i in range(5000):
    n = Node(); n.me = n; n.data = bytearray(2000)
del n
print("ready", flush=True)
sys.stdin.read()
print("enabled=%s threshold=%s frozen=%d" % (gc.isenabled(), str(gc.get_threshold()).replace(" ", ""), gc.get_freeze_count()), flush=True)
"""


@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_what_each_action_says_is_what_it_did(act, start, python):
    t = start(python, "", CYCLES)
    rc, r = act("gc", t.pid, "--dry-run")
    assert (rc, r["status"]) == (0, "dry_run") and "would call gc.collect(2) in Python 3." in r["detail"], r
    rc, r = act("gc", t.pid, "--generation", 0)
    found = int(re.match(r"gc.collect\(0\) found (\d+) ", r["detail"])[1])
    rc, r = act("gc", t.pid)
    found += int(re.match(r"gc.collect\(2\) found (\d+) ", r["detail"])[1])
    assert found >= 5000, "the garbage of the dry run is still there for the collections"
    rc, r = act("gc-threshold", t.pid, "--young", 5000, "--middle", 20, "--old", 30)
    assert r["status"] == "done" and re.match(r"thresholds were 100000, 7, \d+ and are 5000, 20, \d+", r["detail"]), r
    rc, r = act("gc-freeze", t.pid)
    assert re.match(r"\d+ objects were frozen, [1-9]\d+ are", r["detail"]) and r["rss_after_bytes"] is None, r
    rc, r = act("gc-unfreeze", t.pid)
    assert re.match(r"[1-9]\d+ objects were frozen, \d+ are", r["detail"]), r
    rc, r = act("gc-freeze", t.pid)
    said = t.finish()
    assert said["enabled"] == "True" and said["threshold"].startswith("(5000,20,") and int(said["frozen"]) > 100


def test_a_dry_run_touches_nothing(act, start, local):
    t = start(local, "block")
    maps = open(f"/proc/{t.pid}/maps").read().count("\n")
    for action in ACTIONS:
        rc, r = act(action, t.pid, "--dry-run", *(["--young", "1"] if action == "gc-threshold" else []))
        assert (rc, r["status"]) == (0, "dry_run"), r
        assert "by its main thread, which waits for a lock and is woken" in r["detail"]
    assert open(f"/proc/{t.pid}/maps").read().count("\n") == maps
    assert t.finish()["full"] == "0"


def test_the_page_is_made_once(act, start, local):
    t = start(local, "sleep")
    act("gc", t.pid)
    maps = open(f"/proc/{t.pid}/maps").read()
    for _ in range(3):
        act("gc", t.pid)
    assert open(f"/proc/{t.pid}/maps").read().count("\n") <= maps.count("\n") + 1
    fds = os.listdir(f"/proc/{t.pid}/fd")
    assert len(fds) == 3, fds
    t.finish()


def test_without_proc_it_is_done_by_ctypes_or_told(act, start):
    chroots = [p for p in CPYTHONS if p.root]
    if not chroots:
        pytest.skip("no Python in a chroot here")
    t = start(chroots[-1], "sleep", proc=False)
    rc, r = act("gc", t.pid)
    assert r["status"] == "done" or "queued but not run" in r["detail"], r
    said = t.finish()
    assert said["full"] == ("1" if r["status"] == "done" else "0") and said["errors"] == "0"


FORKS = """
import gc, os, sys
gc.disable()
full = [0]
gc.callbacks.append(lambda phase, info: full.__setitem__(0, full[0] + (phase == "start" and info["generation"] == 2)))
print("ready", flush=True)
sys.stdin.readline()
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b"%d\\n" % os.getpid())
    sys.stdin.readline()
    os.write(w, b"%d" % full[0])
    os._exit(0)
print(os.read(r, 20).decode().strip(), flush=True)
sys.stdin.readline()
sys.stdin.read()
print("child=%s full=%d" % (os.read(r, 20).decode(), full[0]), flush=True)
"""


def test_a_child_with_the_page_of_its_parent_is_another_process(act, start, local):
    t = start(local, "", FORKS)
    rc, r = act("gc", t.pid)
    assert r["status"] == "done", r
    t.p.stdin.write(b"\n")
    t.p.stdin.flush()
    child = int(t.p.stdout.readline())
    rc, r = act("gc", child)
    assert r["status"] == "done", r
    rc, r = act("gc", child)
    t.p.stdin.write(b"\n\n")
    t.p.stdin.flush()
    assert t.finish() == {"child": "3", "full": "1"}, "the child counts on from its parent's"


# ---- refusals ----

def test_what_is_no_python_is_refused(act, spawn, build):
    p = spawn(build("plain", '#include <stdio.h>\n#include <unistd.h>\nint main(void){puts("ready");fflush(stdout);char c;return read(0,&c,1)<0;}'))
    for action in ACTIONS:
        rc, r = act(action, p.pid, *(["--young", "1"] if action == "gc-threshold" else []))
        assert (r["status"], r["detail"]) == ("refused", "no CPython in this process")


@pytest.mark.parametrize("python", OTHERS, ids=lambda p: p.label)
def test_other_builds_are_refused_by_name(act, start, python):
    t = start(python, "", "import sys; print('ready'); sys.stdout.flush(); sys.stdin.read(); print('over=1')")
    rc, r = act("gc", t.pid)
    words = {"debug": "a debug build", "threadfree": "a free-threaded build", "other": "not CPython: PyPy or GraalPy"}
    assert r["status"] == "refused" and words[python.kind] in r["detail"], r
    t.finish()


def test_one_that_is_traced_is_refused(act, start, local):
    t = start(local, "sleep")
    tracer = subprocess.Popen(["gdb", "-q", "-nx", "-batch", "-p", str(t.pid), "-ex", "shell sleep 3"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) if os.path.exists("/usr/bin/gdb") else pytest.skip("no gdb")
    end = time.monotonic() + 10
    while "TracerPid:\t0" in open(f"/proc/{t.pid}/status").read():
        assert time.monotonic() < end
        time.sleep(0.05)
    rc, r = act("gc", t.pid)
    assert r["status"] == "refused" and "trace" in r["detail"], r
    tracer.wait()


def test_one_that_is_stopped_is_refused(act, start, local):
    t = start(local, "sleep")
    os.kill(t.pid, signal.SIGSTOP)
    time.sleep(0.1)
    rc, r = act("gc", t.pid)
    assert r["status"] == "refused" and "is stopped" in r["detail"], r
    os.kill(t.pid, signal.SIGCONT)
    assert t.finish()["errors"] == "0"


@pytest.mark.parametrize("args,says", [
    (("gc", "1", "--generation", "3"), "gc: 'generation' is 3, but at most 2"),
    (("gc", "1", "--generation", "x"), "gc: 'generation' is 'x': expected a whole number"),
    (("gc-threshold", "1"), "gc-threshold: 'young' must be given"),
    (("gc-threshold", "1", "--young", "-1"), "gc-threshold: 'young' is -1, but at least 0"),
    (("gc-freeze", "1", "--generation", "2"), "gc-freeze takes no parameter 'generation'"),
])
def test_wrong_parameters_are_named(actd, args, says):  # noqa: F811
    p = actd.run(*args)
    assert p.returncode == 2 and says in p.stderr, p.stderr


def test_what_the_policy_does_not_name_is_not_done(actd, start, local):  # noqa: F811
    t = start(local, "sleep")
    actd.policy("allow trim uid>=0\n")
    for action in ACTIONS:
        p = actd.run(action, t.pid, *(["--young", "1"] if action == "gc-threshold" else []))
        assert p.returncode == 3 and "no line of the policy allows it" in p.stderr
    assert t.finish()["full"] == "0"


def test_killed_at_any_moment_the_program_goes_on(actd, start, local):  # noqa: F811
    """kill -9 of memherd-actd and its worker: never harm, and each collection once or not at all."""
    actd.policy("allow gc uid>=0\n")
    t = start(local, "sleep")
    for i in range(30):
        p = subprocess.Popen(actd.command("gc", t.pid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(i % 15 / 1000)
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        assert t.p.poll() is None
    time.sleep(0.3)
    assert signals_blocked(t.pid) == {"0000000000000000"}
    p = actd.run("gc", t.pid)
    assert p.returncode == 0, p.stderr
    said = t.finish()
    assert 1 <= int(said["full"]) <= 31 and said["errors"] == "0"


ENDS = """
import gc, os, select, signal, sys, threading, time
kept = [[i] for i in range(1500000)]
def on_term(number, frame):
    sys.exit(7)
signal.signal(signal.SIGTERM, on_term)
gc.disable()
print("ready", flush=True)
%s
"""
CALLS = {"sleep": "time.sleep(60)", "select": "select.select([], [], [], 60)", "lock": "threading.Event().wait(60)",
         "runs": "while True: pass"}


def reads_itself(pid):
    """Its /proc/self/mem is open, as it is as long as a script runs."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}").endswith("/mem"):
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("how", sorted(CALLS))
@pytest.mark.parametrize("python", [CPYTHONS[0], [p for p in CPYTHONS if p.root is None][-1], CPYTHONS[-1]], ids=lambda p: p.label)
def test_a_signal_that_comes_while_a_script_runs_is_not_lost(actd, start, python, how):  # noqa: F811
    """Its handler may raise inside of the script, or be kept until its end; the program ends by it all the same."""
    actd.policy("allow gc uid>=0\nallow gc uid>=0 container=yes\n")
    t = start(python, "", ENDS % CALLS[how])
    p = subprocess.Popen(actd.command("gc", t.pid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not reads_itself(t.pid) and p.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.03)  # out of what comes before, into a collection of some 150 ms
    t.p.send_signal(signal.SIGTERM)
    assert t.p.wait(40) == 7, t.p.stderr.read()
    p.wait(40)
    assert t.p.stderr.read() == b""


# ---- tracemalloc ----

LEAK = """
import sys, threading, time
import _tracemalloc
mode = sys.argv[1]
if mode == "traces":
    _tracemalloc.start(3)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
kept = []
def handle():
    kept.append(bytearray(10000))  # the leak
def serve():
    while not over.is_set():
        handle()
        junk = [bytes(1000) for i in range(20)]
        over.wait(0.005)
def on():
    return "yes" if _tracemalloc.is_tracing() else "no"
print("ready", flush=True)
serve()
print("tracing=%s left=%s" % (on(), "_memherd" in _tracemalloc.__dict__), flush=True)
"""
LEAK_LINE = 1 + LEAK.splitlines().index("    kept.append(bytearray(10000))  # the leak")
CALL_LINE = 1 + LEAK.splitlines().index("        handle()")


@pytest.mark.parametrize("mode", ["plain", "traces"])
@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_the_leaking_line_is_named(act, start, python, mode):
    # from a file: of what '-c' runs there is no name to tell
    inside = "/tmp/memherd-leak-test.py"
    python.path(inside).write_text(LEAK)
    t = start(python, mode, f"import sys; exec(compile(open({inside!r}).read(), {inside!r}, 'exec'))")
    rc, r = act("tracemalloc", t.pid, "--seconds", 1)
    assert (rc, r["status"]) == (0, "done"), r
    assert re.match(rf"in 1 s \+[\d.]+ [KM]iB in \+\d+ blocks: {inside}:{LEAK_LINE} \+", r["detail"]), r
    site = r["sites"][0]
    assert site["place"] == f"{inside}:{LEAK_LINE}" and site["grown_bytes"] > 10000 * site["more_blocks"] / 2 > 10000
    if mode == "plain":
        assert site["called_from"].startswith(f"{inside}:{CALL_LINE} < "), site
    rc, r = act("tracemalloc", t.pid, "--seconds", 1, "--frames", 1)
    assert rc == 0 and r["sites"][0]["place"] == f"{inside}:{LEAK_LINE}", "a second one is as good"
    assert t.finish() == {"tracing": "yes" if mode == "traces" else "no", "left": "False"}


def test_a_trace_whose_asker_died_ends_by_itself(actd, start, local):  # noqa: F811
    actd.policy("allow tracemalloc uid>=0\nallow tracemalloc uid>=0 container=yes\n")
    t = start(local, "plain", LEAK)
    p = subprocess.Popen(actd.command("tracemalloc", t.pid, "--seconds", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         start_new_session=True)
    time.sleep(0.7)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    r = actd.run("tracemalloc", t.pid, "--seconds", "1")
    assert r.returncode == 1 and "a trace of before is not over yet" in r.stderr, r.stderr
    time.sleep(10)  # one second and eight
    assert t.finish() == {"tracing": "no", "left": "False"}


def test_a_snapshot_is_the_action_of_its_kind(act, actd, start, local):  # noqa: F811
    t = start(local, "sleep")
    rc, r = act("snapshot", t.pid, "--kind", "tracemalloc", "--seconds", "2", "--dry-run")
    assert rc == 0 and r["action"] == "tracemalloc", r
    assert "would trace allocations with 5 frames for 2 s in Python 3." in r["detail"] and "some times longer" in r["detail"]
    assert actd.run("snapshot", t.pid, "--kind", "movie").returncode == 2
    assert actd.run("gc", t.pid, "--kind", "census").returncode == 2
    assert actd.run("tracemalloc", t.pid, "--seconds", "60").returncode == 2
