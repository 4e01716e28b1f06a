# SPDX-License-Identifier: Apache-2.0
"""build/memherd against a collector that says what each test wants: exit codes, shapes of output, and
what it sends."""

import json
import os
import pathlib
import pty
import struct
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from dossier import HOSTILE, KILL, ONE, VERDICT  # noqa: E402

MEMHERD = pathlib.Path(os.environ.get("BIN", ROOT / "build")) / "memherd"
HOST = {"id": "1", "name": "web-1", "connected": True, "available_bytes": 512 << 20, "total_bytes": 1 << 30,
        "processes": 17, "time_to_oom_seconds": 7140, "last_seen": "2026-11-23T01:02:03.000Z",
        "culprit": {"service": "", "comm": "evil\x1b[2J\tx", "pid": 42, "growth_bytes_per_hour": 100 << 20}}
ACTION = {"id": "00000000-0000-0000-0000-000000000001", "type": "trim", "state": "queued", "dry_run": False,
          "host": "web-1", "pid": 42, "actor": "admin", "created": "2026-11-23T01:02:03.000Z",
          "rss_before_bytes": None, "rss_after_bytes": None, "detail": ""}


class Collector:
    """Answers (method, path without query) from a table; remembers what was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, answer = outer.answers.get((self.command, self.path.split("?")[0]), (404, problem(404)))
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def say(self, method, path, answer, status=200):
        self.answers[(method, "/api/v1" + path)] = (status, answer)


def problem(status, detail="no such thing"):
    return {"type": "about:blank", "title": "Refused", "status": status, "detail": detail}


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.close()


def run(collector, *argv, token="secret", stdin=subprocess.DEVNULL, url=None):
    env = {"PATH": os.environ["PATH"], "MEMHERD_URL": url or collector.url, "MEMHERD_TOKEN": token, "LC_ALL": "C.UTF-8"}
    return subprocess.run([MEMHERD, *argv], env=env, stdin=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_piped_output_is_tab_separated_and_inert(collector):
    collector.say("GET", "/hosts", {"items": [HOST], "next_cursor": None})
    r = run(collector, "hosts")
    assert r.returncode == 0, r.stderr
    head, row = r.stdout.splitlines()
    assert head.split("\t")[:3] == ["HOST", "STATE", "AVAILABLE"]
    cells = dict(zip(head.split("\t"), row.split("\t")))
    assert cells["HOST"] == "web-1" and cells["AVAILABLE"] == "512 MiB" and cells["PID"] == "42"
    assert cells["CULPRIT"] == "evil\\x1b[2J\\x09x"
    assert cells["GROWTH"] == "+100 MiB/h" and cells["TIME TO OOM"] == "119 min"


def test_a_terminal_gets_aligned_columns(collector):
    collector.say("GET", "/hosts", {"items": [HOST], "next_cursor": None})
    main, side = pty.openpty()
    env = {"MEMHERD_URL": collector.url, "MEMHERD_TOKEN": "x"}
    with subprocess.Popen([MEMHERD, "hosts"], env=env, stdout=side, stdin=subprocess.DEVNULL) as p:
        assert p.wait(30) == 0
    os.close(side)
    lines = os.read(main, 65536).decode().splitlines()
    os.close(main)
    assert "\t" not in lines[1] and "\x1b" not in lines[1]
    assert lines[0].index("STATE") == lines[1].index("up")


@pytest.mark.parametrize("argv,path", [(["hosts"], "/hosts"), (["status"], "/fleet"), (["store"], "/store"), (["ps", "web-1"], "/hosts/web-1/processes"),
                                       (["alerts"], "/alerts"), (["oom"], "/oom-events"), (["oom", "show", "7"], "/oom-events/7"), (["actions"], "/actions"), (["enroll-token", "list"], "/enroll-tokens")])
def test_json_is_what_rest_said(collector, argv, path):
    said = {"items": [{"id": "7", "name": "\x1b[2J\u009b é"}], "next_cursor": None}
    collector.say("GET", path, said)
    r = run(collector, *argv, "--json")
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout) == said
    assert r.stdout.isascii() and "\x1b" not in r.stdout


def test_status_counts_and_lists(collector):
    collector.say("GET", "/fleet", {"hosts": {"total": 2, "connected": 1}, "alerts": {"firing": 3}})
    collector.say("GET", "/hosts", {"items": [], "next_cursor": None})
    r = run(collector, "status")
    assert r.returncode == 0 and r.stdout.startswith("2 hosts, 1 connected; 3 alerts firing\n")


TOP_PROCESS = {"cell": "ea\x1bst", "host": "web-1", "pid": 42, "rss_bytes": 3 << 20, "anon_bytes": 2 << 20, "swap_bytes": 0,
               "threads": 4, "cpu_seconds": 1.5, "growth_bytes_per_hour": 1 << 20, "service": "shop", "cmdline": "", "comm": "gunicorn"}
TOP_SERVICE = {"host": "web-1", "service": "shop", "processes": 5, "rss_bytes": 3 << 20, "pss_bytes": None, "anon_bytes": 1 << 20,
           "swap_bytes": 0, "growth_bytes_per_hour": 0}


def test_top_asks_for_the_fleets_largest(collector):
    collector.say("GET", "/processes", {"items": [TOP_PROCESS], "next_cursor": None})
    collector.say("GET", "/services", {"items": [TOP_SERVICE], "next_cursor": None})
    for argv, path, has in ((["top"], "/processes?limit=20", {"HOST": "web-1", "PID": "42", "RSS": "3 MiB", "COMMAND": "gunicorn"}),
                            (["top", "processes", "--sort", "gr&x", "--limit", "3"], "/processes?limit=3&sort=gr%26x", {"PID": "42"}),
                            (["top", "services", "--sort", "pss"], "/services?limit=20&sort=pss",
                             {"HOST": "web-1", "SERVICE": "shop", "PROCS": "5", "PSS": "-"})):
        r = run(collector, *argv)
        assert r.returncode == 0, r.stderr
        assert collector.asked[-1][1] == "/api/v1" + path
        head, row = (line.split("\t") for line in r.stdout.splitlines())
        assert "CELL" not in head and has.items() <= dict(zip(head, row)).items(), r.stdout
    asked = len(collector.asked)
    assert run(collector, "top", "hosts").returncode == 2 and len(collector.asked) == asked


def test_rows_of_cells_begin_with_their_cell_and_who_is_missing_is_told(collector):
    cells = [{"name": "east", "ok": True, "error": None}, {"name": "west", "ok": False, "error": "con\x1b[2Jnect"}]
    said = {"items": [TOP_PROCESS], "next_cursor": None, "cells": cells, "partial": True}
    collector.say("GET", "/processes", said)
    r = run(collector, "top")
    assert r.returncode == 6, "partly"
    head, row = (line.split("\t") for line in r.stdout.splitlines())
    assert head[:2] == ["CELL", "HOST"] and row[:2] == ["ea\\x1bst", "web-1"]
    assert r.stderr == "memherd: cell 'west' did not answer: con\\x1b[2Jnect\n"
    r = run(collector, "top", "--json")
    assert r.returncode == 6 and json.loads(r.stdout) == said
    said["cells"] = cells[:1]
    r = run(collector, "top")
    assert r.returncode == 0 and r.stderr == "" and r.stdout.startswith("CELL\tHOST")
    collector.say("GET", "/hosts", {"items": [dict(HOST, cell="east")], "next_cursor": None, "cells": cells[:1], "partial": False})
    assert run(collector, "hosts").stdout.splitlines()[1].startswith("east\tweb-1\tup")


def test_store_lists_tables(collector):
    table = {"name": "chunk", "bytes": 3 << 20, "index_bytes": 1 << 20, "toast_bytes": 0, "rows": 40, "partitions": 4,
             "oldest": "2026-11-25T00:00:00.000Z", "newest": "2026-11-29T00:00:00.000Z"}
    collector.say("GET", "/store", {"measured": None, "tables": [table], "bytes": 3 << 20, "sealed": {}})
    r = run(collector, "store")
    assert r.returncode == 0, r.stderr
    head, row = (line.split("\t") for line in r.stdout.splitlines())
    assert dict(zip(head, row)) == {"TABLE": "chunk", "BYTES": "3 MiB", "INDEXES": "1 MiB", "~ROWS": "40",
                                    "PARTITIONS": "4", "OLDEST": "2026-11-25 00:00:00Z"}, r.stdout


def test_kills_are_listed_with_who_whose_limit_and_who_grew(collector):
    no_limit = dict(KILL, limit_cgroup=None, limit_owner=None, limit_bytes=None, service=None, container=None, grower=None)
    collector.say("GET", "/oom-events", {"items": [KILL, no_limit], "next_cursor": None})
    r = run(collector, "oom", "--host", "web-1", "--limit", "2")
    assert r.returncode == 0, r.stderr
    assert collector.asked[0][1] == "/api/v1/oom-events?host=web-1&limit=2"
    head, row, bare = (line.split("\t") for line in r.stdout.splitlines())
    assert dict(zip(head, row)) == {
        "TIME": "2026-11-23 01:02:03Z", "HOST": "web-1", "VICTIM": HOSTILE, "PID": "4711", "RSS": "100 MiB",
        "OF": "shop (c0ffee)", "LIMIT": "shop-1 512 MiB", "CAUSE": "kernel_memcg", "GROWER": "shop", "ID": KILL["id"]}
    assert dict(zip(head, bare))["LIMIT"] == "the host's memory" and dict(zip(head, bare))["GROWER"] == "-"


@pytest.mark.parametrize("argv", [["show", KILL["id"]], ["last"], ["last", "web-1"], ["last", "--host", "web-1"]])
def test_a_dossier_is_told_whole(collector, argv):
    evil = dict(ONE, verdict=VERDICT + "\n\x1b[2J\u009b")
    collector.say("GET", "/oom-events", {"items": [KILL]})
    collector.say("GET", f"/oom-events/{KILL['id']}", evil)
    r = run(collector, "oom", *argv)
    assert r.returncode == 0, r.stderr
    assert len(argv) == 1 or argv[0] == "show" or collector.asked[0][1] == "/api/v1/oom-events?limit=1&host=web-1"
    told = r.stdout
    assert VERDICT + "\\x0a\\x1b[2J\\xc2\\x9b\n" in told and "\x1b" not in told and "\u009b" not in told
    for line in (f"Victim     {HOSTILE} (pid 4711) of shop, container c0ffee", f"           {HOSTILE} --serve",
                 "Trigger    nginx (pid 4713) of shop", "Limit      cgroup /docker/c0ffee of shop-1",
                 "           512 MiB in use of 512 MiB", "Host       900 MiB available of 2 GiB",
                 "Cause      kernel_memcg, certain: killed by the kernel: a cgroup reached its limit",
                 "4712\t300 MiB\t+10 MiB\t+200 MiB\t+250 MiB\tshop\tpython3 leak.py",
                 f"4711\t100 MiB\t-\t0\tshop\t{HOSTILE}",
                 "2026-11-23 00:50:00Z\ttrim\tdone\t4712\tshop\tit was big",
                 "2026-11-23 00:10:00Z\texit\t4700\tpython3\tended by itself",
                 "INC-9\t2026-11-23 00:40:00Z\tweb-1 shop: big",
                 "- " + ONE["dossier"]["advice"][0], "  " + ONE["dossier"]["evidence"][0]):
        assert line in told.splitlines(), told
    assert json.loads(run(collector, "oom", *argv, "--json").stdout) == evil


CENSUS = {"id": "77", "time": "2026-11-23T01:02:03.000Z", "host": "web-1", "process_id": "9", "pid": 42, "service": "shop",
          "version": "3.11.2", "method": "snapshot", "reason": "asked", "action_id": ACTION["id"], "pause_seconds": 0.0075,
          "objects": 1000, "objects_bytes": 3 << 20, "types_total": 400, "parts": {"rss_bytes": 100 << 20, "malloc_free_bytes": 9 << 20},
          "note": None, "types": [{"name": "app.E\x1b[2J", "count": 700, "bytes": 2 << 20}, {"name": "dict", "count": 300, "bytes": 1 << 20}]}
DIFF = {"census": CENSUS, "base": dict(CENSUS, id="76"), "span_seconds": 1800, "objects_growth": 500, "objects_bytes_growth": 2 << 20,
        "types": [{"name": "app.E", "count": 700, "bytes": 2 << 20, "count_growth": 600, "bytes_growth": 1 << 20, "known": True},
                  {"name": "old", "count": 0, "bytes": 0, "count_growth": -100, "bytes_growth": -4096, "known": False}]}
PROCESS = {"id": "9", "host": "web-1", "pid": 42, "service": "shop", "comm": "python3", "rss_bytes": 100 << 20, "anon_bytes": 90 << 20,
           "file_bytes": None, "verdict": {"kind": "python_objects", "confidence": "certain", "sentence": "keeps \x1b more",
                                           "evidence": ["RSS +1 MiB"], "advice": ["look"]}}


def tell_process(collector):
    collector.say("GET", "/hosts/web-1/processes", {"items": [PROCESS]})
    collector.say("GET", "/processes/9", PROCESS)
    collector.say("GET", "/processes/9/census", {"items": [CENSUS]})
    collector.say("GET", "/censuses/77", CENSUS)
    collector.say("GET", "/censuses/77/diff", DIFF)


@pytest.mark.parametrize("target,asked", [("web-1:42", "limit=1&pid=42"), ("web-1/sh op", "limit=1&service=sh%20op")])
def test_a_census_is_told(collector, target, asked):
    tell_process(collector)
    r = run(collector, "census", target, "--top", "1")
    assert r.returncode == 0, r.stderr
    assert collector.asked[0][1] == f"/api/v1/hosts/web-1/processes?{asked}"
    told = r.stdout.splitlines()
    assert told[0].startswith("web-1 pid 42, Python 3.11.2") and "held for 7.5 ms" in told[1]
    assert told[2] == "1000 objects of 400 types, 3 MiB"
    assert told[-2:] == ["TYPE\tCOUNT\tBYTES", "app.E\\x1b[2J\t700\t2 MiB"]
    assert json.loads(run(collector, "census", target, "--json").stdout) == CENSUS


def test_two_censuses_are_compared(collector):
    tell_process(collector)
    r = run(collector, "census", "web-1:42", "--diff", "--top", "3")
    assert r.returncode == 0, r.stderr
    assert "in 30 min: +500 objects, +2 MiB" in r.stdout
    assert r.stdout.splitlines()[-2:] == ["app.E\t+600\t+1 MiB\t700\t2 MiB", "old\t-100 ?\t-4 KiB\t0\t0 B"]
    assert collector.asked[-1][1] == "/api/v1/censuses/77/diff?top=3"
    run(collector, "census", "web-1:42", "--diff=5")
    assert collector.asked[-1][1] == "/api/v1/censuses/77/diff?top=20&base=5"


def test_a_new_census_is_an_action(collector):
    tell_process(collector)
    done = dict(ACTION, type="census", state="done")
    collector.say("POST", "/actions", dict(ACTION, type="census"), 202)
    collector.say("GET", f"/actions/{ACTION['id']}", done)
    assert run(collector, "census", "web-1:42", "--now").returncode == 3, "nobody agreed"
    assert all(a[0] == "GET" for a in collector.asked)
    r = run(collector, "census", "web-1:42", "--now", "--yes", "--reason", "why")
    assert r.returncode == 0 and r.stdout.splitlines()[1].split("\t")[1] == "census"
    asked, = [a for a in collector.asked if a[0] == "POST"]
    assert json.loads(asked[3]) == {"type": "census", "target": "web-1:42", "reason": "why", "dry_run": False}
    r = run(collector, "census", "web-1:42", "--now", "--yes", "--wait", "--top", "1")
    assert r.returncode == 0 and "app.E\\x1b[2J\t700" in r.stdout
    collector.say("GET", f"/actions/{ACTION['id']}", dict(done, state="refused", detail="the policy denies it"))
    r = run(collector, "census", "web-1:42", "--now", "--yes", "--wait")
    assert r.returncode == 3 and "the policy denies it" in r.stdout


def test_no_census_is_4(collector):
    collector.say("GET", "/hosts/web-1/processes", {"items": [PROCESS]})
    collector.say("GET", "/processes/9/census", {"items": []})
    r = run(collector, "census", "web-1:42")
    assert r.returncode == 4 and "--now" in r.stderr and r.stdout == ""
    collector.say("GET", "/hosts/web-1/processes", {"items": []})
    assert run(collector, "census", "web-1:42").returncode == 4
    assert run(collector, "census", "nonsense\x1b").returncode == 4 and "\x1b" not in r.stderr


SERVICE = {"host": "web-1", "service": "shop", "verdict_process_id": "9", "verdict": PROCESS["verdict"],
           "trend": {"sentence": "leaks 3.1 MiB/h, 14 restarts, r2 0.97, by the clock and not by load"}}


@pytest.mark.parametrize("target", ["web-1:42", "web-1/shop"])
def test_growth_is_explained(collector, target):
    tell_process(collector)
    collector.say("GET", "/hosts/web-1/services/shop", SERVICE)
    collector.say("GET", "/actions", {"items": [dict(ACTION, process_id="9", state="done"), dict(ACTION, process_id="8")]})
    collector.say("GET", "/processes/9/gc", {"version": "3.11.2", "enabled": True, "collected": 5, "uncollectable": 0, "generations": [
        {"generation": 0, "count": 1, "threshold": 700, "collections": 9, "collections_per_minute": 2.5}]})
    r = run(collector, "explain", target)
    assert r.returncode == 0, r.stderr
    told = r.stdout.splitlines()
    assert told[:2] == ["web-1 shop (pid 42), Python 3.11.2", "keeps \\x1b more [python_objects, certain]"]
    for line in ("  RSS +1 MiB", "  shop leaks 3.1 MiB/h, 14 restarts, r2 0.97, by the clock and not by load",
                 "  generation 0: count 1 of 700, 9 collections, 2.5 a minute", "  - look"):
        assert line in told, r.stdout
    assert "  RSS                        100 MiB" in told and "file mappings" not in r.stdout
    assert sum("\ttrim\t" in line for line in told) == 1, "those of others are not its"
    said = json.loads(run(collector, "explain", target, "--json").stdout)
    assert said["process"] == PROCESS and said["service"] == SERVICE and len(said["actions"]) == 1


def test_a_service_without_python_is_explained_by_its_trend(collector):
    collector.say("GET", "/hosts/web-1/services/db", dict(SERVICE, service="db", verdict=None, verdict_process_id=None))
    r = run(collector, "explain", "web-1/db")
    assert r.returncode == 0 and "no Python interpreter" in r.stdout and "14 restarts" in r.stdout
    assert run(collector, "explain", "web-1/none").returncode == 4


@pytest.mark.parametrize("answer", [{}, {"items": 7}, [[]], 7, {"items": [7]}, {"id": 7, "trend": 7, "verdict": {"evidence": [7], "advice": 7}}])
def test_explanations_that_are_none_do_no_harm(collector, answer):
    tell_process(collector)
    for path in "/processes/9", "/processes/9/gc", "/processes/9/census", "/hosts/web-1/services/shop", "/actions", "/censuses/77":
        collector.say("GET", path, answer)
    for argv in ["explain", "web-1:42"], ["explain", "web-1/shop"], ["census", "web-1:42"], ["census", "web-1:42", "--diff"]:
        assert run(collector, *argv).returncode in (0, 1, 4)


def test_no_kill_is_4(collector):
    collector.say("GET", "/oom-events", {"items": []})
    r = run(collector, "oom", "last")
    assert r.returncode == 4 and r.stdout == "" and "no kill is known" in r.stderr
    assert run(collector, "oom", "show", "8").returncode == 4
    assert run(collector, "oom").stdout.splitlines()[1:] == []


@pytest.mark.parametrize("answer", [{}, {"dossier": 7, "recent": []}, {"dossier": {"victim": 7, "tasks": [7, None], "advice": [7],
                                                                                   "figures": []}, "recent": {"service": 7}}, [[]], 7])
def test_a_dossier_that_is_none_does_no_harm(collector, answer):
    collector.say("GET", "/oom-events/8", answer)
    assert run(collector, "oom", "show", "8").returncode in (0, 1)


def test_a_host_is_told_with_what_is_wrong_first(collector):
    finding = {"code": "x", "text": "told \x1b", "fix": ""}
    host = dict(HOST, kernel="6.1.0", cpus=2, agent_version="0.1", agent_rss_bytes=7 << 20, agent_cpu_seconds=90, alloc_stalls=None,
                steal_kswapd=5, oom_kills=3, pressure={"some_ratio": 0.125, "full_ratio": 0.01},
                posture={"time": None, "findings": [
                    dict(finding, severity="info"), dict(finding, severity="bad", text="no swap", fix="add some"),
                    dict(finding, severity="warn")]})
    cgroup = {"path": "/a", "name": "shop-1", "runtime": "docker", "working_set_bytes": 40 << 20, "anon_bytes": 30 << 20,
              "swap_bytes": None, "limit_bytes": 512 << 20, "limited_by": "/", "no_limit": False, "oom_kills": 2, "processes": 4}
    collector.say("GET", "/hosts/web-1", host)
    collector.say("GET", "/hosts/web-1/cgroups", {"items": [cgroup, dict(cgroup, name=None, no_limit=True, limited_by=None)]})
    r = run(collector, "host", "web-1")
    assert r.returncode == 0, r.stderr
    told = r.stdout.splitlines()
    assert told[0] == "web-1, up, kernel 6.1.0, 2 CPUs" and "Memory     512 MiB available of 1 GiB" in told
    assert "Pressure   12.5 % of the time a task waited for memory, 1.0 % of the time all did" in told
    assert "Reclaim    5 pages by kswapd, ? by tasks that needed memory, ? stalls; swapped in ?, out ? pages" in told
    assert "Agent      0.1, 7 MiB RSS, 90 s of CPU so far" in told
    at = told.index("How it is set up")
    assert told[at + 1:at + 5] == ["  bad   no swap", "        fix: add some", "  warn  told \\x1b", "  info  told \\x1b"]
    assert "shop-1\tdocker\t40 MiB\t30 MiB\t-\t512 MiB\t/\t2\t4" in told
    assert "/a\tdocker\t40 MiB\t30 MiB\t-\tnone\tthe host's memory\t2\t4" in told
    said = json.loads(run(collector, "host", "web-1", "--json").stdout)
    assert said["posture"] == host["posture"] and said["cgroups"][0] == cgroup
    collector.say("GET", "/hosts/web-1", dict(HOST, pressure=None, posture=None))
    collector.say("GET", "/hosts/web-1/cgroups", {"items": []})
    bare = run(collector, "host", "web-1").stdout
    assert "no PSI" in bare and "not told yet" in bare and "none is watched" in bare
    assert run(collector, "host", "web-2").returncode == 4


@pytest.mark.parametrize("status,code", [(400, 1), (401, 3), (403, 3), (404, 4), (409, 1), (422, 1), (500, 1), (503, 1)])
def test_a_problem_has_its_exit_code_and_its_words(collector, status, code):
    collector.say("GET", "/hosts", problem(status, "why it was \x1b[2J refused"), status)
    r = run(collector, "hosts")
    assert r.returncode == code and r.stdout == ""
    assert "memherd: Refused: why it was \\x1b[2J refused" in r.stderr


@pytest.mark.parametrize("body", [b"not json", b"{", b"[1,2", b"\xff\xfe", b"{\"items\": 5}", b"[]", b"7"])
def test_answers_that_are_none_do_no_harm(collector, body):
    collector.say("GET", "/hosts", body)
    assert run(collector, "hosts").returncode in (0, 1)
    collector.say("GET", "/hosts", body, 500)
    assert run(collector, "hosts").returncode == 1


def test_nobody_there_is_5(collector):
    url = collector.url
    collector.server.server_close()
    r = run(collector, "hosts", url=url)
    assert r.returncode == 5
    assert "cannot reach" in r.stderr and "MEMHERD_URL" in r.stderr
    assert run(collector, "hosts", url="file:///etc/passwd").returncode == 5


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["ps"], ["ps", "a", "b"], ["host"], ["oom", "7"],
                                  ["oom", "show"], ["oom", "last", "a", "b"], ["hosts", "--nonsense"], ["trim"], ["enroll-token"],
                                  ["enroll-token", "nonsense"], ["enroll-token", "delete"], ["enroll-token", "create", "--ttl", "x"],
                                  ["enroll-token", "create", "--uses", "0"], ["actions", "--limit", "0"],
                                  ["census"], ["census", "a:1", "--top", "0"], ["explain"], ["explain", "a", "b"],
                                  ["hosts", "--token-file", "/nonexistent"]])
def test_wrong_usage_is_2_and_asks_nothing(collector, argv):
    r = run(collector, *argv)
    assert r.returncode == 2 and r.stderr and r.stdout == ""
    assert collector.asked == []


def test_help_and_version_are_data(collector):
    assert "enroll-token" in run(collector, "--help").stdout
    assert run(collector, "--version").stdout.startswith("memherd ")


def test_the_token_is_sent_and_a_file_wins_over_the_environment(collector, tmp_path):
    collector.say("GET", "/hosts", {"items": []})
    run(collector, "hosts")
    (tmp_path / "t").write_text("from-file\n")
    run(collector, "hosts", "--token-file", str(tmp_path / "t"))
    assert [a[2]["Authorization"] for a in collector.asked] == ["Bearer secret", "Bearer from-file"]


def test_names_are_escaped_in_paths(collector):
    assert run(collector, "ps", "../fleet?x=1").returncode == 4
    assert collector.asked[0][1].startswith("/api/v1/hosts/..%2Ffleet%3Fx%3D1/processes?")
    run(collector, "alerts", "--host", "a&b=c")
    assert collector.asked[1][1] == "/api/v1/alerts?host=a%26b%3Dc"


@pytest.mark.parametrize("verb", ["trim", "restart"])
def test_an_action_without_a_terminal_wants_yes(collector, verb):
    r = run(collector, verb, "web-1:42")
    assert r.returncode == 3 and "--yes" in r.stderr
    assert collector.asked == []


@pytest.mark.parametrize("verb", ["trim", "restart"])
def test_an_action_is_asked_for_once_with_a_key(collector, verb):
    collector.say("POST", "/actions", ACTION, 202)
    r = run(collector, verb, "web-1:42", "--yes", "--reason", "because")
    assert r.returncode == 0, r.stderr
    (_, _, headers, body), = collector.asked
    assert json.loads(body) == {"type": verb, "target": "web-1:42", "reason": "because", "dry_run": False}
    assert len(headers["Idempotency-Key"]) == 32


def test_parameters_are_flags(collector):
    tell_process(collector)
    collector.say("POST", "/actions", dict(ACTION, type="census"), 202)
    r = run(collector, "census", "web-1:42", "--now", "--yes", "--method", "stopped")
    asked, = [a for a in collector.asked if a[0] == "POST"]
    assert json.loads(asked[3])["params"] == {"method": "stopped"}, r.stderr


@pytest.mark.parametrize("args,action,params", [
    (("gc",), "gc", None), (("gc", "--generation", "1"), "gc", {"generation": 1}),
    (("gc-threshold", "--young", "5000", "--old", "7"), "gc-threshold", {"young": 5000, "old": 7}),
    (("snapshot", "--kind", "tracemalloc", "--seconds", "9s", "--dry-run"), "tracemalloc", {"seconds": 9}),
    (("gc-freeze",), "gc-freeze", None), (("gc-unfreeze",), "gc-unfreeze", None),
    (("reclaim", "--bytes", "64MiB"), "reclaim", {"bytes": 64 << 20}), (("shed",), "shed", None),
    (("oom-score", "--score", "-100", "--for", "10min"), "oom-score", {"score": -100, "for": 600}),
    (("drop-caches", "--kind", "slab"), "drop-caches", {"kind": "slab"}), (("drop-caches",), "drop-caches", None),
])
def test_the_collector_is_told(collector, args, action, params):
    collector.say("POST", "/actions", dict(ACTION, type=action, state="done"), 202)
    r = run(collector, args[0], "web-1:42", *args[1:], "--yes")
    assert r.returncode == 0, r.stderr
    body = json.loads(collector.asked[0][3])
    assert body["type"] == action and body.get("params") == params


@pytest.mark.parametrize("args,says", [
    (("gc", "web-1:42", "--yes", "--generation", "3"), "'generation' is 3, but at most 2"),
    (("census", "web-1:42", "--now", "--yes", "--method", "fast"), "'method' is 'fast', but one of fitting|snapshot|stopped|live"),
    (("trim", "web-1:42", "--yes", "--method", "live"), "trim takes no --method"),
    (("oom-score", "web-1:42", "--yes", "--score", "-1000"), "'score' is -1000, but at least -999"),
    (("drop-caches", "web-1", "--yes", "--kind", "max"), "'kind' is 'max', but one of pagecache|slab|both"),
])
def test_wrong_parameters_are_told_before_anything_is_asked(collector, args, says):
    tell_process(collector)
    r = run(collector, *args)
    assert r.returncode == 2 and says in r.stderr
    assert all(a[0] == "GET" for a in collector.asked)


@pytest.mark.parametrize("state,code", [("done", 0), ("failed", 1), ("ineffective", 1), ("expired", 1), ("refused", 3)])
def test_trim_waits_for_its_end(collector, state, code):
    collector.say("POST", "/actions", ACTION, 202)
    collector.say("GET", "/actions/" + ACTION["id"], [dict(ACTION, state="sent"), dict(ACTION, state=state, detail="what came")])
    r = run(collector, "trim", "web-1:42", "--dry-run")
    assert r.returncode == code, r.stderr
    assert state in r.stdout and "what came" in r.stdout


@pytest.mark.parametrize("word,state", [("approve", "sent"), ("cancel", "cancelled")])
def test_a_word_on_what_waits(collector, word, state):
    collector.say("POST", f"/actions/{ACTION['id']}/{word}", dict(ACTION, state=state))
    r = run(collector, word, ACTION["id"])
    assert r.returncode == 0 and state in r.stdout, r.stderr
    collector.say("POST", "/actions/a%2Fb/" + word, {"title": "Conflict", "status": 409, "detail": "it is over"}, 409)
    r = run(collector, word, "a/b")
    assert r.returncode == 1 and "it is over" in r.stderr
    assert run(collector, word).returncode == 2


def test_what_waits_says_how_to_go_on(collector):
    collector.say("POST", "/actions", dict(ACTION, state="waiting_approval"), 202)
    r = run(collector, "restart", "web-1:42", "--yes")
    assert r.returncode == 0 and f"memherd approve {ACTION['id']}" in r.stderr


def test_an_operator_signs_what_is_asked_for(collector, tmp_path):
    """The statement that agent/act/operators.h tells of, checked with the openssl program."""
    key = tmp_path / "ann.pem"
    pub = run(collector, "keygen", key)
    assert pub.returncode == 0 and run(collector, "keygen", key).stdout == pub.stdout and len(pub.stdout.strip()) == 64, pub.stderr
    assert key.stat().st_mode & 0o777 == 0o600 and collector.asked == []
    host, boot = uuid.uuid4(), uuid.uuid4()
    process = {"id": "7", "host_id": "3", "host": "web-1", "pid": 42, "start_ticks": "9876543210", "comm": "api"}
    collector.say("GET", "/hosts/web-1/processes", {"items": [process], "next_cursor": None})
    collector.say("GET", "/processes/7", process)
    collector.say("GET", "/hosts/3", {"id": "3", "name": "web-1", "uuid": str(host), "boot_id": str(boot)})
    waiting = dict(ACTION, state="waiting_approval", type="limit", process_id="7", params={"bytes": 64 << 20, "for": 60, "kind": "max"})
    collector.say("POST", "/actions", waiting, 202)
    collector.say("GET", "/actions/" + ACTION["id"], waiting)
    collector.say("POST", f"/actions/{ACTION['id']}/approve", dict(ACTION, state="sent"))

    def signed(*argv):
        r = run(collector, *argv, "--sign-key", key)
        assert r.returncode == 0 and "signing limit" in r.stderr and str(host) in r.stderr, r.stderr
        body = json.loads(next(a for a in reversed(collector.asked) if a[0] == "POST")[3])
        raw = bytes.fromhex(body["warrant"])
        statement, signature = raw[:128], raw[128:]
        (tmp_path / "message").write_bytes(b"memherd-warrant-v1" + statement)
        (tmp_path / "sig").write_bytes(signature)
        subprocess.run(["openssl", "pkeyutl", "-verify", "-inkey", key, "-rawin", "-in", tmp_path / "message", "-sigfile", tmp_path / "sig"],
                       check=True, capture_output=True)
        return body, struct.unpack("<4sI16s16s16sIQqq3q20x", statement)

    body, s = signed("limit", "web-1:42", "--bytes", "64MiB", "--yes", "--ttl", "2h")
    assert body["target"] == "3:42" and s[:2] == (b"MHO1", 16)
    assert s[3:7] == (host.bytes, boot.bytes, 42, 9876543210) and s[8] - s[7] == 7200_000_000 and s[9:] == (64 << 20, 600, 0)
    assert signed("limit", "web-1:42", "--bytes", "64MiB", "--yes")[1][2] != s[2], "another id each time"
    body, s = signed("approve", ACTION["id"])
    assert set(body) == {"warrant"} and s[2] == uuid.UUID(ACTION["id"]).bytes and s[9:] == (64 << 20, 60, 1)
    for argv, says in ((("--ttl", "25h", "--sign-key", key), "expected 1s to 24h"), (("--sign-key", tmp_path / "none"), "none")):
        r = run(collector, "limit", "web-1:42", "--bytes", "64MiB", "--yes", *argv)
        assert r.returncode == 2 and says in r.stderr, r.stderr


def test_a_reason_that_is_no_text_is_refused(collector):
    r = subprocess.run([MEMHERD, "trim", "web-1:42", "--yes", "--reason", b"\xff"], env={"MEMHERD_URL": collector.url},
                       capture_output=True, timeout=30, check=False)
    assert r.returncode == 2 and collector.asked == []


def test_a_new_token_is_alone_on_stdout(collector):
    collector.say("POST", "/enroll-tokens", {"token": "T0KEN", "expires": "2026-11-23T02:00:00Z"}, 201)
    r = run(collector, "enroll-token", "create", "--ttl", "10min", "--uses", "2", "--note", "web")
    assert r.returncode == 0 and r.stdout == "T0KEN\n"
    assert json.loads(collector.asked[0][3]) == {"ttl_seconds": 600, "uses": 2, "note": "web"}


def test_audit(collector):
    row = {"id": "1", "time": "2026-11-23T01:02:03.000Z", "actor": "admin", "action": "alert.ack", "target": "alert 7"}
    collector.say("GET", "/audit", {"items": [row], "next_cursor": None})
    assert run(collector, "audit").stdout.splitlines()[1].split("\t")[2:] == ["admin", "alert.ack", "alert 7"]
    chain = {"ok": True, "rows": 3, "head": "ab", "holds_head": None, "why": None}
    collector.say("GET", "/audit/verify", chain)
    r = run(collector, "audit", "verify")
    assert r.returncode == 0 and r.stdout.splitlines()[1].split("\t")[:3] == ["ok", "3", "ab"]
    collector.say("GET", "/audit/verify", {**chain, "ok": False, "holds_head": False})
    r = run(collector, "audit", "verify", "c" * 64)
    assert r.returncode == 1 and "broken" in r.stdout and "is gone" in r.stdout
    assert collector.asked[-1][1].endswith("?head=" + "c" * 64)
    assert run(collector, "audit", "frob").returncode == 2


def test_breakers(collector):
    row = {"actor": "rule:leak", "type": "trim", "open": True, "results": 3, "opened": "2026-11-23T01:02:03.000Z",
           "until": "2026-11-23T02:02:03.000Z", "closed": None, "closed_by": None}
    collector.say("GET", "/breakers", {"items": [row], "next_cursor": None})
    r = run(collector, "breakers")
    assert r.returncode == 0 and r.stdout.splitlines()[1].split("\t")[:4] == ["rule:leak", "trim", "open", "3"]
    collector.say("POST", "/breakers/rule%3Aleak/trim/close", {**row, "open": False, "closed_by": "me"})
    r = run(collector, "breakers", "close", "rule:leak", "trim")
    assert r.returncode == 0 and "\tclosed\t" in r.stdout and r.stdout.rstrip().endswith("me")
    for wrong in (["close"], ["open", "rule:leak", "trim"], ["close", "rule:leak"]):
        assert run(collector, "breakers", *wrong).returncode == 2


def test_maintenance(collector):
    row = {"id": "3", "host": "web-*", "service": "shop\x1b[2J", "state": "holds", "from": "2026-11-23T01:02:03.000Z",
           "until": "2026-11-23T02:02:03.000Z", "reason": "new disks", "created": "2026-11-23T01:02:03.000Z", "created_by": "token:ops",
           "ended": None, "ended_by": None}
    collector.say("GET", "/maintenance", {"items": [row], "next_cursor": None})
    r = run(collector, "maintenance")
    assert r.returncode == 0 and r.stdout.splitlines()[1].split("\t") == [
        "3", "holds", "web-*", "shop\\x1b[2J", "2026-11-23 01:02:03Z", "2026-11-23 02:02:03Z", "token:ops", "new disks"]
    assert collector.asked[-1][1].endswith("/maintenance?state=open")
    assert run(collector, "maintenance", "--state", "all", "--limit", "5").returncode == 0
    assert collector.asked[-1][1].endswith("/maintenance?limit=5")
    collector.say("POST", "/maintenance", {**row, "covers_hosts": 2, "covers_processes": 7}, 201)
    r = run(collector, "maintenance", "set", "web-*/shop/x", "--until", "2026-11-23T02:02:03Z", "--from", "2026-11-23T01:02:03Z",
            "--reason", "new disks")
    assert r.returncode == 0 and "2 host(s) and 7 process(es)" in r.stderr and "\tholds\t" in r.stdout
    assert json.loads(collector.asked[-1][3]) == {"host": "web-*", "service": "shop/x", "from": "2026-11-23T01:02:03Z",
                                                  "until": "2026-11-23T02:02:03Z", "reason": "new disks"}
    assert run(collector, "maintenance", "set", "*", "--for", "2h", "--from", "2026-11-23T01:02:03Z", "--reason", "x").returncode == 0
    assert json.loads(collector.asked[-1][3]) == {"host": "*", "from": "2026-11-23T01:02:03Z", "until": "2026-11-23T03:02:03.000Z",
                                                  "reason": "x"}
    collector.say("DELETE", "/maintenance/3", b"", 204)
    assert run(collector, "maintenance", "end", "3").returncode == 0
    asked = len(collector.asked)
    for wrong, says in [(["set", "*", "--for", "2h"], "--reason"), (["set", "*", "--reason", "x"], "has an end"),
                        (["set", "*", "--reason", "x", "--for", "2h", "--until", "2026-11-23T01:02:03Z"], "has an end"),
                        (["set", "*", "--reason", "x", "--for", "soon"], "'soon' is no duration"),
                        (["set", "*", "--reason", "x", "--for", "0s"], "is no duration"),
                        (["set", "*", "--reason", "x", "--for", "1h", "--from", "noon"], "'noon' is no time"),
                        (["set", "*", "--reason", "x", "--until", "9" * 40], "is no time"),
                        (["set"], "usage"), (["end"], "usage"), (["end", "3", "4"], "usage"), (["--state", "over"], "usage")]:
        r = run(collector, "maintenance", *wrong)
        assert r.returncode == 2 and says in r.stderr, (wrong, r.stderr)
    assert len(collector.asked) == asked


def test_an_action_tells_what_was_there_later(collector):
    later = {"after_seconds": 60, "time": "2026-11-23T01:03:03.000Z", "process_id": "9", "pid": 42, "rss_bytes": 300 << 20,
             "pss_bytes": None}
    collector.say("GET", "/actions/a1", {**ACTION, "state": "done", "verdict": "regrew", "effects": [later],
                                         "next_effect": None, "history": "the last trim here freed 3 MiB"})
    r = run(collector, "actions", "show", "a1")
    assert r.returncode == 0 and "\tdone\tregrew\t" in r.stdout and "300 MiB" in r.stdout.splitlines()[-1]
    assert r.stderr == "memherd: the last trim here freed 3 MiB\n"
    assert run(collector, "actions", "a1").stdout.splitlines()[1] == r.stdout.splitlines()[1]
    for wrong in (["a1", "b"], ["show"]):
        assert run(collector, "actions", *wrong).returncode == 2


def test_ack_delete_and_login(collector):
    collector.say("POST", "/alerts/7/ack", b"", 204)
    assert run(collector, "ack", "7").returncode == 0
    collector.say("DELETE", "/enroll-tokens/9", b"", 204)
    assert run(collector, "enroll-token", "delete", "9").returncode == 0
    collector.say("POST", "/login-links", {"url": "http://x/login?token=y"}, 201)
    assert run(collector, "login-link").stdout == "http://x/login?token=y\n"
