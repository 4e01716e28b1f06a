# SPDX-License-Identifier: Apache-2.0
"""Two cells (a collector with a database and an agent each, one of them by TLS) and a third collector in front of
them: lists are merged, a cell that does not answer is named."""
import heapq
import http.server
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/demo"))
from stack import BIN, Stack, wait_for  # noqa: E402

RULES = """rule any on host {
    why "a test wants it";
    warmup 1s;
    level log when available > 1MiB for 1s;
}
"""


class Cells:
    def __enter__(self):
        self.stacks = []
        try:
            self.east = self.cell("east-1")
            self.west = self.cell("west-1", tls=True)
            self.front = self.make(Stack(window="10s", collector={"database_relaxed": "yes"}))
            self.front.collector_options["cells"] = self.lines()[0] + "\ncells = " + self.lines()[1]
            self.front.start_collector()
            return self
        except BaseException:
            self.__exit__()
            raise

    def make(self, stack):
        self.stacks.append(stack)
        return stack

    def cell(self, name, tls=False):
        s = self.make(Stack(window="10s", interval="1s", rules=RULES, agent={"host_name": name}))
        s.start_sink()
        s.start_collector()
        s.enroll_agent()
        s.start_agent()
        wait_for("its host", lambda: [h["connected"] for h in s.items("/hosts")] == [True], 30)
        if tls:
            # The mapped address is the same loopback, and no longer one that REST is served on in the clear.
            s.programs["collector"].stop()
            s.collector_options["listen_http"] = f"[::ffff:127.0.0.1]:{s.http}"
            conf = s.path("collector.conf")
            conf.write_text(conf.read_text() + f"listen_http = {s.collector_options['listen_http']}\n")
            s.start("collector", BIN / "memherd-collector", "run", "-c", conf)
        return s

    def lines(self):
        lines = []
        for name, s, scheme in (("east", self.east, "http"), ("west", self.west, "https")):
            path = self.stacks[0].path(f"{name}.token")
            path.write_text(s.path("collector", "admin.token").read_text())
            path.chmod(0o600)
            ca = f",{s.path('collector', 'ca.pem')}" if scheme == "https" else ""
            lines.append(f"{name}={scheme}://127.0.0.1:{s.http},{path}{ca}")
        return lines

    def __exit__(self, *_):
        for s in reversed(self.stacks):
            c = s.programs.get("collector")
            if c and c.alive():
                os.kill(c.pid, signal.SIGCONT)
            s.close()

    def get(self, path):
        status, _, body = self.front.request("GET", "/api/v1" + path)
        return status, json.loads(body)

    def ok(self, path):
        status, answer = self.get(path)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def cells():
    with Cells() as c:
        wait_for("both cells", lambda: c.get("/hosts")[0] == 200 and not c.get("/hosts")[1]["partial"]
                 and all(h["connected"] for h in c.get("/hosts")[1]["items"]), 60)
        yield c


def test_hosts_of_both_with_their_cell(cells):
    answer = cells.ok("/hosts")
    assert {(h["cell"], h["name"]) for h in answer["items"]} == {("east", "east-1"), ("west", "west-1")}
    assert answer["cells"] == [{"name": "east", "ok": True, "error": None}, {"name": "west", "ok": True, "error": None}]
    assert answer["partial"] is False and answer["next_cursor"] is None
    assert len(cells.ok("/hosts?limit=1")["items"]) == 1
    assert [h["name"] for h in cells.ok("/hosts?cell=west&include=spark")["items"]] == ["west-1"]
    assert cells.ok("/hosts?cell=west&include=spark")["items"][0]["spark"]
    assert cells.ok("/hosts?cell=self") == {"items": [], "next_cursor": None}


def test_the_fleet_is_their_sum(cells):
    one = cells.east.get("/api/v1/fleet")
    both = cells.ok("/fleet")
    assert both["hosts"] == {"total": 2, "connected": 2}
    assert both["processes"] > one["processes"] and both["database"] is True and both["partial"] is False
    assert cells.ok("/fleet?cell=self")["hosts"]["total"] == 0
    ends = [w["time_to_oom_seconds"] for w in both["worst"]]
    assert ends == sorted(ends) and {w["cell"] for w in both["worst"]} <= {"east", "west"}


def test_alerts_are_in_their_order(cells):
    def look():
        answer = cells.ok("/alerts?state=firing")
        return answer if {a["cell"] for a in answer["items"]} == {"east", "west"} else None
    answer = wait_for("alerts of both", look, 30)
    # Each cell's rows in its own order, the newest next one first.
    heads = {c: [a["opened"] for a in answer["items"] if a["cell"] == c] for c in ("east", "west")}
    for c, opened in heads.items():
        assert [a["opened"] for a in cells.ok(f"/alerts?state=firing&cell={c}")["items"]][-len(opened):] == opened
    for a in answer["items"]:
        assert a["opened"] == max(h[0] for h in heads.values() if h)
        heads[a["cell"]].pop(0)
    assert cells.ok("/fleet")["alerts"]["firing"] >= 2
    # This machine's own kills, as both agents tell them.
    kills = cells.ok("/oom-events?limit=10000")["items"]
    assert [k["time"] for k in kills] == sorted((k["time"] for k in kills), reverse=True)
    assert len(kills) == sum(len(cells.ok(f"/oom-events?limit=10000&cell={c}")["items"]) for c in ("east", "west"))
    assert cells.ok("/alerts?cell=east&limit=1")["cells"] == [{"name": "east", "ok": True, "error": None}]


PROCESS_SORTS = {"rss": "rss_bytes", "growth": "growth_bytes_per_hour", "threads": "threads", "swap": "swap_bytes",
                 "cpu": "cpu_seconds", "gc2": "gc2"}
SERVICE_SORTS = {"rss": "rss_bytes", "pss": "pss_bytes", "growth": "growth_bytes_per_hour", "processes": "processes"}


def key_of(row, member):
    """Largest first, what is not known last."""
    return (row[member] is None, -(row[member] or 0))


def place_of(row, member):
    return row["cell"], row["host"], row.get("id") or row["service"], row[member]


@pytest.fixture
def still(cells):
    """Both agents stopped: no figure moves while lists are held against each other."""
    pids = []
    for s in (cells.east, cells.west):
        agent = s.programs["agent"].pid
        children = pathlib.Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        pids += [agent, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        def look():
            return [cells.ok(f"/processes?limit=10000&sort=cpu&cell={c}")["items"] for c in ("east", "west")]
        wait_for("lists that stand still", lambda: look() == (time.sleep(1), look())[1], 30)
        yield cells
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_the_largest_of_all_are_exactly_those(still):
    """Both agents watch this machine: nearly every row has its twin in the other cell, and many keys tie."""
    for path, sorts in (("/processes", PROCESS_SORTS), ("/services", SERVICE_SORTS)):
        for sort, member in sorts.items():
            query = f"{path}?sort={sort}"
            rows = [still.ok(f"{query}&limit=10000&cell={c}")["items"] for c in ("east", "west")]
            assert all(len(r) > 5 for r in rows) and {r["cell"] for r in rows[0]} == {"east"}
            for each in rows:
                assert [key_of(r, member) for r in each] == sorted(key_of(r, member) for r in each)
            # Of equal keys the cell that is named first, and within a cell its own order.
            expected = [place_of(r, member) for r in heapq.merge(*rows, key=lambda r, m=member: key_of(r, m))]
            for limit in (1, 5, 20, 10000):
                answer = still.ok(f"{query}&limit={limit}")
                assert [place_of(r, member) for r in answer["items"]] == expected[:limit], (query, limit)
                assert answer["partial"] is False and answer["next_cursor"] is None
    # The preset is RSS, the filters go along, a cell's pages too.
    assert [r["id"] for r in still.ok("/processes?limit=7")["items"]] == [r["id"] for r in still.ok("/processes?limit=7&sort=rss")["items"]]
    found = still.ok("/processes?q=memherd-collector&limit=10000")["items"]
    assert {r["cell"] for r in found} == {"east", "west"} and all("memherd-collector" in r["cmdline"] for r in found)
    first = still.ok("/processes?cell=west&limit=4")
    second = still.ok("/processes?cell=west&limit=4&cursor=" + urllib.parse.quote(first["next_cursor"]))
    assert [r["id"] for r in first["items"] + second["items"]] == [r["id"] for r in still.ok("/processes?cell=west&limit=8")["items"]]
    assert still.ok("/processes?cell=self")["items"] == [] == still.ok("/services?cell=self")["items"]


def test_top_has_a_column_for_the_cell(cells):
    rows = [line.split("\t") for line in cells.front.cli("top", "--sort", "rss", "--limit", 6).splitlines()]
    assert rows[0][:3] == ["CELL", "HOST", "PID"] and len(rows) == 7
    assert {tuple(r[:2]) for r in rows[1:]} <= {("east", "east-1"), ("west", "west-1")}
    rows = [line.split("\t") for line in cells.front.cli("top", "services", "--limit", 3).splitlines()]
    assert rows[0][:3] == ["CELL", "HOST", "SERVICE"] and len(rows) == 4


def test_bad_questions_are_told(cells):
    for path, says in (("/hosts?cell=north", "no cell 'north'"), ("/hosts?limit=0", "limit"),
                       ("/hosts?cursor=1", "pages are of one cell"), ("/processes?sort=beauty", "beauty"),
                       ("/processes?cell=north", "no cell 'north'"), ("/services?sort=threads", "threads"),
                       ("/processes?cursor=1:1", "pages are of one cell"), ("/services?cursor=1:1:x", "pages are of one cell")):
        status, problem = cells.get(path)
        assert status == 400 and says in problem["detail"], problem
    # What the cells refuse is said with their reason.
    status, problem = cells.get("/alerts?state=odd")
    assert status == 503 and "HTTP 400" in problem["detail"] and "state" in problem["detail"]
    status, _, _ = cells.east.request("GET", "/api/v1/hosts?cell=east")
    assert status == 400, "it has no cells"


def test_an_id_of_a_cell_is_not_taken_for_one_of_ours(cells):
    for path, body in (("/api/v1/actions", {"type": "trim", "target": "1:1"}), ("/api/v1/alerts/1/ack", None),
                       ("/api/v1/maintenance", {"host": "*", "until": "2999-01-01T00:00:00Z", "reason": "x"})):
        status, _, text = cells.front.request("POST", path, body or {}, {"Idempotency-Key": "k"})
        assert status == 409 and b"ask the collector of the" in text, text


def test_a_cell_that_does_not_answer_is_named(cells):
    east = cells.east.programs["collector"]
    os.kill(east.pid, signal.SIGSTOP)
    try:
        # It hangs: the deadline ends the wait, and the loop goes on meanwhile.
        slow = subprocess.Popen([sys.executable, "-c", "import sys, urllib.request as u\n"
                                 "r = u.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})\n"
                                 "print(u.urlopen(r, timeout=30).read().decode())",
                                 cells.front.url("/api/v1/hosts"), cells.front.token], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        started = time.monotonic()
        assert cells.front.request("GET", "/api/v1/healthz")[0] == 200
        assert time.monotonic() - started < 2
        out, _ = slow.communicate(timeout=20)
        answer = json.loads(out)
    finally:
        os.kill(east.pid, signal.SIGCONT)
    assert [h["name"] for h in answer["items"]] == ["west-1"] and answer["partial"] is True
    east_state, west_state = answer["cells"]
    assert east_state["name"] == "east" and not east_state["ok"] and east_state["error"]
    assert west_state == {"name": "west", "ok": True, "error": None}
    wait_for("both again", lambda: cells.ok("/hosts")["partial"] is False, 20)
    cells.east.programs["collector"].stop()
    answer = cells.ok("/fleet")
    assert answer["partial"] is True and answer["hosts"]["total"] == 1
    assert "connect" in answer["cells"][0]["error"].lower()
    cells.east.start_collector()
    wait_for("both again", lambda: cells.ok("/hosts")["partial"] is False, 20)


def test_a_token_that_is_not_good_is_told(cells):
    path = cells.stacks[0].path("east.token")
    good = path.read_text()
    try:
        path.write_text("mht_wrong\n")
        answer = cells.ok("/hosts")
        assert answer["partial"] and "HTTP 401" in answer["cells"][0]["error"]
        path.chmod(0o644)
        assert "east.token" in cells.ok("/hosts")["cells"][0]["error"], "others may read it"
    finally:
        path.chmod(0o600)
        path.write_text(good)


def restart_front(cells, lines):
    conf = cells.front.path("collector.conf")
    text = "\n".join(line for line in conf.read_text().splitlines() if not line.startswith("cells "))
    conf.write_text(text + "".join(f"\ncells = {line}" for line in lines) + "\n")
    if cells.front.programs["collector"].alive():
        cells.front.programs["collector"].stop()
    cells.front.start("collector", BIN / "memherd-collector", "run", "-c", conf)


def test_a_stranger_is_not_believed(cells):
    """The same address with another CA, and without one: no token goes there."""
    good = cells.lines()
    other = cells.east.path("collector", "ca.pem")
    west = f"west=https://127.0.0.1:{cells.west.http},{cells.stacks[0].path('west.token')}"
    for line in (f"{west},{other}", west):
        restart_front(cells, [good[0], line])
        cells.front.wait_ready()
        answer = cells.ok("/hosts")
        assert [h["name"] for h in answer["items"]] == ["east-1"]
        assert "certificate" in answer["cells"][1]["error"].lower(), answer["cells"]
    restart_front(cells, good)
    cells.front.wait_ready()
    assert cells.ok("/hosts")["partial"] is False


class Hostile:
    """A cell that says what a test wants: an answer, or a list of pieces with a pause after each."""

    def __init__(self):
        self.says = b"{}"
        self.status = 200
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                said = outer.says
                self.send_response(outer.status)
                if not isinstance(said, bytes):
                    self.end_headers()
                    for piece in said():
                        self.wfile.write(piece)
                        self.wfile.flush()
                        if outer.over.wait(0.3):
                            return
                    return
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # the other end hung up, as it should

        self.over = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def rows(*values):
    return json.dumps({"items": [{"id": str(i), "host": "h", "service": "s", "rss_bytes": v} for i, v in enumerate(values)]}).encode()


HOSTILE = {
    "no JSON": (200, b'{"items": [', "not what a collector says"),
    "nothing": (200, b"", "not what a collector says"),
    "another shape": (200, b'["items"]', "not what a collector says"),
    "no list": (200, b'{"items": 7}', "not what a collector says"),
    "too deep": (200, b'{"items": ' + b"[" * 100 + b"]" * 100 + b"}", "not what a collector says"),
    "no number at all": (200, b'{"items": [{"rss_bytes": 1e999}]}', "not what a collector says"),
    "a row that is none": (200, b'{"items": [{"rss_bytes": 7}, "row"]}', "row 2 of its answer is no object"),
    "a text as key": (200, rows(7, "9"), "row 2 of its answer has no number as 'rss_bytes'"),
    "no key": (200, b'{"items": [{}]}', "row 1 of its answer has no number as 'rss_bytes'"),
    "out of order": (200, rows(7, 9), "row 2 of its answer is out of order"),
    "huge": (200, b'{"items": [' + b" " * (17 << 20) + b"]}", "larger than 16777216 bytes"),
    # Within bounds, but 0.1 is written anew with 17 digits.
    "that grows": (200, b'{"items": [{"rss_bytes": 1, "x": [' + b"0.1," * (3 << 20) + b"1]}]}", "larger than 16777216 bytes"),
    "an error": (500, b"<html>\x00\xff", "HTTP 500"),
    "a way elsewhere": (302, b"", "HTTP 302"),
}


def test_a_hostile_cell_spoils_nothing(cells):
    good = cells.lines()
    token = good[0].split(",")[1]
    with Hostile() as bad:
        restart_front(cells, [f"bad=http://127.0.0.1:{bad.server.server_port},{token}", good[0]])
        cells.front.wait_ready()

        def look(path="/processes?limit=5"):
            answer = cells.ok(path)
            assert [r["cell"] for r in answer["items"] if r["cell"] != "bad"] and answer["cells"][1] == {"name": "east", "ok": True, "error": None}
            return answer
        for name, (status, says, told) in HOSTILE.items():
            bad.status, bad.says = status, says
            answer = look()
            assert len(answer["items"]) == 5 and {r["cell"] for r in answer["items"]} == {"east"}, name
            assert answer["partial"] is True and answer["cells"][0]["ok"] is False and told in answer["cells"][0]["error"], (name, answer["cells"])
        assert bad.asked[-1] == "/api/v1/processes?cell=self&limit=5"
        # What keeps to the rules is shown as its, whatever it calls itself; nothing is added to what it is asked for.
        bad.status = 200
        bad.says = json.dumps({"items": [{"id": "1", "cell": "east", "rss_bytes": 1 << 60, "comm": "<img onerror>\x1b"}] + [
            {"id": str(i), "rss_bytes": 0} for i in range(2, 50)], "next_cursor": "x", "cells": 7, "partial": "no"}).encode()
        answer = look()
        assert len(answer["items"]) == 5 and [r["cell"] for r in answer["items"]] == ["bad"] + ["east"] * 4
        assert answer["next_cursor"] is None and answer["partial"] is False and len(answer["cells"]) == 2
        # One that dribbles for ever is waited for until its time is over.
        bad.says = lambda: itertools.repeat(b" ")
        answer = look("/services?limit=5")
        assert answer["partial"] is True and answer["cells"][0]["error"] and len(answer["items"]) == 5
    restart_front(cells, good)
    cells.front.wait_ready()


def test_a_bad_option_stops_the_start(cells, tmp_path):
    token = tmp_path / "t"
    token.write_text("x\n")
    token.chmod(0o644)
    text = "\n".join(line for line in cells.front.path("collector.conf").read_text().splitlines()
                     if not line.startswith("cells "))
    for value, says in (("x=http://a.example,/t", "https://HOST"), (f"x=https://a,{token}", "cell 'x'")):
        conf = tmp_path / "c.conf"
        conf.write_text(f"{text}\ncells = {value}\n")
        if says == "cell 'x'":
            cells.front.programs["collector"].stop()
        r = subprocess.run([BIN / "memherd-collector", "run", "-c", conf], capture_output=True, text=True, timeout=40, check=False)
        assert r.returncode != 0 and says in r.stderr + r.stdout, r.stderr + r.stdout
    restart_front(cells, cells.lines())
    cells.front.wait_ready()
