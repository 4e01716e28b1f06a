# SPDX-License-Identifier: Apache-2.0
"""Six programs, each built to be one case, told apart by the whole product: sampled by the agent, counted twice by
memherd-actd, judged by the collector."""

import os
import pathlib
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
POLICY = "allow census uid>=0 exe=/usr/bin/python3* max=60/h cooldown=1s\ndeny *\n"
SPAN = 75  # seconds between the two counts: figures are judged over a minute at least

# Half a megabyte a second, where a program grows.
CASES = {
    "python_objects": """
import time
class Session:
    def __init__(self, n):
        self.items = [n] * 50
kept = []
while True:
    kept.extend(Session(n) for n in range(200))
    time.sleep(0.2)
""",
    "cycle_garbage": """
import gc, time
gc.disable()
class Node:
    def __init__(self):
        self.me = self
        self.items = [0] * 50
while True:
    for _ in range(200):
        Node()
    time.sleep(0.2)
""",
    "fragmentation": """
import time
kept = [bytearray(2000) for _ in range(150000)][::50]
while True:
    time.sleep(1)
""",
    "native": """
import ctypes, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
while True:
    for _ in range(2):
        ctypes.memset(ctypes.c_void_p(libc.malloc(65536)), 1, 65536)
    time.sleep(0.2)
""",
    "cache": """
import mmap, sys, time
with open(sys.argv[1], "w+b") as f:
    f.truncate(512 << 20)
    m = mmap.mmap(f.fileno(), 0)
at = 0
while at < len(m):
    for _ in range(32):
        m[at] = 1
        at += 4096
    time.sleep(0.2)
time.sleep(600)
""",
    "not_growing": """
import time
kept = [[n] for n in range(100000)]
while True:
    spare = [[n] for n in range(1000)]
    time.sleep(0.2)
""",
}


@pytest.fixture(scope="module")
def verdicts():
    with Stack(window="10s", interval="1s", policy=POLICY).up() as s:
        programs = {}
        for case, text in CASES.items():
            s.write(f"{case}.py", text)
            programs[case] = s.start(case, PYTHON, s.path(f"{case}.py"), s.path(f"{case}.data"))
        ids = {case: wait_for(f"{case} in the list", lambda p=p: find(s, p.pid), 30) for case, p in programs.items()}
        time.sleep(5)
        begin = time.monotonic()
        for p in programs.values():
            count(s, p.pid)
        time.sleep(max(0, begin + SPAN - time.monotonic()))
        for p in programs.values():
            count(s, p.pid)
        got = {case: s.get(f"/api/v1/processes/{i}")["verdict"] for case, i in ids.items()}
        assert all(p.alive() for p in programs.values())
        yield got


def find(stack, pid):
    return next((p["id"] for p in stack.items(f"/hosts/1/processes?pid={pid}")), None)


def count(stack, pid):
    stack.cli("census", f"1:{pid}", "--now", "--yes", "--wait")


@pytest.mark.parametrize("case", CASES)
def test_the_case_is_told(verdicts, case):
    v = verdicts[case]
    assert v["kind"] == case, v
    assert v["evidence"]


def test_what_leaks_is_named(verdicts):
    assert verdicts["python_objects"]["confidence"] == "certain"
    assert "__main__.Session" in {t["name"] for t in verdicts["python_objects"]["types"]}
    assert "__main__.Node" in {t["name"] for t in verdicts["cycle_garbage"]["types"]}
    assert any("turned off" in line for line in verdicts["cycle_garbage"]["evidence"])


def test_only_leaks_are_leaks(verdicts):
    assert {case: v["leak"] for case, v in verdicts.items()} == {
        "python_objects": True, "cycle_garbage": True, "native": True, "fragmentation": False, "cache": False,
        "not_growing": False}


def test_the_trim_that_helps_is_predicted(verdicts):
    assert any("a trim would give back about" in line for line in verdicts["fragmentation"]["evidence"])
    assert any("trim" in line for line in verdicts["fragmentation"]["advice"])
