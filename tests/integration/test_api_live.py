# SPDX-License-Identifier: Apache-2.0
"""Every route on the real thing: collector with PostgreSQL, agent, root helper and a program that leaks.
Answers are held against collector/api/openapi.json."""
import datetime
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import psutil
import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import BIN, HERE, Program, Stack, wait_for  # noqa: E402

OPENAPI = json.loads((ROOT / "collector/api/openapi.json").read_text())
RULES = """rule big on process where cmdline ~ "*/api_leak.py*" {
    why "it grows";
    warmup 1s;
    level log when rss > 1MiB for 1s;
}
"""
POLICY = ("allow trim uid>=1000 exe=/usr/bin/python3* max=100/h cooldown=1s\n"
          "allow drop-caches\nallow gc uid>=1000 exe=/usr/bin/python3*\nallow gc-unfreeze uid>=1000 exe=/usr/bin/python3*\nallow gc-freeze uid>=1000 exe=/usr/bin/python3* signed=yes\ndeny *\n")
HOSTILE = 'od"d\\na me.py'
ENDED = {"done", "failed", "ineffective", "expired", "cancelled", "refused", "unknown"}
STATES = ENDED | {"waiting_approval", "queued", "sent", "running"}
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


# ---- the description as a judge ----

def is_kind(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def resolve(schema):
    while "$ref" in schema:
        schema = OPENAPI["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def judge(value, schema, where="answer"):
    """The part of JSON Schema that the description uses; stricter: members that it does not tell of are wrong."""
    schema = resolve(schema)
    if "enum" in schema:
        assert value in schema["enum"], f"{where}: {value!r}"
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(is_kind(value, k) for k in kinds), f"{where}: {value!r} is not {kinds}"
    if schema.get("format") == "date-time" and value is not None:
        assert RFC3339.fullmatch(value), f"{where}: {value!r} is not RFC 3339 in UTC"
    if isinstance(value, dict) and "properties" in schema:
        missing = set(schema.get("required", [])) - set(value)
        assert not missing, f"{where} lacks {missing}"
        unknown = set(value) - set(schema["properties"])
        assert not unknown, f"{where} has {unknown}, which is not described"
        for k, v in value.items():
            judge(v, schema["properties"][k], f"{where}.{k}")
    if isinstance(value, list):
        for i, v in enumerate(value):
            prefix = schema.get("prefixItems")
            if prefix:
                assert len(value) == len(prefix), f"{where}: {len(value)} items"
                judge(v, prefix[i], f"{where}[{i}]")
            elif "items" in schema:
                judge(v, schema["items"], f"{where}[{i}]")


def described(method, path):
    for pattern, methods in OPENAPI["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and method.lower() in methods:
            return methods[method.lower()]
    raise AssertionError(f"{method} {path} is not described")


class Client:
    """Asks as someone and holds each answer against the description."""

    def __init__(self, stack, token=None):
        self.stack = stack
        self.token = token or stack.token

    def ask(self, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers["Authorization"] = f"Bearer {self.token}"
        status, fields, data = self.stack.request(method, "/api/v1" + path, body, headers, token=False)
        answer = json.loads(data) if data else None
        if status >= 400 and fields["Content-Type"] != "application/json":
            assert fields["Content-Type"] == "application/problem+json", (status, data)
            judge(answer, {"$ref": "#/components/schemas/Problem"}, f"{method} {path}")
            assert answer["status"] == status and answer["trace_id"] == fields["X-Request-Id"]
        elif status < 400:
            operation = described(method, path.split("?")[0])
            assert str(status) in operation["responses"], (method, path, status)
            content = operation["responses"][str(status)].get("content")
            assert (content is None) == (data == b""), (method, path, data)
            if content:
                judge(answer, content["application/json"]["schema"], f"{method} {path}")
        return status, fields, answer

    def get(self, path):
        status, _, answer = self.ask("GET", path)
        assert status == 200, (path, answer)
        return answer

    def post(self, path, body=None, **headers):
        return self.ask("POST", path, body, **headers)

    def pages(self, path, limit):
        """All items of a list, page by page."""
        mark = "&" if "?" in path else "?"
        items, cursor = [], None
        while True:
            more = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
            page = self.get(f"{path}{mark}limit={limit}{more}")
            assert len(page["items"]) <= limit
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items
            assert len(page["items"]) == limit

    def act(self, target, **members):
        body = {"type": "trim", "target": target, "reason": "a test", **members}
        return self.post("/actions", body, Idempotency_Key=str(uuid.uuid4()))

    def ended(self, action):
        end = time.monotonic() + 20
        while (a := self.get(f"/actions/{action}"))["state"] not in ENDED:
            assert time.monotonic() < end, (a, self.stack.programs["collector"].tail(8), self.stack.programs["agent"].tail(8))
            time.sleep(0.1)
        return a


@pytest.fixture(scope="module")
def stack():
    s = Stack(window="1min", interval="1s", rules=RULES, policy=POLICY, collector={"approve": "gc-unfreeze restart"})
    try:
        s.start_collector()
        s.enroll_agent()
        s.start_actd()
        s.start_agent()
        for name in ("api_leak.py", HOSTILE):
            s.write(name, (HERE / "leak.py").read_text())
        s.leak = s.start("leak", "/usr/bin/python3", s.path("api_leak.py"), 1, user="nobody")
        s.odd = s.start("odd", "/usr/bin/python3", s.path(HOSTILE), 0.1, user="nobody")
        wait_for("the first alert", lambda: s.items("/alerts"), 40)
        yield s
        assert s.programs["collector"].alive(), s.programs["collector"].tail()
        s.programs["agent"].stop()
        assert s.programs["collector"].stop() == 0, s.programs["collector"].tail(40)
    finally:
        s.close()


@pytest.fixture
def admin(stack):
    return Client(stack)


@pytest.fixture
def host(admin):
    """Ours, once its first sample has come: it is connected a moment before."""

    def sampled():
        one = admin.get("/hosts")["items"][0]
        return one["total_bytes"] and one

    return wait_for("its first sample", sampled, 30)


def process_of(admin, host, program):
    items = admin.get(f"/hosts/{host['id']}/processes?limit=10000")["items"]
    return next(p for p in items if p["pid"] == program.pid)


@pytest.fixture
def leak(stack, admin, host):
    return process_of(admin, host, stack.leak)


# ---- reading ----

def test_host(stack, admin, host):
    memory = psutil.virtual_memory()
    assert host["connected"] and host["can_act"] and host["name"] == socket.gethostname().split(".")[0]
    assert host["total_bytes"] == memory.total
    assert abs(host["available_bytes"] - memory.available) < memory.total / 4
    assert host["id"].isdigit() and uuid.UUID(host["uuid"])
    seen = datetime.datetime.fromisoformat(host["last_seen"].replace("Z", "+00:00"))
    assert abs(time.time() - seen.timestamp()) < 10
    assert host["cpus"] == os.cpu_count() and host["interval_seconds"] == 1
    assert "spark" not in host
    one = admin.get(f"/hosts/{host['id']}")
    assert one["uuid"] == host["uuid"] == admin.get(f"/hosts/{host['name']}")["uuid"]
    spark = admin.get("/hosts?include=spark")["items"][0]["spark"]
    times = [t for t, _ in spark]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 120
    assert all(0 < v <= memory.total for _, v in spark)


def test_fleet(admin, host):
    fleet = admin.get("/fleet")
    assert fleet["hosts"] == {"total": 1, "connected": 1} and fleet["database"]
    assert fleet["processes"] > 3
    wait_for("the counts of alerts", lambda: admin.get("/fleet")["alerts"]["log"] >= 1, 15)


def test_store(admin, host, stack):
    """Against what PostgreSQL itself says."""
    wait_for("sizes", lambda: admin.get("/store")["measured"], 30)
    said = admin.get("/store")
    tables = {t["name"]: t for t in said["tables"]}
    assert {"chunk", "inbox", "rollup_window", "process", "alert"} <= set(tables)
    assert said["bytes"] == sum(t["bytes"] for t in said["tables"])
    assert tables["inbox"]["partitions"] >= 3 and tables["process"]["partitions"] == 0
    assert tables["inbox"]["oldest"] < tables["inbox"]["newest"] and tables["process"]["oldest"] is None
    assert tables["process"]["bytes"] > tables["process"]["index_bytes"] > 0
    _, _, data = stack.request("GET", "/metrics")
    text = data if isinstance(data, str) else data.decode()
    assert 'memherd_store_bytes{table="process"} ' in text and 'memherd_store_rows{table="chunk"} ' in text


def test_processes(stack, admin, host, leak):
    with open(f"/proc/{stack.leak.pid}/statm") as f:
        rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert leak["service"] == "python:api_leak.py" and leak["alive"]
    assert leak["uid"] == psutil.Process(stack.leak.pid).uids().real
    assert abs(leak["rss_bytes"] - rss) < 20 << 20 and leak["cpu_seconds"] < 60
    one = admin.get(f"/processes/{leak['id']}")
    assert one["pid"] == stack.leak.pid and one["start_ticks"] == leak["start_ticks"]
    path = f"/hosts/{host['id']}/processes"
    ids = [p["id"] for p in admin.pages(path + "?sort=threads", 7)]
    assert len(ids) == len(set(ids)) and leak["id"] in ids
    by_rss = [p["rss_bytes"] or 0 for p in admin.get(path)["items"]]
    assert by_rss == sorted(by_rss, reverse=True)
    assert [p["id"] for p in admin.get(path + "?q=API_LEAK")["items"]] == [leak["id"]]
    assert [p["id"] for p in admin.get(path + "?service=python:api_leak.py")["items"]] == [leak["id"]]


def test_services(stack, admin, host, leak):
    services = {s["service"]: s for s in admin.get(f"/hosts/{host['id']}/services")["items"]}
    assert services["python:api_leak.py"]["processes"] == 1
    assert abs(services["python:api_leak.py"]["rss_bytes"] - leak["rss_bytes"]) < 20 << 20


def test_the_fleets_processes(admin, host, leak):
    """Of the fleet, as of its only host; page by page, each once."""
    path = f"/hosts/{host['id']}/processes"
    ids = [p["id"] for p in admin.pages("/processes?sort=threads", 7)]
    assert len(ids) == len(set(ids)) and leak["id"] in ids and len(ids) > 7
    for query in ("?q=API_LEAK", "?service=python:api_leak.py"):
        found = admin.get("/processes" + query)["items"]
        # Another run on this machine may have one of its own.
        assert leak["id"] in [p["id"] for p in found] and {p["service"] for p in found} == {"python:api_leak.py"}
        assert leak["id"] in [p["id"] for p in admin.get(path + query)["items"]]
    for sort, key in (("rss", "rss_bytes"), ("growth", "growth_bytes_per_hour"), ("cpu", "cpu_seconds"), ("fds", "fds")):
        values = [p[key] for p in admin.get(f"/processes?limit=10000&sort={sort}")["items"]]
        known = [v for v in values if v is not None]
        assert values and values == sorted(known, reverse=True) + [None] * (len(values) - len(known)), sort
        assert len(admin.get(f"/processes?limit=3&sort={sort}")["items"]) == 3
    assert admin.get("/processes?cell=self&limit=1")["items"][0]["host"] == host["name"]


def test_the_fleets_services(admin, host, leak):
    def names(rows):
        return sorted(s["service"] for s in rows)
    wait_for("the same services", lambda: names(admin.get("/services?limit=10000")["items"]) == names(
        admin.get(f"/hosts/{host['id']}/services")["items"]), 20)
    for sort, key in (("rss", "rss_bytes"), ("pss", "pss_bytes"), ("anon", "anon_bytes"), ("swap", "swap_bytes"),
                      ("growth", "growth_bytes_per_hour"), ("processes", "processes")):
        rows = admin.get(f"/services?limit=10000&sort={sort}")["items"]
        values = [s[key] for s in rows]
        known = [v for v in values if v is not None]
        assert values == sorted(known, reverse=True) + [None] * (len(values) - len(known)), sort
    one, = admin.get("/services?service=python:api_leak.py")["items"]
    assert one["host"] == host["name"] and one["host_id"] == host["id"] and one["rss_bytes"] > 1 << 20
    assert [s["service"] for s in admin.get("/services?q=API_LEAK")["items"]] == ["python:api_leak.py"]
    paged = [s["service"] for s in admin.pages("/services?sort=processes", 3)]
    assert len(paged) == len(set(paged)) and "python:api_leak.py" in paged


def rfc3339(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def test_series(admin, host, leak):
    path = f"/processes/{leak['id']}/series"
    # more points than the three of max_points below
    wait_for("four samples of the leak", lambda: len(admin.get(path)["points"]) > 3, 30)
    rss = admin.get(path)
    assert rss["metric"] == "rss" and rss["unit"] == "bytes" and rss["resolution_seconds"] == 0
    times = [t for t, _ in rss["points"]]
    assert times == sorted(set(times)) and abs(times[-1] - time.time()) < 10
    assert rss["points"][-1][1] > rss["points"][0][1] and rss["points"][-1][1] > 1 << 20, "it leaks"
    now = time.time()
    forms = {"-15min": "now", rfc3339(now - 900): rfc3339(now + 1), rfc3339(now - 900).replace("Z", "+00:00"): "now"}
    for start, end in forms.items():
        some = admin.get(f"{path}?{urllib.parse.urlencode({'from': start, 'to': end})}")
        assert some["points"][:3] == rss["points"][:3], (start, end)
    few = admin.get(f"{path}?max_points=3")
    assert 1 <= len(few["points"]) <= 3 and few["resolution_seconds"] > 1
    assert admin.get(f"{path}?from=-2h&to=-1h")["points"] == []
    assert admin.get(f"{path}?metric=cpu")["unit"] == "seconds"
    assert admin.get(f"{path}?metric=threads")["unit"] == "count"
    available = admin.get(f"/hosts/{host['id']}/series")
    assert available["metric"] == "available" and available["points"]
    assert available["points"][-1][1] <= host["total_bytes"]


WRONG = {
    "/hosts/nobody": (404, "nobody"),
    "/hosts/nobody/processes": (404, "nobody"),
    "/hosts/nobody/services": (404, "nobody"),
    "/hosts/nobody/series": (404, "nobody"),
    "/hosts?limit=0": (400, "limit"),
    "/hosts?limit=10001": (400, "10000"),
    "/hosts?limit=1e3": (400, "1e3"),
    "/hosts?cursor=x": (400, "cursor"),
    "/hosts?cursor=-1": (400, "cursor"),
    "/hosts?include=all": (400, "spark"),
    "/hosts?limit=1&limit=2": (400, "twice"),
    "/hosts?x=%zz": (400, "escape"),
    "/hosts/HOST/processes?sort=beauty": (400, "beauty"),
    "/hosts/HOST/processes?cursor=1": (400, "cursor"),
    "/hosts/HOST/processes?cursor=nan:1": (400, "cursor"),
    "/processes?sort=beauty": (400, "beauty"),
    "/processes?cursor=1": (400, "cursor"),
    "/processes?limit=0": (400, "limit"),
    "/processes?cell=east": (400, "no cell 'east'"),
    "/services?sort=threads": (400, "threads"),
    "/services?cursor=1:2": (400, "cursor"),
    "/services?cursor=1:-2:x": (400, "cursor"),
    "/services?cursor=nan:2:x": (400, "cursor"),
    "/services?cursor=1:99999999999999999999:x": (400, "cursor"),
    "/services?limit=10001": (400, "10000"),
    "/hosts/HOST/series?metric=rss": (400, "rss"),
    "/hosts/HOST/series?from=yesterday": (400, "yesterday"),
    "/hosts/HOST/series?from=now&to=-1h": (400, "before"),
    "/hosts/HOST/series?max_points=1": (400, "max_points"),
    "/hosts/HOST/series?step=5s": (400, "step"),
    "/processes/x": (400, "'x'"),
    "/processes/7": (404, "'7'"),
    "/processes/7/series": (404, "'7'"),
    "/processes/99999999999999999999": (400, "id"),
    "/processes/LEAK/series?metric=available": (400, "available"),
    "/events?host=nobody": (404, "nobody"),
    "/events?kind=party": (400, "party"),
    "/events?cursor=1.2.3": (400, "cursor"),
    "/events?cursor=1.2.3.4.5.6": (400, "cursor"),
    "/events?cursor=1.2.3.4.99999999999999999999": (400, "cursor"),
    "/events?cursor=9223372036854775807.2.3.4.5": (400, "cursor"),
    "/events?from=-99999999999999d": (400, "from"),
    "/oom-events?cursor=9223372036854775807.2.3": (400, "cursor"),
    "/snapshots?cursor=-1.2": (400, "cursor"),
    "/events?from=2026-13-01T00:00:00Z": (400, "from"),
    "/alerts?state=sad": (400, "sad"),
    "/alerts?host=nobody": (404, "nobody"),
    "/alerts?cursor=a": (400, "cursor"),
    "/alerts/0": (400, "id"),
    "/alerts/999999": (404, "999999"),
    "/actions?cursor=1": (400, "cursor"),
    "/actions?cursor=9223372036854775807.00000000-0000-4000-8000-000000000000": (400, "cursor"),
    "/actions?state=lazy": (400, "lazy"),
    "/actions?alert=x": (400, "alert"),
    "/actions/1": (404, "action"),
    "/actions/00000000-0000-4000-8000-000000000000": (404, "action"),
    "/audit?cursor=-1": (400, "cursor"),
    "/enroll-tokens?cursor=x": (400, "cursor"),
    "/nothing": (404, "nothing"),
}


@pytest.mark.parametrize("path", WRONG)
def test_wrong_parameter(admin, host, leak, path):
    status, word = WRONG[path]
    got, _, problem = admin.ask("GET", path.replace("HOST", host["id"]).replace("LEAK", leak["id"]))
    assert got == status and word in problem["detail"], problem


def test_events(stack, admin, host):
    before = time.time()
    child = Program("short", ["/usr/bin/python3", "-c", "import time; time.sleep(3.5)"], stack.path("short.log"))
    pid = child.pid
    child.process.wait()
    child.file.close()
    find = lambda kind: next((e for e in admin.get(f"/events?kind={kind}&host={host['name']}")["items"]
                              if e["details"].get("pid") == pid), None)
    ended = wait_for("the exit", lambda: find("exit"), 15)
    assert ended["host_id"] == host["id"] and int(ended["process_id"]) > 0
    kinds = {e["kind"] for e in admin.get("/events?kind=exit")["items"]}
    assert kinds == {"exit"}
    late = admin.get(f"/events?from={rfc3339(before)}")["items"]
    assert ended["process_id"] in [e["process_id"] for e in late if e["kind"] == "exit"]
    assert admin.get("/events?from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z")["items"] == []
    gone = admin.get(f"/processes/{ended['process_id']}")
    assert gone["pid"] == pid and gone["alive"] is False and gone["rss_bytes"] is None
    one = admin.get(f"/hosts/{host['id']}/processes?limit=1")["items"][0]
    assert set(gone) == set(admin.get(f"/processes/{one['id']}"))
    assert admin.get(f"/processes/{ended['process_id']}/series")["points"]


def test_event_pages(admin):
    """New events come while one reads: the pages hold still below the time of the first."""
    for child in [subprocess.Popen(["sleep", "2.5"]) for _ in range(4)]:
        child.wait()
    time.sleep(3.5)  # a tick to see that they went, and what 'to' leaves out below
    to = rfc3339(time.time() - 2)
    whole = admin.get(f"/events?to={to}&limit=10000")["items"]
    paged = admin.pages(f"/events?to={to}", 3)
    assert len(whole) > 3 and paged == whole
    times = [e["time"] for e in whole]
    assert times == sorted(times, reverse=True)


# ---- alerts ----

def execute(stack, statement):
    with psycopg2.connect(host=str(stack.path("pg")), dbname="postgres", user="memherd") as c, c.cursor() as cursor:
        cursor.execute(statement)


def test_alerts(stack, admin, host, leak):
    alert = next(a for a in admin.get("/alerts?state=firing")["items"] if a["process_id"] == leak["id"])
    assert alert["rule"] == "big" and alert["level"] == "log" and alert["host"] == host["name"]
    assert alert["acked"] is None and alert["acked_by"] is None and alert["resolved"] is None
    status, _, acked = admin.post(f"/alerts/{alert['id']}/ack")
    assert status == 200 and acked["acked_by"] == "admin" and acked["acked"]
    other = token_client(stack, admin, "second", ["read", "act:trim"])
    status, _, again = other.post(f"/alerts/{alert['id']}/ack")
    assert status == 200 and again["acked_by"] == "admin" and again["acked"] == acked["acked"], "the first one stands"
    assert admin.get(f"/alerts/{alert['id']}")["acked"] == acked["acked"]
    rows = [r for r in audit(admin) if r["action"] == "alert.ack"]
    assert [(r["actor"], r["target"]) for r in rows] == [("admin", f"alert {alert['id']}")]
    assert admin.post("/alerts/999999/ack")[0] == 404 and admin.post("/alerts/x/ack")[0] == 400
    assert len([r for r in audit(admin) if r["action"] == "alert.ack"]) == 1, "what did not happen is not told"


def test_alert_pages(stack, admin):
    # More of them than one program makes: copies of the real one that are over.
    execute(stack, "INSERT INTO alert (key, rule, host_id, subject, proc_id, service, level, state, opened, resolved, title, doc)"
                 " SELECT 'old' || n, rule, host_id, subject, proc_id, service, level, 'resolved', opened, now(), title, doc"
                 " FROM alert, generate_series(1, 7) n WHERE rule = 'big' AND state = 'firing'")
    ids = [a["id"] for a in admin.pages("/alerts", 2)]
    assert len(ids) == len(set(ids)) >= 8 and ids == sorted(ids, key=int, reverse=True)
    assert {a["state"] for a in admin.get("/alerts?state=resolved")["items"]} == {"resolved"}


# ---- actions ----

def test_action_dry_run(stack, admin, host, leak):
    status, fields, action = admin.act(f"{host['name']}:{stack.leak.pid}", dry_run=True)
    assert status == 202 and fields["Location"] == f"/api/v1/actions/{action['id']}"
    assert action["dry_run"] and action["process_id"] == leak["id"] and action["actor"] == "admin"
    end = admin.ended(action["id"])
    assert end["state"] == "done" and end["dry_run"], end
    assert end["sent"] and end["done"] and end["reason"] == "a test"


def test_action_runs(stack, admin, host):
    status, _, action = admin.act(f"{host['id']}/python:api_leak.py")
    assert status == 202 and action["pid"] == stack.leak.pid
    end = admin.ended(action["id"])
    assert end["state"] in ("done", "ineffective"), end
    assert end["rss_before_bytes"] > 1 << 20
    assert end["freed_bytes"] == end["rss_before_bytes"] - end["rss_after_bytes"]
    assert 0 <= end["held_seconds"] < 5
    assert stack.leak.alive()


def test_action_refused_by_policy(stack, admin, host):
    status, _, action = admin.act(f"{host['name']}:{stack.programs['collector'].pid}")
    assert status == 202
    end = admin.ended(action["id"])
    assert end["state"] == "refused" and end["detail"], end


def test_breakers(stack, admin):
    assert admin.get("/breakers")["items"] == []
    execute(stack, "INSERT INTO breaker VALUES ('rule:big', 'trim', now(), now() + interval '1 hour', 3)")
    row, = admin.get("/breakers")["items"]
    assert (row["actor"], row["type"], row["open"], row["results"], row["closed"]) == ("rule:big", "trim", True, 3, None)
    assert admin.post("/breakers/rule:none/trim/close")[0] == 404
    status, _, closed = admin.post("/breakers/rule:big/trim/close")
    assert status == 200 and not closed["open"] and closed["closed_by"] == "admin"
    again = admin.post("/breakers/rule%3Abig/trim/close")[2]
    assert again["closed"] == closed["closed"]
    rows = [r for r in audit(admin) if r["action"] == "breaker.close"]
    assert [(r["actor"], r["details"]) for r in rows] == [("admin", {"actor": "rule:big", "action": "trim"})]


def test_action_on_what_is_being_acted_on(stack, admin, host):
    execute(stack, "INSERT INTO command (host_id, cmd_id, action, state, dry_run, proc_id, pid, actor, reason, counter, fence, expires,"
                 " body, signature) SELECT host_id, gen_random_uuid(), 'trim', 'sent', false, proc_id, pid, 'x', '', 0, 0,"
                 f" now() + interval '1 min', '', '' FROM process WHERE pid = {stack.leak.pid}")
    status, _, problem = admin.act(f"{host['name']}:{stack.leak.pid}")
    assert status == 409 and "another action is under way on this process" in problem["detail"]
    assert admin.act(f"{host['name']}:{stack.leak.pid}", dry_run=True)[0] == 202
    execute(stack, "DELETE FROM command WHERE actor = 'x'")


def test_action_idempotency(stack, admin, host):
    body = {"type": "trim", "target": f"{host['name']}:{stack.leak.pid}", "dry_run": True}
    assert admin.post("/actions", body)[0] == 400
    first = admin.post("/actions", body, Idempotency_Key="one")
    again = admin.post("/actions", body, Idempotency_Key="one")
    assert first[0] == again[0] == 202 and first[2]["id"] == again[2]["id"]
    assert admin.post("/actions", {**body, "reason": "other"}, Idempotency_Key="one")[0] == 422
    assert admin.post("/actions", body, Idempotency_Key="two")[2]["id"] != first[2]["id"]
    other = token_client(stack, admin, "keys", ["read", "act:trim"])
    assert other.post("/actions", body, Idempotency_Key="one")[2]["id"] != first[2]["id"], "keys are each caller's own"
    assert admin.post("/actions", body, Idempotency_Key="k" * 129)[0] == 400


@pytest.mark.parametrize("body, status, pointer", [
    ({"target": "nobody:1"}, 404, None),
    ({"target": "HOST:4194305"}, 404, None),
    ({"target": "HOST/no-such-service"}, 404, None),
    ({"target": "HOST:x"}, 404, None),
    ({"target": "HOST"}, 404, None),
    ({"target": 7}, 422, "/target"),
    ({}, 422, "/target"),
    ({"target": "HOST:PID", "type": "explode"}, 422, "/type"),
    ({"target": "HOST:PID", "dry_run": "yes"}, 422, "/dry_run"),
    ({"target": "HOST:PID", "params": {"pages": 1}}, 422, "/params"),
    ({"target": "HOST:PID", "reason": "a\nb"}, 422, "/reason"),
    ({"target": "HOST:PID", "reason": "r" * 5000}, 422, "/reason"),
    ({"target": "HOST:PID", "expires_at": "2020-01-01T00:00:00Z"}, 422, "/expires_at"),
    ({"target": "HOST:PID", "expires_at": "2099-01-01T00:00:00Z"}, 422, "/expires_at"),
    ({"target": "HOST:PID", "color": "red"}, 422, "/color"),
])
def test_action_wrong(stack, admin, host, body, status, pointer):
    body = json.loads(json.dumps({"type": "trim", **body}).replace("HOST", host["name"]).replace("PID", str(stack.leak.pid)))
    got, _, problem = admin.post("/actions", body, Idempotency_Key=str(uuid.uuid4()))
    assert got == status and problem["detail"], problem
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer


def test_action_params(stack, admin, host):
    body = {"type": "census", "target": f"{host['name']}:{stack.leak.pid}", "dry_run": True}
    status, _, action = admin.post("/actions", {**body, "params": {"method": "stopped"}}, Idempotency_Key="p1")
    assert status == 202 and action["params"] == {"method": "stopped"}
    assert admin.get(f"/actions/{action['id']}")["params"] == {"method": "stopped"}
    assert admin.post("/actions", {**body, "params": {"method": "live"}}, Idempotency_Key="p1")[0] == 422, "another request"
    status, _, action = admin.post("/actions", body, Idempotency_Key="p2")
    assert action["params"] == {"method": "fitting"}, "what was meant is told"
    for params, says in (({"method": "fast"}, "one of fitting|"), ({"method": 1}, "one of fitting|"), ({"n": 1}, "no parameter 'n'"), ([], "object")):
        status, _, problem = admin.post("/actions", {**body, "params": params}, Idempotency_Key=str(uuid.uuid4()))
        assert status == 422 and says in problem["detail"] and problem["errors"][0]["pointer"] == "/params", problem


def test_action_waits_for_a_second_person(stack, admin, host):
    """All the way: it waits unsigned, another token's word has it done, and both are named."""
    target = f"{host['name']}:{stack.leak.pid}"
    status, _, action = admin.act(target, type="gc-unfreeze")
    assert status == 202 and action["state"] == "waiting_approval" and f"memherd approve {action['id']}" in action["detail"]
    assert [a["id"] for a in admin.get("/actions?state=waiting_approval")["items"]] == [action["id"]]
    path = f"/actions/{action['id']}"
    assert admin.act(target, type="gc-unfreeze")[0] == 409, "once on a process"
    status, _, problem = admin.post(path + "/approve")
    assert status == 403 and "somebody else" in problem["detail"]
    reader = token_client(stack, admin, "onlooker", ["read", "act:restart"])
    for word in ("approve", "cancel"):
        status, _, problem = reader.post(f"{path}/{word}")
        assert status == 403 and "act:trim" in problem["detail"]
        assert reader.post(f"/actions/{uuid.uuid4()}/{word}")[0] == reader.post(f"/actions/x/{word}")[0] == 404
    second = token_client(stack, admin, "second", ["read", "act:trim"])
    status, _, approved = second.post(path + "/approve")
    assert status == 200 and approved["state"] in ("queued", "sent") and approved["approved_by"] == "token:second"
    assert second.post(path + "/approve")[0] == 409
    end = admin.ended(action["id"])
    assert end["state"] == "done" and end["approved"] and end["actor"] == "admin", end
    assert second.post(path + "/cancel")[0] == 409, "it is over"
    rows = [r for r in audit(admin) if r["details"].get("id") == action["id"]]
    assert [r["action"] for r in rows] == ["command.wait", "command.approve", "command.end"]
    assert [r["actor"] for r in rows[:2]] == ["admin", "token:second"]
    assert rows[1]["details"]["requested_by"] == "admin"
    assert admin.act(target, type="gc-unfreeze", dry_run=True)[2]["state"] != "waiting_approval"
    status, _, action = admin.act(target, type="restart")
    assert action["state"] == "waiting_approval"
    status, _, cancelled = admin.post(f"/actions/{action['id']}/cancel")
    assert status == 200 and cancelled["state"] == "cancelled" and cancelled["detail"] == "cancelled by admin"


def test_action_signed_by_an_operator(stack, admin, host):
    """All the way from the command line: the collector alone is refused, an operator's signature has it done, once."""
    key, target = stack.path("ann.pem"), f"{host['name']}:{stack.leak.pid}"
    env = {**os.environ, "MEMHERD_URL": f"http://127.0.0.1:{stack.http}", "MEMHERD_TOKEN": stack.token}

    def cli(*argv):
        return subprocess.run([BIN / "memherd", *argv], env=env, capture_output=True, text=True, timeout=60, check=False)

    stack.path("root/operators").mkdir(mode=0o755)
    stack.path("root/operators/ann.pub").write_text(cli("keygen", key).stdout)
    r = cli("gc-freeze", target, "--yes", "--wait")
    assert r.returncode == 3 and "wants an operator's signature" in r.stdout, r
    r = cli("gc-freeze", target, "--yes", "--wait", "--json", "--sign-key", key)
    action = json.loads(r.stdout)
    assert r.returncode == 0 and action["state"] == "done" and action["warrant"], r
    # its signature, kept by whoever has the database, is good for nothing else and not again
    (kept,), = stack.sql(f"SELECT encode(warrant, 'hex') FROM command WHERE cmd_id = '{action['id']}'")
    for change, says in (({}, "used for an action already"), ({"type": "gc", "params": {"generation": 1}}, "for another action"),
                         ({"target": f"{host['name']}:{stack.odd.pid}"}, "for another process"), ({"warrant": "00"}, "384 hex"),
                         ({"warrant": "0" * 384}, "does not begin with 'MHO1'")):
        status, _, problem = admin.act(**{"type": "gc-freeze", "target": target, "warrant": kept, **change})
        assert status == 422 and says in problem["detail"], problem
    assert any(r["details"].get("warrant_signed") for r in audit(admin) if r["action"] == "command.issue")


def test_action_gc(stack, admin, host):
    """All the way: REST, signature, agent, helper, the program itself, and back."""
    body = {"type": "gc", "target": f"{host['name']}:{stack.leak.pid}", "params": {"generation": 1}}
    status, _, action = admin.post("/actions", body, Idempotency_Key=str(uuid.uuid4()))
    assert status == 202 and action["params"] == {"generation": 1}
    end = admin.ended(action["id"])
    assert end["state"] in ("done", "ineffective") and end["detail"].startswith("gc.collect(1) found "), end
    assert stack.leak.alive()


def test_action_on_the_whole_host(stack, admin, host):
    """A dry run all the way: it has no process, and nothing that has one is taken for it."""
    status, _, action = admin.act(host["name"], type="drop-caches", dry_run=True)
    assert status == 202 and action["pid"] is None and action["process_id"] is None and action["params"] == {"kind": "pagecache"}
    end = admin.ended(action["id"])
    assert end["state"] == "done" and "It rarely helps" in end["detail"] and end["rss_before_bytes"] > 0, end
    assert any(r["target"] == host["name"] and r["details"].get("id") == action["id"] for r in audit(admin))
    for type, target, says in (("drop-caches", f"{host['name']}:{stack.leak.pid}", "drop-caches takes HOST"), ("drop-caches", "nobody", "no host"),
                               ("trim", host["name"], "no process")):
        status, _, problem = admin.act(target, type=type, dry_run=True)
        assert status == 404 and says in problem["detail"], problem
    reader = token_client(stack, admin, "trimmer", ["read", "act:trim"])
    status, _, problem = reader.act(host["name"], type="drop-caches", dry_run=True)
    assert status == 403 and "act:limit" in problem["detail"], problem


def test_action_pages(stack, admin, host):
    for _ in range(5):
        assert admin.act(f"{host['name']}:{stack.leak.pid}", dry_run=True)[0] == 202
    whole = admin.get("/actions?limit=10000")["items"]
    ids = [a["id"] for a in admin.pages("/actions", 2)]
    assert ids == [a["id"] for a in whole] and len(set(ids)) == len(ids) >= 5
    for a in whole:
        admin.ended(a["id"])
    assert {a["state"] for a in admin.get("/actions?state=done")["items"]} == {"done"}
    assert len(admin.get(f"/actions?host={host['name']}")["items"]) == len(whole)


# ---- maintenance ----

def stamp(seconds):
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_maintenance(stack, admin, host, leak):
    """Set by REST, it holds at once; what is under it is said; ended, it does not."""
    status, _, m = admin.post("/maintenance", {"host": host["name"][:-1] + "?", "until": stamp(3600), "reason": "new disks"})
    assert status == 201 and m["state"] == "holds" and m["service"] is None and m["created_by"] == "admin"
    assert m["covers_hosts"] == 1 and m["covers_processes"] > 3
    target = f"{host['name']}:{stack.leak.pid}"
    status, _, problem = admin.act(target)
    assert status == 403 and problem["detail"].startswith(f"maintenance {m['id']} holds until {m['until'][:19]}Z, set by admin: new disks")
    status, _, action = admin.act(target, dry_run=True)
    assert status == 202 and admin.ended(action["id"])["state"] == "done"
    listed = {x["id"]: x for x in admin.get("/maintenance?state=open")["items"]}
    assert listed[m["id"]]["state"] == "holds"
    planned = admin.post("/maintenance", {"host": host["id"], "service": "no-such-*", "from": stamp(3600), "until": stamp(7200), "reason": "later"})[2]
    assert planned["state"] == "planned" and planned["covers_processes"] == 0 and planned["service"] == "no-such-*"
    for x in (m, planned):
        assert admin.ask("DELETE", f"/maintenance/{x['id']}")[0] == 204
        assert admin.ask("DELETE", f"/maintenance/{x['id']}")[0] == 404
    assert admin.get("/maintenance?state=open")["items"] == []
    assert [x["state"] for x in admin.pages("/maintenance", 1)][:2] == ["ended", "ended"]
    assert admin.act(target)[0] == 202
    rows = [(r["action"], r["actor"]) for r in audit(admin) if r["target"] == f"maintenance {m['id']}"]
    assert rows == [("maintenance.set", "admin"), ("maintenance.end", "admin")]


@pytest.mark.parametrize("change, status, says", [
    ({"host": None}, 422, "'host' must be"), ({"host": "no-such-*"}, 422, "no host has the id 'no-such-*'"), ({"host": ""}, 422, "no host has"),
    ({"host": "x" * 256}, 422, "'host' must be"), ({"host": "a\nb"}, 422, "'host' must be"), ({"service": 1}, 422, "'service' must be"),
    ({"reason": None}, 422, "'reason' must be"), ({"reason": ""}, 422, "'reason' must say"), ({"reason": "x" * 201}, 422, "'reason' must be"),
    ({"until": None}, 422, "'until' must be"), ({"until": "soon"}, 422, "'until' must be a time"), ({"until": "now"}, 422, "must come after now"),
    ({"until": "-1h"}, 422, "must come after now"), ({"until": stamp(31 * 86400)}, 422, "30 days at most"),
    ({"from": "-1h"}, 422, "'from' lies in the past"), ({"from": stamp(92 * 86400), "until": stamp(93 * 86400)}, 422, "90 days ahead"),
    ({"from": stamp(7200)}, 422, "after 'from'"), ({"what": 1}, 422, "there is no member 'what'"),
])
def test_maintenance_wrong(admin, change, status, says):
    body = {"host": "*", "until": stamp(3600), "reason": "x", **change}
    answer = admin.post("/maintenance", {k: v for k, v in body.items() if v is not None})
    assert answer[0] == status and says in answer[2]["detail"], answer[2]


def test_maintenance_is_bounded_and_pages(stack, admin):
    assert admin.ask("GET", "/maintenance?state=over")[0] == 400
    assert admin.ask("DELETE", "/maintenance/x")[0] == 400
    execute(stack, "INSERT INTO maintenance (host, service, starts, until, reason, created, created_by) SELECT 'none', '', now() + interval"
                   " '1 day', now() + interval '2 days', 'filled', now(), 'test' FROM generate_series(1, 200)")
    try:
        status, _, problem = admin.post("/maintenance", {"host": "*", "until": stamp(60), "reason": "one more"})
        assert status == 409 and "as may be" in problem["detail"]
        ids = [int(x["id"]) for x in admin.pages("/maintenance?state=open", 70)]
        assert len(ids) == 200 and ids == sorted(ids, reverse=True)
    finally:
        execute(stack, "DELETE FROM maintenance WHERE reason = 'filled'")


# ---- tokens and scopes ----

def token_client(stack, admin, name, scopes, **members):
    status, _, token = admin.post("/tokens", {"name": name, "scopes": scopes, **members})
    assert status == 201 and token["token"].startswith("mht_") and token["scopes"] == sorted(token["scopes"], key=scopes.index)
    client = Client(stack, token["token"])
    client.id = token["id"]
    return client


ASKED = {
    "/hosts": ("GET", None, "read"),
    "/fleet": ("GET", None, "read"),
    "/store": ("GET", None, "read"),
    "/events": ("GET", None, "read"),
    "/alerts": ("GET", None, "read"),
    "/actions": ("GET", None, "read"),
    "/rules": ("GET", None, "read"),
    "/rules/check": ("POST", {"text": RULES}, "read"),
    "/actions ": ("POST", {"type": "trim", "target": "nobody:1"}, "act:trim"),
    "/alerts/999999/ack": ("POST", None, "act:trim rules:write"),
    "/audit/verify": ("GET", None, ""),
    "/breakers/rule:none/trim/close": ("POST", None, "rules:write"),
    "/maintenance": ("GET", None, "read"),
    "/maintenance ": ("POST", {"host": "*", "service": "none", "until": "2026-01-02T03:04:05Z", "reason": "x"}, "rules:write"),
    "/maintenance/999999": ("DELETE", None, "rules:write"),
    "/enroll-tokens": ("GET", None, "enroll"),
    "/enroll-tokens ": ("POST", {}, "enroll"),
    "/enroll-tokens/999999": ("DELETE", None, "enroll"),
    "/tokens": ("GET", None, ""),
    "/tokens/999999": ("DELETE", None, ""),
    "/audit": ("GET", None, ""),
    "/login-links": ("POST", None, ""),
}


@pytest.mark.parametrize("scope", ["read", "act:trim", "rules:write", "enroll", "admin"])
def test_scope(stack, admin, scope):
    client = token_client(stack, admin, f"only {scope}", [scope])
    for path, (method, body, needed) in ASKED.items():
        status, _, answer = client.ask(method, path.strip(), body, Idempotency_Key="scope")
        if scope == "admin" or scope in needed.split():
            assert status in (200, 201, 404, 422), (path, answer)
        else:
            assert status == 403 and "scope" in answer["detail"], (path, answer)


def test_token_life(stack, admin):
    client = token_client(stack, admin, "ops", ["read"])
    assert client.ask("GET", "/hosts")[0] == 200
    listed = next(t for t in admin.get("/tokens")["items"] if t["id"] == client.id)
    assert "token" not in listed and listed["created_by"] == "admin" and listed["revoked"] is None
    assert admin.ask("DELETE", f"/tokens/{client.id}")[0] == 204
    assert client.ask("GET", "/hosts")[0] == 401, "at once"
    assert admin.ask("DELETE", f"/tokens/{client.id}")[0] == 404
    assert next(t for t in admin.get("/tokens")["items"] if t["id"] == client.id)["revoked"]
    short = token_client(stack, admin, "short", ["read"], ttl_seconds=2)
    assert short.ask("GET", "/hosts")[0] == 200
    time.sleep(2.1)
    assert short.ask("GET", "/hosts")[0] == 401
    assert stack.sql("SELECT count(*) FROM api_token WHERE position(%s in hash::text || name) > 0", client.token) == [(0,)]
    mine = [(r["action"], r["target"]) for r in audit(admin) if r["target"] == f"token {client.id}"]
    assert mine == [("token.create", f"token {client.id}"), ("token.revoke", f"token {client.id}")]


@pytest.mark.parametrize("body, pointer", [
    ({"scopes": ["read"]}, "/name"), ({"name": "", "scopes": ["read"]}, "/name"), ({"name": "x" * 51, "scopes": ["read"]}, "/name"),
    ({"name": "x"}, "/scopes"), ({"name": "x", "scopes": []}, "/scopes"), ({"name": "x", "scopes": ["root"]}, "/scopes"),
    ({"name": "x", "scopes": "read"}, "/scopes"), ({"name": "x", "scopes": ["read"], "ttl_seconds": -1}, "/ttl_seconds"),
    ({"name": "x", "scopes": ["read"], "ttl_seconds": 1.5}, "/ttl_seconds"),
])
def test_token_wrong(admin, body, pointer):
    status, _, problem = admin.post("/tokens", body)
    assert status == 422 and problem["errors"][0]["pointer"] == pointer


def test_enroll_tokens(stack, admin):
    made = [admin.post("/enroll-tokens", {"uses": 2, "note": f"n{i}"})[2] for i in range(5)]
    assert all(t["uses_left"] == 2 and t["token"] for t in made)
    ids = [t["id"] for t in admin.pages("/enroll-tokens", 2)]
    assert len(ids) == len(set(ids)) and {t["id"] for t in made} <= set(ids)
    assert admin.ask("DELETE", f"/enroll-tokens/{made[0]['id']}")[0] == 204
    assert admin.ask("DELETE", f"/enroll-tokens/{made[0]['id']}")[0] == 404
    assert made[0]["id"] not in [t["id"] for t in admin.get("/enroll-tokens?limit=1000")["items"]]
    rows = [r["action"] for r in audit(admin) if r["target"] == f"enroll-token {made[0]['id']}"]
    assert rows == ["enroll_token.create", "enroll_token.revoke"]
    used = stack.sql("SELECT uses_left FROM enroll_token ORDER BY token_id LIMIT 1")
    assert used == [(0,)], "the one that the agent used is used up"
    for body, pointer in (({"uses": 0}, "/uses"), ({"ttl_seconds": 0}, "/ttl_seconds"), ({"note": 1}, "/note"), ({"x": 1}, "/x")):
        status, _, problem = admin.post("/enroll-tokens", body)
        assert status == 422 and problem["errors"][0]["pointer"] == pointer


# ---- audit ----

def audit(admin):
    return admin.pages("/audit", 100)


def netstring(text):
    data = text.encode()
    return b"%d:%s," % (len(data), data)


def test_audit_verify(stack, admin):
    first = admin.get("/audit/verify")
    assert first["ok"] and first["rows"] >= 1 and first["why"] is None and first["holds_head"] is None
    assert admin.get(f"/audit/verify?head={first['head']}")["holds_head"] is True
    lost = admin.get(f"/audit/verify?head={'0' * 64}")
    assert (lost["ok"], lost["holds_head"], lost["why"]) == (False, False, None)
    assert admin.ask("GET", "/audit/verify?head=xyz")[0] == 400
    # One row that was changed and is put back.
    row, actor = stack.sql("SELECT audit_id, actor FROM audit ORDER BY audit_id LIMIT 1")[0]
    execute(stack, f"UPDATE audit SET actor = 'somebody' WHERE audit_id = {row}")
    broken = admin.get("/audit/verify")
    assert not broken["ok"] and f"audit row {row} was changed after it was written" in broken["why"] and broken["rows"] == 0
    execute(stack, f"UPDATE audit SET actor = '{actor}' WHERE audit_id = {row}")
    assert admin.get("/audit/verify")["ok"]


def test_audit_chain(stack, admin):
    """SHA-256 as collector/store/store_audit.h tells it, computed from the database's own bytes."""
    rows = stack.sql("SELECT audit_id::text, (extract(epoch FROM ts) * 1000000)::int8::text, actor, action, target, doc::text, "
                     "encode(prev, 'hex'), encode(hash, 'hex') FROM audit ORDER BY audit.audit_id")
    head = "00" * 32
    for _, ts, actor, action, target, doc, prev, digest in rows:
        assert prev == head
        text = b"".join(map(netstring, (ts, actor, action, target, doc)))
        head = hashlib.sha256(bytes.fromhex(prev) + text).hexdigest()
        assert digest == head, (action, target)
    listed = admin.pages("/audit", 3)
    assert [(r["id"], r["previous_hash"], r["hash"]) for r in listed[:len(rows)]] == [(r[0], r[6], r[7]) for r in rows]
    assert {"token.create", "token.revoke", "enroll_token.create", "enroll_token.revoke", "alert.ack", "login_link.create",
            "command.issue", "command.end", "command.refuse", "maintenance.set", "maintenance.end"} <= {r[3] for r in rows}


# ---- metrics ----

SAMPLE = re.compile(r'(memherd_\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def metrics(stack):
    status, fields, data = stack.request("GET", "/metrics")
    assert status == 200 and fields["Content-Type"].startswith("text/plain; version=0.0.4")
    samples, types = {}, {}
    for line in data.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"{name} stands twice"
            types[name] = kind
        elif not line.startswith("# HELP "):
            m = SAMPLE.fullmatch(line)
            assert m, line
            assert m[1] in types, line
            labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))
            assert (m[1], labels) not in samples, line
            samples[m[1], labels] = float(m[3])
    return samples


def test_metrics(stack, admin, host):
    samples = metrics(stack)
    name = (("host", host["name"]),)
    assert samples["memherd_host_total_bytes", name] == host["total_bytes"]
    assert samples["memherd_host_up", name] == 1 and samples["memherd_database_up", ()] == 1
    assert samples["memherd_agents", (("state", "connected"),)] == 1
    assert abs(samples["memherd_host_available_bytes", name] - host["available_bytes"]) < 1 << 30
    assert samples["memherd_ingest_batches_total", ()] > 3
    leak = samples["memherd_service_rss_bytes", name + (("service", "python:api_leak.py"),)]
    assert leak > 1 << 20
    status, fields, data = stack.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert status == 200 and data.endswith(b"# EOF\n")
    assert stack.request("GET", "/metrics", token=False)[0] == 401


def test_hostile_service_name(stack, admin, host):
    """A program's name is anybody's text: in labels it is escaped, in JSON it is a string."""
    odd = process_of(admin, host, stack.odd)
    assert odd["service"].startswith("python:od\""), odd["service"]
    label = odd["service"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    samples = metrics(stack)
    figures = [v for (n, labels), v in samples.items()
               if n == "memherd_service_processes" and ("service", label) in labels]
    assert figures == [1], label
    found = admin.get(f"/hosts/{host['id']}/processes?service={urllib.parse.quote(odd['service'])}")["items"]
    assert [p["id"] for p in found] == [odd["id"]]
    assert admin.act(f"{host['name']}/{odd['service']}", dry_run=True)[0] == 202


# ---- browsers ----

class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def browse(stack, method, path, cookie=None, **headers):
    request = urllib.request.Request(stack.url(path), method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    if cookie:
        request.add_header("Cookie", cookie)
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=10) as r:
            return r.status, r.headers
    except urllib.error.HTTPError as e:
        return e.code, e.headers


def test_login(stack, admin):
    status, _, link = admin.post("/login-links")
    assert status == 201
    path = link["url"].split(str(stack.http), 1)[1]
    status, fields = browse(stack, "GET", path)
    assert status == 303 and fields["Location"] == "/"
    value, *flags = fields["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    assert browse(stack, "GET", path)[0] == 403, "once only"
    assert browse(stack, "GET", "/api/v1/hosts", value)[0] == 200
    origin = stack.url("")
    for headers in ({}, {"Origin": origin}, {"X_Memherd_Request": "1"}, {"Origin": "http://evil.example", "X_Memherd_Request": "1"},
                    {"Origin": "null", "X_Memherd_Request": "1"}, {"Origin": origin + "0", "X_Memherd_Request": "1"}):
        assert browse(stack, "POST", "/api/v1/login-links", value, **headers)[0] == 403, headers
    assert browse(stack, "POST", "/api/v1/login-links", value, Origin=origin, X_Memherd_Request="1")[0] == 201
    assert browse(stack, "POST", "/api/v1/logout", value, Origin=origin, X_Memherd_Request="1")[0] == 204
    assert browse(stack, "GET", "/api/v1/hosts", value)[0] == 401
    boss = token_client(stack, admin, "boss", ["admin"])
    links = [boss.post("/login-links")[2]["url"].split(str(stack.http), 1)[1] for _ in range(2)]
    value = browse(stack, "GET", links[0])[1]["Set-Cookie"].split("; ")[0]
    assert browse(stack, "GET", "/api/v1/hosts", value)[0] == 200
    assert admin.ask("DELETE", f"/tokens/{boss.id}")[0] == 204
    assert browse(stack, "GET", "/api/v1/hosts", value)[0] == 401, "a session ends with the token that opened it"
    assert browse(stack, "GET", links[1])[0] == 403
    rows = [r for r in audit(admin) if r["action"] == "login_link.create" and r["actor"] == "admin"]
    assert [r["details"]["address"] for r in rows] == ["127.0.0.1"] * 2, "one by token, one by that token's session"


# ---- the table, the description, the documentation ----

def table():
    text = (ROOT / "collector/api/routes.c").read_text()
    rows = re.findall(r'\{HTTP_(\w+),\s*(V1 )?"([^"]+)",\s*([\w |]+),', text)
    assert len(rows) > 30
    return [(method, ("/api/v1" if v1 else "") + path, scopes) for method, v1, path, scopes in rows]


def test_description_is_the_table():
    mine = {(m.lower(), p.removeprefix("/api/v1")) for m, p, _ in table() if p.startswith("/api/v1")}
    assert mine == {(m, p) for p, methods in OPENAPI["paths"].items() for m in methods}
    text = (ROOT / "docs/API.md").read_text()
    told = set(re.findall(r"^\| `(GET|POST|DELETE)` \| `(/[^`]*)` \|", text, re.M))
    assert told == {(m, p) for m, p, _ in table() if p != "/{file}"}


def test_public_routes(stack):
    for method, path, scopes in table():
        target = path.replace("{id}", "1").replace("{file}", "app.js")
        status = stack.request(method, target, token=False)[0]
        if scopes == "SCOPE_PUBLIC":
            assert status in (200, 403 if path == "/login" else 200), (method, path, status)
        else:
            assert status in (401, 429), (method, path, status)


def test_rules(admin):
    rules = admin.get("/rules")
    assert [r["name"] for r in rules["items"]] == ["big"]
    assert admin.post("/rules/check", {"text": RULES})[2] == {"ok": True, "error": None}
    status, _, answer = admin.post("/rules/check", {"text": RULES.replace("1MiB", "bananas")})
    assert status == 200 and not answer["ok"] and "bananas" in answer["error"]
    assert admin.post("/rules/check", {"text": 1})[0] == 422


# ---- a second host: enrolled, but it never called ----

def enroll(stack, folder, token):
    stack.write(folder + ".token", token + "\n", 0o600)
    conf = stack.path("agent.conf").read_text()
    for mine, its in (("agent", folder), ("root", folder + ".root")):  # its root helper trusts the second
        stack.path(its).mkdir()
        conf = conf.replace(f"= {stack.path(mine)}\n", f"= {stack.path(its)}\n")
    stack.write(folder + ".conf", conf)
    return subprocess.run([BIN / "memherd-agent", "enroll", "-c", stack.path(folder + ".conf"), "--token-file",
                           stack.path(folder + ".token")], capture_output=True, text=True, check=False)


def test_host_never_seen(stack, admin, host):
    token = admin.post("/enroll-tokens", {"uses": 1})[2]
    assert enroll(stack, "agent2", token["token"]).returncode == 0
    assert token["id"] not in [t["id"] for t in admin.get("/enroll-tokens?limit=1000")["items"]]
    again = enroll(stack, "agent3", token["token"])
    assert again.returncode != 0 and "token" in again.stderr, again.stderr
    gone = admin.post("/enroll-tokens", {})[2]
    assert admin.ask("DELETE", f"/enroll-tokens/{gone['id']}")[0] == 204
    assert enroll(stack, "agent4", gone["token"]).returncode != 0
    new = admin.get("/hosts")["items"][-1]
    assert new["id"] != host["id"] and new["name"] == host["name"] and new["connected"] is False
    for key in ("last_seen", "total_bytes", "available_bytes", "cpus", "kernel", "interval_seconds", "agent_version",
                "agent_rss_bytes", "agent_cpu_seconds", "culprit", "time_to_oom_seconds"):
        assert new[key] is None, key
    assert new["processes"] == 0 and admin.get(f"/hosts/{new['id']}")["spark"] == []
    assert admin.get(f"/hosts/{new['id']}/processes")["items"] == admin.get(f"/hosts/{new['id']}/services")["items"] == []
    assert admin.get(f"/hosts/{new['id']}/series")["points"] == []
    assert len(admin.pages("/hosts", 1)) == 2
    up = {labels: v for (n, labels), v in metrics(stack).items() if n == "memherd_host_up"}
    assert up == {(("host", host["name"]),): 1, (("host", f"{host['name']}#{new['id']}"),): 0}


# ---- when parts are away; last, since they disturb ----

def test_agent_away(stack, admin, host):
    """What was last known stays, and says that it is old."""
    stack.programs["agent"].stop()
    away = wait_for("the host to be away", lambda: (h := admin.get(f"/hosts/{host['id']}"))["connected"] is False and h, 20)
    assert away["total_bytes"] == host["total_bytes"] and away["processes"] > 3
    before = away["last_seen"]
    time.sleep(1.5)
    assert admin.get(f"/hosts/{host['id']}")["last_seen"] == before
    name = (("host", host["name"]),)
    assert metrics(stack)["memherd_host_up", name] == 0
    status, _, action = admin.act(f"{host['name']}:{stack.leak.pid}", dry_run=True)
    assert status == 202 and action["state"] == "queued" and action["sent"] is None
    stack.start_agent()
    wait_for("the host to be back", lambda: admin.get(f"/hosts/{host['id']}")["connected"], 20)
    assert admin.ended(action["id"])["state"] == "done", "what waited is done once the host is back"


def test_database_hangs_then_is_killed(stack, admin, host):
    data = stack.path("pg", "data") if stack.path("pg", "data").exists() else stack.path("pg")
    master = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    family = [master, *master.children(recursive=True)]
    ready = lambda: stack.request("GET", "/readyz", token=False)[0]
    assert ready() == 200
    for p in family:
        p.send_signal(signal.SIGSTOP)
    try:
        wait_for("/readyz to tell", lambda: ready() == 503, 5)
        away(stack, admin, host)
    finally:
        for p in family:
            p.send_signal(signal.SIGCONT)
    wait_for("/readyz to be back", lambda: ready() == 200, 20)
    assert admin.get("/events")["items"]
    for p in family:
        if p.is_running():
            p.send_signal(signal.SIGKILL)
    wait_for("/readyz to tell", lambda: ready() == 503, 5, step=0.02)
    wait_for("/readyz to be back", lambda: ready() == 200, 30)
    assert admin.get("/events")["items"]


def away(stack, admin, host):
    for path in ("/fleet", "/hosts", f"/hosts/{host['id']}", f"/hosts/{host['id']}/processes", f"/hosts/{host['id']}/services", "/rules"):
        assert admin.ask("GET", path)[0] == 200, path
    assert admin.get("/fleet")["database"] is False
    assert stack.request("GET", "/healthz", token=False)[0] == 200 and metrics(stack)["memherd_database_up", ()] == 0
    for method, path, body in (("GET", "/events", None), ("GET", "/alerts", None), ("GET", "/actions", None), ("GET", "/tokens", None),
                               ("GET", "/audit", None), ("GET", "/enroll-tokens", None), ("GET", "/processes/7", None),
                               ("POST", "/tokens", {"name": "x", "scopes": ["read"]}), ("POST", "/login-links", None),
                               ("POST", "/actions", {"type": "trim", "target": f"{host['name']}:{stack.leak.pid}"})):
        status, fields, problem = admin.ask(method, path, body, Idempotency_Key="away")
        assert status == 503 and int(fields["Retry-After"]) > 0 and "database" in problem["detail"], (path, status, problem)
