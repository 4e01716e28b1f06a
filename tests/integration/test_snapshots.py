# SPDX-License-Identifier: Apache-2.0
"""Who holds objects and which containers hold most, in running, unprepared CPythons; and what was found there, stored:
from memherd-actd through the agent, the collector and a real PostgreSQL to REST and the command line."""
import json
import os
import re
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{ROOT}/tests/support", f"{ROOT}/tests/integration", f"{ROOT}/tools/demo"]
import pythons  # noqa: E402
from stack import Stack, wait_for  # noqa: E402
from test_actd import actd, signals_blocked  # noqa: E402,F401
from test_api_live import judge  # noqa: E402
from test_script import CPYTHONS, start  # noqa: E402,F401

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
POLICY = "".join(f"allow {a} uid>=0 container={c}\n" for a in ("referrers", "sizes", "tracemalloc") for c in ("yes", "no"))

PROGRAM = """
import gc, sys, threading, time, weakref
class Entry:
    def __init__(self, n):
        self.data = [n]
    def __eq__(self, other):
        raise SystemExit("asked whether it is equal")
    __hash__ = None
    def __getattr__(self, name):
        raise SystemExit("asked for " + name)
    def __len__(self):
        raise SystemExit("asked how long it is")
    __sizeof__ = __repr__ = __len__
class Cache:
    def __init__(self):
        self.entries = {}
class Odd(type):
    def __hash__(self):
        raise SystemExit("a type was hashed")
    __eq__ = __hash__
class Made(metaclass=Odd):
    pass
KEPT = [{"entry": Entry(n)} for n in range(3000)]
CACHE = Cache()
for i in range(2000):
    CACHE.entries["key %d" % i] = (Made(), "x" * 100)
TABLE = {i: "value %d" % i for i in range(60000)}
class Mark:
    pass
def local():
    mark = Mark()
    seen = weakref.ref(mark)
    only_here = [bytearray(10) for i in range(700)]
    wait(only_here)
    del mark
    return seen() is None
def outer():
    x = 1
    mine = locals()
    x = 2
    return local(), mine["x"]
over = threading.Event()
lock = threading.Lock()
lock.acquire()
def watch():
    sys.stdin.read()
    over.set()
    lock.release()
threading.Thread(target=watch, daemon=True).start()
def wait(only_here):
    print("ready", flush=True)
    if sys.argv[1] == "block":
        lock.acquire()
    while not over.is_set():
        if sys.argv[1] == "sleep":
            time.sleep(0.05)
before = set(globals())
gone, x = outer()
new = sorted(set(globals()) - before - {"before", "gone", "x"})
count, length = len(KEPT), len(TABLE)
KEPT.clear(); CACHE.entries.clear(); TABLE.clear()
gc.collect()
left = sum(type(o) is Entry or type(o) is Made for o in gc.get_objects())
print("new=%s kept=%d table=%d left=%d gone=%s x=%d" % (",".join(new) or "-", count, length, left, gone, x), flush=True)
"""
UNHARMED = {"new": "-", "kept": "3000", "table": "60000", "left": "0", "gone": "True", "x": "1"}


@pytest.fixture
def act(actd):  # noqa: F811
    actd.policy(POLICY)

    def go(action, pid, *args):
        p = actd.run(action, pid, "--json", *args, timeout=60)
        assert p.stdout, p.stderr
        return p.returncode, json.loads(p.stdout)

    return go


@pytest.fixture
def local():
    return next(p for p in CPYTHONS if p.root is None)


@pytest.mark.parametrize("mode", ["sleep", "block", "cpu"])
@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_the_holder_and_the_largest_are_named_and_nothing_is_harmed(act, start, python, mode):  # noqa: F811
    t = start(python, mode, PROGRAM)
    rc, r = act("referrers", t.pid, "--type", "Entry")
    assert (rc, r["status"]) == (0, "done"), r
    chain, = r["chains"]
    assert chain == {"chain": "module __main__ . KEPT -> list -> dict['entry'] -> __main__.Entry", "through": "list of 3000",
                     "objects": 5}
    assert r["detail"].startswith("3000 objects of __main__.Entry in a heap of ") and r["rss_after_bytes"] is None
    rc, r = act("referrers", t.pid, "--type", "__main__.Made", "--max", 2)
    assert [(c["chain"], c["objects"]) for c in r["chains"]] == [
        ("module __main__ . CACHE -> __main__.Cache . entries -> dict[...] -> tuple -> __main__.Made", 2)], r
    rc, r = act("sizes", t.pid)
    assert (rc, r["status"]) == (0, "done"), r
    first, second = r["containers"][:2]
    assert (first["held_by"], first["type"], first["length"]) == ("module __main__ . TABLE", "dict", 60000), r
    assert first["bytes"] == first["own_bytes"] > 60000 * 50 and first["objects"] > 60000
    assert (second["held_by"], second["type"], second["length"]) == ("module __main__ . KEPT", "list", 3000)
    cache = next(c for c in r["containers"] if c["held_by"] == "module __main__ . CACHE")
    entries = next(c for c in r["containers"] if c["held_by"] == "module __main__ . CACHE -> __main__.Cache . entries")
    assert cache["bytes"] > entries["bytes"] > cache["own_bytes"] and entries["length"] == 2000, "an instance with what it holds"
    here = [c["held_by"] for c in r["containers"] if c["length"] == 700]
    # before 3.11 the name is not to be had without changing the frame
    assert re.match(r"function (local|wait) in .*:\d+" + (", local only_here$" if python.minor() >= 11 else "$"), here[0]), here
    assert signals_blocked(t.pid) == {"0000000000000000"}
    assert t.finish() == UNHARMED


def test_what_cannot_be_done_is_said_and_nothing_is_left(act, start, local):  # noqa: F811
    t = start(local, "sleep", PROGRAM)
    rc, r = act("referrers", t.pid, "--type", "app.Nobody")
    assert (rc, r["status"]) == (1, "failed") and r["rss_after_bytes"] is None
    assert re.fullmatch(r"no object of a type 'app.Nobody' is among the \d+ that the collector tracks", r["detail"]), r
    for action, args in ("referrers", ["--type", "Entry"]), ("sizes", []):
        rc, r = act(action, t.pid, *args, "--objects", 1000)
        assert (rc, r["status"]) == (1, "refused") and r["rss_after_bytes"] is None, r
        assert re.fullmatch(r"its heap has \d+ (objects|blocks of memory), more than 1000: say --objects to look at them all the same",
                            r["detail"]), r
        rc, r = act(action, t.pid, *args, "--dry-run")
        assert (rc, r["status"]) == (0, "dry_run") and "in Python 3." in r["detail"], r
    assert t.finish() == UNHARMED


def test_by_hand_it_is_printed(actd, start, local):  # noqa: F811
    actd.policy(POLICY)
    t = start(local, "sleep", PROGRAM)
    p = actd.run("snapshot", t.pid, "--kind", "referrers", "--type", "Entry")
    assert "     5  module __main__ . KEPT -> list -> dict['entry'] -> __main__.Entry\n        through list of 3000\n" in p.stdout, p
    p = actd.run("sizes", t.pid, "--containers", 1)
    assert re.search(r"MiB alone  +\d+ objects  dict of 60000  module __main__ . TABLE\n$", p.stdout), p
    assert t.finish() == UNHARMED


@pytest.mark.parametrize("args,says", [
    (("referrers", "1"), "referrers: 'type' must be given: whose objects: module.Class, or the end of it"),
    (("referrers", "1", "--type", "a b"), "referrers: 'type' is 'a b': expected a name such as module.Class"),
    (("referrers", "1", "--type", "x'); import os; ('"), "expected a name such as module.Class"),
    (("referrers", "1", "--type", "x" * 64), "referrers: 'type' is 64, but at most 63 bytes"),
    (("referrers", "1", "--type", "x", "--max", "21"), "referrers: 'max' is 21, but at most 20"),
    (("sizes", "1", "--type", "dict"), "sizes takes no parameter 'type'"),
    (("sizes", "1", "--seconds", "9"), "sizes: 'seconds' is 9, but at most 8 s"),
])
def test_wrong_parameters_are_named(actd, args, says):  # noqa: F811
    p = actd.run(*args)
    assert p.returncode == 2 and says in p.stderr, p.stderr


# ---- stored ----

GROWS = r"""
import sys, threading, time
class Row: pass
ROWS = {}
# a file's name as hostile as one can be
hostile = compile("def grow(n):\n    for i in range(n):\n        ROWS[len(ROWS)] = Row()\n", "/tmp/\x1b[2J\t\udcff.py", "exec")
exec(hostile, globals())
grow(2000)
open(sys.argv[1], "w").close()
while True:
    grow(20)
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    python = next(p for p in pythons.all() if p.kind == "cpython" and p.root is None and p.minor() == 11)
    with Stack(window="10s", interval="1s", policy=POLICY).up() as s:
        s.write("grows.py", GROWS)
        s.target = s.start("grows", python.program, s.path("grows.py"), s.path("grown"))
        wait_for("its process", lambda: s.path("grown").exists() and s.items(f"/hosts/1/processes?pid={s.target.pid}"), 60)
        s.process = s.items(f"/hosts/1/processes?pid={s.target.pid}")[0]["id"]
        yield s


def snap(stack, kind, *args):
    return json.loads(stack.cli("snapshot", f"1:{stack.target.pid}", "--kind", kind, "--yes", "--json", *args))


def checked(stack, path, schema):
    """The answer, held against the schema that describes it."""
    answer = stack.get("/api/v1" + path)
    judge(answer, {"$ref": f"#/components/schemas/{schema}"})
    return answer


def test_sizes_are_stored_and_compared(stack):
    one = snap(stack, "sizes")
    two = snap(stack, "sizes", "--containers", "30")
    assert one["id"] != two["id"] and one["process_id"] == two["process_id"] == stack.process
    got = checked(stack, f"/snapshots/{one['id']}", "Snapshot")
    assert got == one and (got["kind"], got["reason"], got["subject"]) == ("sizes", "asked", None)
    assert got["action_id"] and got["totals"]["heap_objects"] > 2000 and got["totals"]["containers"] > 1
    row = got["rows"][0]
    assert (row["held_by"], row["type"]) == ("module __main__ . ROWS", "dict") and row["length"] >= 2000
    diff = checked(stack, f"/snapshots/{two['id']}/diff", "SnapshotDiff")
    assert (diff["snapshot"]["id"], diff["base"]["id"]) == (two["id"], one["id"]) and diff["span_seconds"] > 0
    grown = diff["rows"][0]
    assert (grown["held_by"], grown["in"]) == ("module __main__ . ROWS", "both")
    assert grown["bytes_growth"] > 0 and grown["length_growth"] == two["rows"][0]["length"] - row["length"] > 0
    back = stack.get(f"/api/v1/snapshots/{one['id']}/diff?base={two['id']}&top=1")
    assert len(back["rows"]) == 1 and back["span_seconds"] < 0
    listed = stack.items(f"/snapshots?process={stack.process}&kind=sizes")
    assert [s["id"] for s in listed] == [two["id"], one["id"]] and "rows" not in listed[0]
    page = stack.get(f"/api/v1/snapshots?process={stack.process}&kind=sizes&limit=1")
    assert [s["id"] for s in stack.items(f"/snapshots?process={stack.process}&kind=sizes&cursor={page['next_cursor']}")] == [one["id"]]
    assert [s["id"] for s in stack.items(f"/snapshots?action={one['action_id']}")] == [one["id"]]
    (kind, length), = stack.sql("SELECT kind, (rows->0->>'length')::int8 FROM snapshots WHERE snapshot_id = %s", int(one["id"]))
    assert (kind, length) == ("sizes", row["length"])


def test_chains_are_stored_and_told_on_the_command_line(stack):
    got = snap(stack, "referrers", "--type", "Row", "--max", "3")
    assert (got["kind"], got["subject"]) == ("referrers", "Row")
    assert got["rows"][0]["chain"] == "module __main__ . ROWS -> dict[...] -> __main__.Row" and got["rows"][0]["objects"] == 3
    action = stack.get(f"/api/v1/actions/{got['action_id']}")
    assert action["params"] == {"type": "Row", "max": 3, "objects": 2000000} and action["reason"] == "asked on the command line"
    shown = stack.cli("snapshots", "show", got["id"])
    assert "module __main__ . ROWS -> dict[...] -> __main__.Row" in shown and "of Row" in shown
    snap(stack, "referrers", "--type", "Row", "--max", "5")
    newest = json.loads(stack.cli("snapshots", f"1:{stack.target.pid}", "--kind", "referrers", "--json"))["items"][0]
    shown = stack.cli("snapshots", "show", newest["id"], "--diff")
    assert re.search(r"\b2\tboth\tmodule __main__ \. ROWS", shown), shown
    assert got["id"] in stack.cli("snapshots")
    with pytest.raises(RuntimeError, match="exit 1"):
        stack.cli("snapshot", f"1:{stack.target.pid}", "--kind", "referrers", "--type", "Nobody", "--yes")
    assert "no object of a type 'Nobody'" in stack.items("/actions?limit=1")[0]["detail"]


def test_a_hostile_file_name_is_safe_text(stack):
    got = snap(stack, "tracemalloc", "--seconds", "1")
    place = next(r["place"] for r in got["rows"] if "[2J" in r["place"])
    assert place.startswith("/tmp/\\x1b[2J\\t\\udcff.py:") and got["totals"]["seconds"] == 1
    assert got["rows"][0]["grown_bytes"] > 0 and got["totals"]["grown_bytes"] > 0
    shown = stack.cli("snapshots", "show", got["id"])
    assert "\x1b" not in shown and "\\x1b[2J" in shown
    other = stack.items("/snapshots?kind=sizes")[0]["id"]
    status, _, body = stack.request("GET", f"/api/v1/snapshots/{got['id']}/diff?base={other}")
    assert status == 422, body


@pytest.mark.parametrize("path,status", [
    ("/snapshots/77", 404), ("/snapshots/x", 400), ("/snapshots/77/diff", 404), ("/snapshots?kind=movie", 400),
    ("/snapshots?process=x", 400), ("/snapshots?action=x", 400), ("/snapshots?cursor=x", 400),
    ("/snapshots/77/diff?top=0", 400),
])
def test_what_is_not_there_or_not_well_formed_is_refused(stack, path, status):
    assert stack.request("GET", "/api/v1" + path)[0] == status


def test_the_program_goes_on(stack):
    assert stack.target.alive()
