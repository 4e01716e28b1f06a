# SPDX-License-Identifier: Apache-2.0
"""Two cells (a collector with a database and an agent each, one of them by TLS) and a third collector in front of
them: lists are merged, a cell that does not answer is named."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

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


def test_bad_questions_are_told(cells):
    for path, says in (("/hosts?cell=north", "no cell 'north'"), ("/hosts?limit=0", "limit"),
                       ("/hosts?cursor=1", "pages are of one cell")):
        status, problem = cells.get(path)
        assert status == 400 and says in problem["detail"], problem
    # What the cells refuse is said with their reason.
    status, problem = cells.get("/alerts?state=odd")
    assert status == 503 and "HTTP 400" in problem["detail"] and "state" in problem["detail"]
    status, _, _ = cells.east.request("GET", "/api/v1/hosts?cell=east")
    assert status == 400, "it has no cells"


def test_an_id_of_a_cell_is_not_taken_for_one_of_ours(cells):
    for path, body in (("/api/v1/actions", {"type": "trim", "target": "1:1"}), ("/api/v1/alerts/1/ack", None)):
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
