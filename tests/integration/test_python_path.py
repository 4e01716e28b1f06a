# SPDX-License-Identifier: Apache-2.0
"""The collector of an unmodified Python program, from its memory through the agent with its production rights, TLS
and PostgreSQL to REST: figures equal what the program says of itself, and what changes in it is an event."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from stack import Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
# Runs the lines that it is sent and says what its collector did.
PROGRAM = """
import gc, json, sys
def tell():
    print(json.dumps({"collections": [s["collections"] for s in gc.get_stats()],
                      "collected": sum(s["collected"] for s in gc.get_stats()),
                      "uncollectable": sum(s["uncollectable"] for s in gc.get_stats()),
                      "threshold": gc.get_threshold(), "enabled": gc.isenabled(),
                      "frozen": gc.get_freeze_count()}), flush=True)
tell()
for line in sys.stdin:
    exec(line)
    tell()
"""
CYCLES = "[(lambda a: a.append(a))([]) for _ in range(5)]; gc.collect()"


@pytest.fixture(scope="module")
def stack():
    with Stack(interval="1s").up() as s:
        wait_for("the first samples", lambda: any(h["connected"] for h in s.items("/hosts")), 30)
        yield s


class Program:
    def __init__(self):
        self.p = subprocess.Popen([PYTHON, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  user="nobody")
        self.said = json.loads(self.p.stdout.readline())

    def run(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        self.said = json.loads(self.p.stdout.readline())
        return self.said


@contextlib.contextmanager
def program():
    p = Program()
    try:
        yield p
    finally:
        p.p.kill()
        p.p.wait()


def process(stack, pid):
    host = stack.items("/hosts")[0]["id"]
    found = [p for p in stack.items(f"/hosts/{host}/processes?limit=500") if p["pid"] == pid]
    return found[0] if found else None


def latest(stack, proc_id, metric):
    points = stack.get(f"/api/v1/processes/{proc_id}/series?metric={metric}&from=-5min")["points"]
    return points[-1][1] if points else None


def figures(stack, proc_id):
    def of(metric):
        return latest(stack, proc_id, metric)

    return {"collections": [of("gc0"), of("gc1"), of("gc2")], "collected": of("collected"),
            "uncollectable": of("uncollectable"),
            "threshold": [of("gc_threshold0"), of("gc_threshold1"), of("gc_threshold2")],
            "enabled": bool(of("gc_enabled"))}


def agree(stack, program, proc_id):
    said = {k: v for k, v in program.said.items() if k != "frozen"}
    wait_for("figures that are the program's", lambda: figures(stack, proc_id) == said, 30)


def test_the_figures_are_the_programs_own_and_changes_are_events(stack):
    with program() as p:
        p.run("gc.collect(0); gc.collect(1)")
        proc_id = wait_for("the process", lambda: process(stack, p.p.pid), 30)["id"]
        agree(stack, p, proc_id)
        assert int(latest(stack, proc_id, "python_version")) == sys.hexversion or os.path.realpath(PYTHON) != sys.executable
        assert latest(stack, proc_id, "python_state") == 0
        assert latest(stack, proc_id, "interpreters") == 1
        p.run("gc.disable(); gc.set_threshold(50000, 20, 30)")
        p.run(CYCLES)
        assert p.said["collected"] >= 5
        agree(stack, p, proc_id)

        def told():
            return {(e["details"]["what"], e["details"]["text"]) for e in stack.items("/events?kind=gc")
                    if e["process_id"] == proc_id}

        wait_for("two events", lambda: {w for w, _ in told()} >= {"disabled", "threshold"}, 30)
        texts = dict(told())
        assert "to (50000, 20, 30)" in texts["threshold"]
        before = len(told())
        p.run("gc.enable()")
        wait_for("the word that it is on again", lambda: "enabled" in dict(told()), 30)
        assert len(told()) == before + 1


SUB = """
import gc, json, _xxsubinterpreters as m
[(lambda a: a.append(a))([]) for _ in range(7)]; gc.collect(); gc.collect(1); gc.set_threshold(1234, 5, 6); gc.disable()
print(json.dumps({"number": int(m.get_current()), "enabled": gc.isenabled(), "threshold": gc.get_threshold(),
                  "stats": gc.get_stats(), "frozen": gc.get_freeze_count()}), flush=True)
"""


def by_interpreter(stack, proc_id):
    return stack.get(f"/api/v1/processes/{proc_id}/gc")["by_interpreter"]


def test_each_interpreter_is_told_by_itself(stack):
    with program() as p:
        proc_id = wait_for("the process", lambda: process(stack, p.p.pid), 30)["id"]
        agree(stack, p, proc_id)
        only = wait_for("its interpreter", lambda: by_interpreter(stack, proc_id), 30)
        assert [i["number"] for i in only] == [0]
        assert [g["threshold"] for g in only[0]["generations"]] == p.said["threshold"]
        said = p.run(f"import _xxsubinterpreters as m; sub = m.create(); m.run_string(sub, {SUB!r})")
        json.loads(p.p.stdout.readline())  # what the main one says, after that

        def found():
            """The sub-interpreter as it says itself; its figures stand still, it collects no more."""
            for one in by_interpreter(stack, proc_id):
                g = one["generations"]
                if one["number"] == said["number"] and [x["threshold"] for x in g] == said["threshold"]:
                    return one

        one = wait_for("the sub-interpreter", found, 60)
        assert one["enabled"] is False and one["frozen"] == said["frozen"] == 0
        for have, want in zip(one["generations"], said["stats"]):
            assert {k: have[k] for k in want} == want
        assert said["stats"][2]["collected"] >= 7
        main = [i for i in by_interpreter(stack, proc_id) if i["number"] == 0]
        assert len(main) == 1 and main[0]["enabled"] is True
        assert latest(stack, proc_id, "interpreters") == 2
        # the process's figures are the main one's and sums of both
        total = latest(stack, proc_id, "collected")
        assert total == sum(g["collected"] for i in (one, main[0]) for g in i["generations"])
        path = f"/api/v1/processes/{proc_id}/series?interpreter={said['number']}&from=-5min&metric="
        assert stack.get(path + "collected2")["points"][-1][1] == said["stats"][2]["collected"]
        assert stack.get(path + "gc_threshold0")["points"][-1][1] == 1234
        assert stack.request("GET", path + "rss")[0] == 400
        p.run("m.destroy(sub)")
        wait_for("only the main one", lambda: [i["number"] for i in by_interpreter(stack, proc_id)] == [0], 60)
        wait_for("the sum to stay", lambda: latest(stack, proc_id, "collected") >= total, 10)


def test_what_it_costs_is_told(stack):
    def cost():
        host = stack.items("/hosts")[0]["id"]
        points = stack.get(f"/api/v1/hosts/{host}/series?metric=pythons&from=-5min")["points"]
        return points and points[-1][1] >= 1

    with program():
        wait_for("a count of interpreters", cost, 30)


def test_a_process_that_is_none_has_no_such_figures(stack):
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        proc_id = wait_for("the process", lambda: process(stack, sleeper.pid), 30)["id"]
        wait_for("two samples", lambda: latest(stack, proc_id, "rss"), 30)
        assert latest(stack, proc_id, "gc0") is None
        assert latest(stack, proc_id, "python_state") is None
    finally:
        sleeper.kill()
        sleeper.wait()
