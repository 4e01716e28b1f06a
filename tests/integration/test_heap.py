# SPDX-License-Identifier: Apache-2.0
"""Where the memory of a real Python process is, held against what its allocators say of themselves (mallinfo2() and
sys._debugmallocstats()) and, for the gain that is predicted of a trim, against the trim."""

import glob
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = ROOT / os.environ.get("B", "build/release-gcc") / "drivers/heapread"
MIB = 1 << 20
PYTHONS = ["/usr/bin/python3", *sorted(glob.glob("/root/.pyenv/versions/3.[89].*/bin/python3") +
                                       glob.glob("/root/.pyenv/versions/3.1[0-9].*/bin/python3"))]

PROGRAM = """
import ctypes, sys
names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
class Mallinfo(ctypes.Structure):
    _fields_ = [(n, ctypes.c_size_t) for n in names]
libc = ctypes.CDLL(None)
exec(sys.argv[1])
libc.mallinfo2.restype = Mallinfo
m = libc.mallinfo2()
print(m.fordblks, m.arena, flush=True)
sys._debugmallocstats()
sys.stderr.flush()
print("told", flush=True)
for line in sys.stdin:
    exec(line)
    print("did", flush=True)
"""
CASES = {
    "quiet": "x = 1",
    # every 50th of blocks that are too large for Python's own allocator
    "fragmented heap": "a = [bytearray(2000) for _ in range(100000)][::50]",
    # every third of blocks that are not
    "fragmented pools": "a = [object() for _ in range(2000000)][::3]",
    "arenas": """
import threading
ready, keep = threading.Barrier(5), []
def work():
    b = [bytearray(3000) for _ in range(20000)]
    keep.append(b[::40])
    del b
    ready.wait()
    ready.wait()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
ready.wait()
""",
    "buffers": """
import mmap
room = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
room.write(b'x' * (64 << 20))
""",
    "shared": "import mmap; room = mmap.mmap(-1, 32 << 20); room.write(b'x' * (32 << 20))",
    "stacks": """
import threading
stop = threading.Event()
def deep(n):  # through C, whose frames are on the stack
    return max([n], key=lambda _: deep(n - 1)) if n else stop.wait()
threading.stack_size(16 << 20)
sys.setrecursionlimit(100000)
for _ in range(3):
    threading.Thread(target=deep, args=(200,), daemon=True).start()
""",
}


class Program:
    def __init__(self, python, case):
        self.p = subprocess.Popen([python, "-c", PROGRAM, CASES[case]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        line = self.p.stdout.readline()
        assert line, self.p.stderr.read()
        self.free, self.arena = map(int, line.split())
        assert self.p.stdout.readline() == "told\n"

    def run(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        assert self.p.stdout.readline() == "did\n"

    def parts(self):
        r = subprocess.run([DRIVER, str(self.p.pid)], capture_output=True, text=True, check=False)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def kib(self, key):
        for line in pathlib.Path(f"/proc/{self.p.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def end(self):
        """What its own allocator said of itself."""
        self.p.kill()
        _, err = self.p.communicate()
        return {k: int(v.replace(",", "")) for k, v in re.findall(r"^# (\S[^=]*?) *= +([\d,]+)$", err, re.M)}


@pytest.fixture(params=PYTHONS, ids=lambda p: p.split("/")[-3] if "pyenv" in p else "system")
def python(request):
    return request.param


def look(python, case):
    p = Program(python, case)
    parts = p.parts()
    return p, parts


def test_the_parts_are_the_whole(python):
    p, parts = look(python, "quiet")
    try:
        assert sum(parts[k] for k in ("pymalloc", "malloc", "native", "stacks", "file", "shmem")) == parts["rss"]
        assert abs(parts["rss"] - p.kib("VmRSS") * 1024) < MIB
        assert abs(parts["page_tables"] - p.kib("VmPTE") * 1024) <= 64 << 10
        assert abs(parts["file"] - p.kib("RssFile") * 1024) < MIB
        assert parts["swap"] == p.kib("VmSwap") * 1024
        assert parts["arenas"] == 1
    finally:
        p.end()


@pytest.mark.parametrize("case", ["fragmented heap", "arenas"])
def test_what_malloc_has_free_and_what_a_trim_gives(python, case):
    p, parts = look(python, case)
    try:
        assert parts["arenas"] == (5 if case == "arenas" else 1)
        assert abs(parts["malloc_free"] - p.free) < 2 * MIB
        assert parts["malloc_free"] > 150 * MIB
        before = p.kib("VmRSS")
        p.run("libc.malloc_trim(0)")
        gained = (before - p.kib("VmRSS")) * 1024
        assert abs(parts["trim_gain"] - gained) < 0.02 * gained
        # the memory is still free, and there is nothing more to gain: mallinfo2 cannot tell
        after = p.parts()
        assert after["malloc_free"] > 150 * MIB
        assert after["trim_gain"] < 4 * MIB
    finally:
        p.end()


def test_what_pythons_own_allocator_has_free(python):
    p, parts = look(python, "fragmented pools")
    told = p.end()
    assert abs(parts["pymalloc_free"] - told["bytes in available blocks"]) < MIB
    used = parts["pymalloc"] - parts["pymalloc_free"]
    assert abs(used - told["bytes in allocated blocks"]) < MIB
    assert parts["pymalloc_free"] > 16 * MIB
    assert parts["trim_gain"] < MIB


@pytest.mark.parametrize("case, part, size", [("buffers", "native", 64 * MIB), ("shared", "shmem", 32 * MIB)])
def test_memory_of_no_allocator(case, part, size):
    p, parts = look(PYTHONS[0], case)
    p.end()
    assert size <= parts[part] < size + 4 * MIB


def test_stacks_of_threads():
    p, quiet = look(PYTHONS[0], "quiet")
    p.end()
    p, parts = look(PYTHONS[0], "stacks")
    p.end()
    assert parts["stacks"] > quiet["stacks"] + 3 * (16 << 10)
    assert parts["stacks"] < 3 * (16 << 20)


def test_a_process_that_is_no_python_and_one_that_is_gone():
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        parts = json.loads(subprocess.run([DRIVER, str(sleeper.pid)], capture_output=True, text=True, check=True).stdout)
        assert parts["minor"] == -1 and parts["pymalloc"] is None
        assert parts["malloc"] > 0 and parts["malloc_free"] is not None
    finally:
        sleeper.kill()
        sleeper.wait()
    gone = subprocess.run([DRIVER, str(sleeper.pid)], capture_output=True, text=True, check=False)
    assert gone.returncode == 1 and "smaps" in gone.stderr
    kernel = subprocess.run([DRIVER, "2"], capture_output=True, text=True, check=False)
    assert kernel.returncode == 1 and "kernel thread" in kernel.stderr
