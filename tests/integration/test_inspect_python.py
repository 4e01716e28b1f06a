# SPDX-License-Identifier: Apache-2.0
"""What 'memherd-agent inspect' says of a CPython's collector is what its own gc module says, for the machine and
for a person; and where it cannot be read it says why."""

import ast
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build"))
NOBODY = 65534
PROGRAM = """
import gc, time
for i in range(500):
    a = []
    a.append(a)
gc.collect(); gc.freeze(); gc.set_threshold(1234, 7, 9); gc.disable()
kept = [[] for i in range(50)]
print({"stats": gc.get_stats(), "frozen": gc.get_freeze_count()}, flush=True)
time.sleep(600)
"""


class Program:
    def __enter__(self):
        self.proc = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
        self.said = ast.literal_eval(self.proc.stdout.readline())
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


def inspect(pid, *args, prefix=()):
    r = subprocess.run([*prefix, BIN / "memherd-agent", "inspect", str(pid), *args], capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout


def test_json_equals_the_gc_module():
    with Program() as p:
        python = json.loads(inspect(p.proc.pid, "--json"))["python"]
    assert python["state"] == "readable"
    (one,) = python["interpreters"]
    assert one["id"] == 0 and one["gc"]["enabled"] is False and one["gc"]["frozen"] == p.said["frozen"] > 1000
    assert [g["threshold"] for g in one["gc"]["generations"]] == [1234, 7, 9]
    assert [g["count"] for g in one["gc"]["generations"]][0] >= 50
    for got, want in zip(one["gc"]["generations"], p.said["stats"]):
        assert {k: got[k] for k in ("collections", "collected", "uncollectable")} == \
            {k: want[k] for k in ("collections", "collected", "uncollectable")}


def test_table_for_a_person():
    with Program() as p:
        lines = inspect(p.proc.pid).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("python "))
    version = "%d.%d.%d" % sys.version_info[:3]
    assert lines[at].split()[1:3] == ["CPython", version]
    assert lines[at + 1].strip() == f"interpreter 0: collector off, {p.said['frozen']} objects frozen"
    assert lines[at + 2].split() == ["generation", "count", "threshold", "collections", "collected", "uncollectable"]
    for i, (line, want) in enumerate(zip(lines[at + 3:], p.said["stats"])):
        row = [int(n) for n in line.split()]
        assert row[0] == i and row[2] == (1234, 7, 9)[i] and row[3:] == list(want.values())[:3]


def test_why_not():
    got = json.loads(inspect(2, "--json"))
    assert got["python"] is None and "python: no CPython in this process" in got["notes"]
    assert "python" not in inspect(2).replace("python: no CPython", "")


def test_another_proc_is_of_other_processes():
    with Program() as p:
        got = json.loads(inspect(p.proc.pid, "--json", "--proc", "/proc/self/../../proc"))
    assert got["python"] is None and any(n.startswith("python: ") and "/proc" in n for n in got["notes"])


def test_denied_is_said():
    agent = (BIN / "memherd-agent").resolve()
    if not all(p.stat().st_mode & 1 for p in (agent, *agent.parents)):
        return  # the build lies where nobody may go; test_python_matrix has it with a copy
    with Program() as p:
        got = json.loads(inspect(p.proc.pid, "--json", prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                                               "--inh-caps=-all")))
    assert got["python"]["state"] == "denied" and got["python"]["interpreters"] is None
    assert any(n.startswith("python: its memory may not be read") for n in got["notes"])


def test_memory_is_split_and_the_parts_add_up():
    """A quarter of a fragmented heap is in use; what a trim gives back is told beside it."""
    program = ("import sys\na = [bytearray(2000) for _ in range(50000)][::4]\n"
               "print('ready', flush=True)\nsys.stdin.read()")
    p = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "ready\n"
        got = json.loads(inspect(p.pid, "--json"))
        m = got["memory"]
        assert m["rss_bytes"] == sum(m[f"{k}_bytes"] for k in ("pymalloc", "malloc", "native", "stacks", "file", "shmem"))
        assert got["malloc"]["arenas"] == 1 and got["malloc"]["libc"].startswith("glibc")
        assert 60 << 20 < got["malloc"]["free_bytes"] < got["malloc"]["system_bytes"] == m["malloc_bytes"]
        # chunks of a few pages between what is in use: half of a page at each end stays
        assert 0 <= got["malloc"]["trim_gain_bytes"] < got["malloc"]["free_bytes"]
        human = inspect(p.pid)
        assert "a trim would give back" in human and "pymalloc_free" in human
    finally:
        p.kill()
        p.wait()


GROWING = """
import time
class Leaf:
    def __init__(self): self.own = [1] * 20
kept = []
print("ready", flush=True)
while True:
    kept.extend(Leaf() for _ in range(2000)); time.sleep(0.05)
"""
FRAGMENTED = """
import time
kept = [bytearray(2000) for i in range(200000)]
kept = kept[::50]
print("ready", flush=True)
time.sleep(600)
"""


class Script:
    def __init__(self, source):
        self.proc = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline() == "ready\n"

    def __enter__(self):
        return str(self.proc.pid)

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


def test_two_looks_tell_why_it_grows():
    with Script(GROWING) as pid:
        got = json.loads(inspect(pid, "--json", "--census", "--seconds", "5"))
    v = got["verdict"]
    assert (v["kind"], v["leak"], v["confidence"]) == ("python_objects", True, "certain"), v
    assert {"__main__.Leaf", "list"} <= {t["name"] for t in v["types"][:2]} and v["types"][0]["count_growth"] > 10000
    assert any(line.startswith("RSS +") for line in v["evidence"]) and v["advice"]


def test_one_look_tells_what_it_can_and_what_it_takes():
    with Program() as p:
        assert json.loads(inspect(p.proc.pid, "--json"))["verdict"]["kind"] == "unknown"
        lines = inspect(p.proc.pid).splitlines()
    assert any(line.startswith("verdict    too little is known") for line in lines)
    assert any("--seconds" in line for line in lines)
    with Script(FRAGMENTED) as pid:
        v = json.loads(inspect(pid, "--json"))["verdict"]
    assert v["kind"] == "fragmentation" and "a trim would give back about" in " ".join(v["evidence"]), v
    assert json.loads(inspect(1, "--json"))["verdict"] is None


def test_what_stands_still_does_not_grow():
    with Program() as p:
        v = json.loads(inspect(p.proc.pid, "--json", "--seconds", "5"))["verdict"]
    assert (v["kind"], v["leak"]) == ("not_growing", False), v


def test_a_process_that_ends_while_it_is_watched():
    p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
    w = subprocess.Popen([BIN / "memherd-agent", "inspect", str(p.pid), "--seconds", "5"], stderr=subprocess.PIPE, text=True)
    p.wait()
    assert w.wait(20) == 4 and f"no process {p.pid}" in w.communicate()[1]


def test_seconds_are_checked():
    for args in (["--seconds", "4"], ["--seconds", "x"], ["--seconds", "5", "--proc", "/tmp"], ["--seconds"]):
        r = subprocess.run([BIN / "memherd-agent", "inspect", "1", *args], capture_output=True, text=True, check=False)
        assert r.returncode == 2 and "--seconds" in r.stderr.splitlines()[0], r.stderr
