# SPDX-License-Identifier: Apache-2.0
"""Every CPython there is (tests/support/pythons.py), in every way it may be run: what agent/python reads of it
from outside is what its own gc module says of it, and where nothing can be read the reason has its name.

With PYTHON_TABLE=FILE the results are written into FILE between its markers ('make python-table')."""

import ast
import collections
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build"))
GCREAD = ROOT / os.environ.get("B", "build/release-gcc") / "drivers/gcread"
sys.path.insert(0, str(ROOT / "tests/support"))
import pythons  # noqa: E402
from docker import Docker, Unusable  # noqa: E402

NOBODY = 65534
COUNT_SLACK = 300  # objects that come and go between the answer and our look
OLDEST = 8

# One line a Python literal: what the program knows of itself; then 'ready'.
PROGRAM = r"""
import gc, os, sys, time
mode = sys.argv[1]

class Node: pass

def rubbish(n):
    for i in range(n):
        a = Node(); a.me = a

def truth(ident):
    return {"id": ident, "stats": gc.get_stats(), "threshold": list(gc.get_threshold()), "count": list(gc.get_count()),
            "enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}

SUB = '''
import gc, posix
for i in range({n}):
    a = []; a.append(a)
gc.collect(); gc.collect(1); gc.set_threshold(100000 + {n}, 3, 4); {switch}
posix.write(1, repr({{"id": {n}, "stats": gc.get_stats(), "threshold": list(gc.get_threshold()), "count": list(gc.get_count()),
    "enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}}).encode() + b"\\n")
'''

def interpreters():
    try:
        import _interpreters as m
    except ImportError:
        import _xxsubinterpreters as m
    return m

def uncollectable():
    try:
        from _testcapi import with_tp_del
    except ImportError:
        return
    @with_tp_del
    class Stuck(object):
        def __tp_del__(self): pass
    for i in range(7):
        a = Stuck(); a.me = a

rubbish(1000)
if mode != "finalize":  # what cannot be collected would keep the module alive
    uncollectable()
gc.collect(); gc.collect(0); gc.collect(1); gc.collect(0)
if mode == "interpreters":
    m = interpreters()
    kept = [m.create() for i in range(3)]
    for i in kept:
        m.run_string(i, SUB.format(n=int(i), switch="gc.disable()" if int(i) % 2 else "gc.enable()"))
if mode == "enabled":
    gc.set_threshold(200000, 50, 20)
elif mode == "frozen":
    gc.freeze()
    gc.set_threshold(200001, 0, 0)
else:
    gc.disable()
    gc.set_threshold(501, 7, 9)
if mode == "finalize":
    class Last:
        def __del__(self, sleep=time.sleep, write=os.write):
            write(1, b"ready\n")
            sleep(600)
    last = Last()
else:
    kept_too = [[] for i in range(100)]
    said = truth(0)
    os.write(1, (repr(said) + "\nready\n").encode())
while mode == "busy":
    pass
while mode != "finalize":
    time.sleep(600)
"""

results = collections.defaultdict(dict)  # (label, version, build): {variant: word}


# ---- running one ----

class Target:
    """A program in its own process, and what it said of itself."""

    def __init__(self, argv, env=None, wait=True, **how):
        self.proc = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or pythons.clean_environment(), **how)
        self.pid = self.proc.pid
        self.truths = []
        if wait:
            self.listen()

    def listen(self):
        for line in self.proc.stdout:
            if line == b"ready\n":
                return
            self.truths.append(ast.literal_eval(line.decode()))
        raise RuntimeError(f"ended early: {self.proc.stderr.read().decode()[-400:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()
        self.proc.stderr.close()


def start(python, mode, **how):
    return Target(python.argv("-S", "-c", PROGRAM, mode), **how)


def read(pid, prefix=()):
    r = subprocess.run([*prefix, GCREAD, str(pid)], capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def compare(python, target, got):
    """All that the program says equals what was read; as many interpreters, and none other."""
    assert got["state"] == "readable", got
    assert got["version"] == python.version
    want = {t["id"]: t for t in target.truths}
    if python.minor() == OLDEST:  # one collector for all: the last word on it is the main interpreter's
        want = {0: want[0]}
    assert [i["id"] for i in got["interpreters"]][0] == 0
    assert {i["id"] for i in got["interpreters"]} == set(want)
    for one in got["interpreters"]:
        truth = want[one["id"]]
        assert one["enabled"] == truth["enabled"] and one["collecting"] is False
        assert one["frozen"] == truth["frozen"]
        assert [g["threshold"] for g in one["generations"]] == truth["threshold"]
        counts = [g["count"] for g in one["generations"]]
        assert counts[1:] == truth["count"][1:] and abs(counts[0] - truth["count"][0]) <= COUNT_SLACK
        for g, t in zip(one["generations"], truth["stats"]):
            assert [g[k] for k in ("collections", "collected", "uncollectable")] == \
                [t[k] for k in ("collections", "collected", "uncollectable")]
            assert g["duration_us"] == (int(t["duration"] * 1e6) if "duration" in t else -1)


def readable(python):
    return python.kind == "cpython" and python.minor() >= OLDEST


def params(which):
    return [pytest.param(p, id=p.label) for p in pythons.all() if which(p)]


def absent():
    return [pytest.param(None, id=name, marks=pytest.mark.skip(reason=why)) for name, why in pythons.unavailable().items()]


@pytest.fixture(params=params(readable) + absent(), scope="module")
def python(request):
    return request.param


@pytest.fixture(params=params(lambda p: not readable(p)), scope="module")
def unread(request):
    return request.param


@pytest.fixture
def room(python):
    """A folder that the Python's own root has too; its path for us and for it."""
    base = python.path("/tmp")
    path = pathlib.Path(tempfile.mkdtemp(prefix="gcread-", dir=base))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def note(python, variant, word):
    results[(python.label, python.version, python.build)][variant] = word


def named_reason(python):
    if python.kind == "cpython":
        return "too_old"
    return {"debug": "debug_build", "threadfree": "free_threaded", "other": "other_python"}[python.kind]


# ---- the variants ----

@pytest.mark.parametrize("mode", ["plain", "enabled", "frozen", "busy"])
def test_plain(python, mode):
    with start(python, mode) as t:
        compare(python, t, read(t.pid))
    note(python, mode, "equal")


def test_those_that_are_not_read_say_why(unread):
    with Target(unread.argv("-c", "import os, time\nos.write(1, b'ready\\n')\ntime.sleep(600)")) as t:
        assert read(t.pid)["state"] == named_reason(unread)
    note(unread, "plain", named_reason(unread))


def test_interpreters(python):
    ask = "try:\n import _interpreters\nexcept ImportError:\n import _xxsubinterpreters"
    if subprocess.run(python.argv("-S", "-c", ask), capture_output=True, check=False, env=pythons.clean_environment()).returncode:
        note(python, "interpreters", "no module")
        pytest.skip("this build has no module for interpreters")
    with start(python, "interpreters") as t:
        assert len(t.truths) == 4
        compare(python, t, read(t.pid))
    note(python, "interpreters", "equal")


def copy_of(python, room):
    """The object that holds the interpreter, copied: what to start, with which environment, the copy, and its path
    as the Python has it."""
    if python.library:
        copy = room / pathlib.Path(python.library).name
        shutil.copy2(python.library, copy)
        return python.argv(), {**pythons.clean_environment(), "LD_PRELOAD": str(copy)}, copy, str(copy)
    copy = room / pathlib.Path(python.program).name
    shutil.copy2(python.path(python.program).resolve(), copy)
    inside = f"/tmp/{room.name}/{copy.name}" if python.root else str(copy)
    return python.argv(program=inside), pythons.clean_environment(), copy, inside


def is_mapped(pid, inode):
    return any(line.split()[4] == str(inode) for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines())


def test_deleted(python, room):
    argv, env, copy, _ = copy_of(python, room)
    inode = copy.stat().st_ino
    with Target([*argv, "-S", "-c", PROGRAM, "plain"], env=env) as t:
        assert is_mapped(t.pid, inode)
        copy.unlink()
        assert "(deleted)" in pathlib.Path(f"/proc/{t.pid}/maps").read_text()
        compare(python, t, read(t.pid))
    note(python, "deleted", "equal")


def test_another_user_and_an_unreadable_file(python, room):
    """As the gathering process is in production: no capability but SYS_PTRACE, and a file that we may not open."""
    argv, env, copy, inside = copy_of(python, room)
    copy.chmod(0o700)
    room.chmod(0o700)
    reader = pathlib.Path(tempfile.mkdtemp(prefix="gcread-"))
    as_sense = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all,+sys_ptrace",
                "--ambient-caps=-all,+sys_ptrace", "--bounding-set=-all,+sys_ptrace"]
    try:
        reader.chmod(0o755)
        shutil.copy2(GCREAD, reader / "gcread")
        with Target([*argv, "-S", "-c", PROGRAM, "plain"], env=env) as t:
            denied = subprocess.run([*as_sense, "cat", f"/proc/{t.pid}/root{inside}"], capture_output=True, text=True, check=False)
            assert denied.returncode != 0 and "Permission denied" in denied.stderr
            r = subprocess.run([*as_sense, reader / "gcread", str(t.pid)], capture_output=True, text=True, timeout=60, check=False)
            compare(python, t, json.loads(r.stdout))
    finally:
        shutil.rmtree(reader)
    note(python, "unreadable file", "equal")


def test_not_exported(python, room):
    """As an embedder's: the symbol has no name among the dynamic ones. Then the file is read, which from 3.10 on has
    a section for it; and where the file may not be read there is nothing to go by."""
    if python.library:
        pytest.skip("a shared library must export it to its program")
    argv, env, copy, _ = copy_of(python, room)
    data = copy.read_bytes()
    assert data.count(b"\0_PyRuntime\0") == 1
    copy.write_bytes(data.replace(b"\0_PyRuntime\0", b"\0_QyRuntime\0"))
    with Target([*argv, "-S", "-c", PROGRAM, "plain"], env=env) as t:
        got = read(t.pid)
        if python.minor() >= 10:
            compare(python, t, got)
        else:
            assert got["state"] == "unknown_layout" and "_PyRuntime" in got["why"]
    note(python, "not exported", "equal" if python.minor() >= 10 else "unknown_layout")


def test_finalizing(python):
    with start(python, "finalize") as t:
        assert read(t.pid)["state"] == "finalizing"
    note(python, "finalizing", "finalizing")


def test_starting(python, room):
    """Held at the start by a pipe where it reads its configuration; then let go, and readable."""
    copy = room / "python"
    shutil.copy2(python.path(python.program).resolve(), copy)
    os.mkfifo(room / "pyvenv.cfg")
    program = f"/tmp/{room.name}/python" if python.root else str(copy)
    with Target(python.argv("-S", "-c", PROGRAM, "plain", program=program), wait=False) as t:
        end = time.monotonic() + 30
        while True:  # until it reads; the open does not block once somebody waits on the other side
            try:
                pipe = os.open(room / "pyvenv.cfg", os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
        assert read(t.pid)["state"] == "starting"
        os.close(pipe)
        (room / "pyvenv.cfg").unlink()
        t.listen()
        compare(python, t, read(t.pid))
    note(python, "starting", "starting")


def test_running_for_a_while(python):
    """A program that collects all the time: what is read never goes back, and is never nonsense."""
    code = "import os\nos.write(1, b'ready\\n')\nkeep = []\nwhile True:\n    a = []\n    a.append(a)\n    keep = [keep[-50:], a]\n"
    with Target(python.argv("-S", "-c", code)) as t:
        before = None
        for _ in range(40):
            got = read(t.pid)
            assert got["state"] == "readable", got
            one = got["interpreters"][0]
            if "error" in one:  # its frozen list was in the middle of a collection
                assert one["error"] == os.strerror(11), one
                continue
            now = [(g["collections"], g["collected"]) for g in one["generations"]]
            assert before is None or all(a <= b for x, y in zip(before, now) for a, b in zip(x, y))
            before = now
        assert before and before[0][0] > 0
    note(python, "collecting", "readable")


# ---- what is no CPython ----

def test_a_process_without_python_and_one_that_has_ended():
    with Target(["sleep", "600"], wait=False) as t:
        assert read(t.pid)["state"] == "not_python"
    assert read(t.pid)["state"] == "gone"
    assert read(2)["state"] == "not_python"  # a kernel thread


def test_a_process_that_may_not_be_read():
    with Target(["sleep", "600"], wait=False) as t:
        r = read(t.pid, ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]) \
            if os.access(GCREAD, os.X_OK) and readable_by_all(GCREAD) else {"state": "denied"}
        assert r["state"] == "denied"


def readable_by_all(path):
    return all(p.stat().st_mode & stat.S_IXOTH for p in [path, *path.parents])


def test_in_a_container():
    try:
        engine = Docker().__enter__()
    except Unusable as e:
        pytest.skip(f"no Docker engine can run here: {e}")
    try:
        box = engine.run("import gc, time\ngc.collect(); gc.disable(); gc.set_threshold(77, 8, 9)\nready()\n"
                         "print(gc.get_stats(), flush=True)\ntime.sleep(600)\n")
        got = read(box.pid)
        assert got["state"] == "readable", got
        one = got["interpreters"][0]
        assert [g["threshold"] for g in one["generations"]] == [77, 8, 9] and one["enabled"] is False
        said = ast.literal_eval(box.logs().splitlines()[1])
        assert [(g["collections"], g["collected"]) for g in one["generations"]] == [(t["collections"], t["collected"]) for t in said]
    finally:
        engine.__exit__()


# ---- the table ----

VARIANTS = ("plain", "enabled", "frozen", "busy", "collecting", "interpreters", "deleted", "unreadable file", "not exported", "finalizing", "starting")
BEGIN, END = "<!-- table: make python-table -->", "<!-- end of table -->"


def table():
    rows = [f"| version | build | {' | '.join(VARIANTS)} |", "|" + "---|" * (len(VARIANTS) + 2)]
    for (_, version, build), said in results.items():
        rows.append(f"| {version} | {build} | {' | '.join(said.get(v, '-') for v in VARIANTS)} |")
    rows += [f"| - | {what} | not tested: {why} {'|' * (len(VARIANTS))}" for what, why in pythons.unavailable().items()]
    return "\n".join(rows)


@pytest.fixture(scope="module", autouse=True)
def write_table():
    yield
    if not os.environ.get("PYTHON_TABLE"):
        return
    path = pathlib.Path(os.environ["PYTHON_TABLE"])
    text = path.read_text()
    before, rest = text.split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}")
