# SPDX-License-Identifier: Apache-2.0
"""What agents tell of cgroups, kills, ends and their hosts, from their records through a real PostgreSQL to REST.
Answers are held against collector/api/openapi.json."""
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/support")
sys.path.insert(0, f"{ROOT}/tests/integration")

from pg_private import Postgres  # noqa: E402
from test_api_live import described, judge  # noqa: E402

DRIVER = os.path.join(ROOT, os.environ.get("B", "build/release-gcc"), "drivers/senses")
SHOP = 512 << 20  # limit of the cgroup /shop
WINDOW = 60  # seconds, of the driver's store


class Unmigrated(Postgres):
    """The store migrates it."""

    MIGRATED = False


class Collector:
    """The driver: ingest, store and REST in one, fed by lines."""

    def __init__(self, pg, folder):
        self.log = open(f"{folder}/driver.log", "a+")
        self.p = subprocess.Popen([DRIVER, pg.conninfo, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=self.log, text=True, bufsize=1)
        self.port = int(self.expect("port")[0])
        with open(f"{folder}/admin.token") as f:
            self.token = f.read().strip()

    def expect(self, word):
        line = self.p.stdout.readline().split()
        self.log.seek(0)
        assert line and line[0] == word, (line, self.log.read())
        return line[1:]

    def say(self, line):
        """Kills told so far, once the line's record is stored."""
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return int(self.expect("stored")[2])

    def text(self, path, **headers):
        headers["Authorization"] = f"Bearer {self.token}"
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers),
                                    timeout=10) as r:
            return r.read().decode()

    def get(self, path):
        answer = json.loads(self.text("/api/v1" + path))
        operation = described("GET", path.split("?")[0])
        judge(answer, operation["responses"]["200"]["content"]["application/json"]["schema"], path)
        return answer

    def items(self, path):
        return self.get(path)["items"]

    def status(self, path):
        try:
            self.text("/api/v1" + path)
        except urllib.error.HTTPError as e:
            return e.code
        return 200

    def close(self):
        self.p.stdin.close()
        assert self.p.wait(timeout=20) == 0
        self.log.seek(0)
        assert "Sanitizer" not in self.log.read()


@pytest.fixture(scope="module")
def pg():
    with Unmigrated() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("senses"))


@pytest.fixture(scope="module")
def first(pg, folder):
    """A collector to which everything was told, kills more than once."""
    c = Collector(pg, folder)
    pg.query("INSERT INTO host (host_id, uuid, name) VALUES (1, gen_random_uuid(), 'web-1')")
    for i in range(30):  # a keyframe more often than a window, as agents do
        c.say(f"{'tick' if i % 5 else 'keyframe'} {1000 + i * 100}")
    yield c
    c.close()


@pytest.fixture
def c(first):
    return first


def test_a_process_tells_its_limit_and_place(c):
    master, worker = sorted(c.items("/hosts/1/processes"), key=lambda p: p["pid"])
    group, = c.items("/hosts/1/cgroups")
    assert (worker["role"], worker["slot"], worker["container"]) == ("worker", 1, "shop-1")
    assert (master["role"], master["slot"]) == ("master", None)
    assert worker["cgroup_id"] == group["id"]
    assert worker["limit_bytes"] == group["limit_bytes"] == SHOP
    assert worker["limited_by"] == "/shop" and worker["ended"] is None


def test_a_service_is_the_sum_of_its_processes(c):
    service, = c.items("/hosts/1/services")
    master = min(c.items("/hosts/1/processes"), key=lambda p: p["pid"])
    assert service["processes"] == 2 and service["workers"] == 1
    assert service["main_process_id"] == master["id"]
    assert service["pss_bytes"] == 2 * master["pss_bytes"] and service["rss_bytes"] == 2 * master["rss_bytes"]
    assert service["limit_bytes"] == SHOP and service["limited_by"] == "/shop" and service["containers"] == ["shop-1"]


def test_a_cgroup_has_figures_and_a_series(c):
    group, = c.items("/hosts/web-1/cgroups?runtime=docker")
    assert c.items("/hosts/web-1/cgroups?runtime=podman") == []
    assert (group["path"], group["name"], group["image"], group["no_limit"]) == ("/shop", "shop-1", "shop:1", False)
    assert group["working_set_bytes"] == 3900 * 1024 and group["high_bytes"] is None
    series = c.get(f"/hosts/1/cgroups/{group['id']}/series")
    assert series["metric"] == "working_set" and series["unit"] == "bytes"
    assert [v for _, v in series["points"]] == [(1000 + i * 100) * 1024 for i in range(30)]
    assert c.status(f"/hosts/1/cgroups/{group['id']}/series?metric=rss") == 400


def test_a_kill_that_is_told_twice_is_stored_once(c, pg):
    told = c.say("kill 5 1 1")
    assert c.say("kill 5 1 1") == told, "it was told once"
    before, = c.items("/oom-events")
    assert before["replayed"] and before["verdict"] == "found in the log"
    assert c.say("kill 5 1 0") == told
    kill, = c.items("/oom-events")
    assert kill["id"] == before["id"] and not kill["replayed"] and kill["verdict"] == "seen as it happened"
    assert c.say("kill 5 0 0") == told, "and never gets worse"
    assert c.items("/oom-events") == [kill]
    assert pg.query("SELECT count(*) FROM event WHERE kind = 'oom_kill'") == [(1,)]
    event, = c.items("/events?kind=oom_kill&from=-2h")
    assert event["details"]["kill_id"] == kill["id"] and event["process_id"] == kill["process_id"]
    assert kill["grower"] == "shop" and before["grower"] is None
    assert kill["cause"] == "kernel_memcg" and kill["oom"] and kill["limit_bytes"] == SHOP
    assert (kill["service"], kill["container"], kill["limit_owner"]) == ("shop", "shop-1", "shop-1")


def test_kills_are_found_by_what_they_are(c):
    c.say("kill 6 1 0")
    every = c.items("/oom-events")
    assert len(every) == 2
    for query, n in {"host=web-1": 2, "service=shop": 2, "service=other": 0, "cause=kernel_memcg": 2,
                     "cause=earlyoom": 0, "from=-1min": 0, "to=-2h": 0}.items():
        assert len(c.items(f"/oom-events?{query}")) == n, query
    page = c.get("/oom-events?limit=1")
    assert page["items"] == every[:1]
    assert c.items(f"/oom-events?limit=1&cursor={page['next_cursor']}") == every[1:]
    assert c.status("/oom-events?cause=bad-luck") == 400
    assert c.status("/oom-events?cursor=1.2") == 400
    assert c.status("/oom-events/77") == 404


def test_a_dossier_says_what_was_around_it(c, pg):
    kill = c.items("/oom-events")[0]
    pg.query("INSERT INTO alert (key, rule, host_id, subject, level, state, opened, title, doc) VALUES "
             "('k', 'big', 1, 'host', 'mail', 'firing', now() - interval '2 days', 'web-1 big', '{}'), "
             "('l', 'big', 1, 'host', 'mail', 'resolved', now(), 'later', '{}')")
    pg.query("INSERT INTO command (host_id, cmd_id, action, state, dry_run, proc_id, pid, actor, reason, counter, fence, "
             "created, expires, body, signature) VALUES (1, gen_random_uuid(), 'trim', 'done', false, %s, 11, 'rule:big', "
             "'why', 1, 1, %s::timestamptz - interval '5 min', now(), '', '')", kill["process_id"], kill["time"])
    one = c.get(f"/oom-events/{kill['id']}")
    assert {k: v for k, v in one.items() if k in kill} == kill
    dossier = one["dossier"]
    assert dossier["victim"]["cmdline"] == "gunicorn shop:app" and dossier["trigger"] is None
    assert dossier["victim"]["role"] == "worker" and dossier["victim"]["last_sample"]["rss_bytes"] == 1950 * 1024
    assert dossier["growers"][0]["grown_10m_bytes"] == 4096 * 1024 and dossier["figures"]["failcnt"] == 3
    assert [t["pid"] for t in dossier["tasks"]] == [11, 10] and dossier["advice"] == ["raise the limit"]
    assert one["process"]["cmdline"] == "gunicorn shop:app"
    action, = one["recent"]["actions"]
    assert (action["type"], action["service"], action["reason"]) == ("trim", "shop", "why")
    assert [a["title"] for a in one["recent"]["alerts"]] == ["web-1 big"]
    for path in one["memory_before"].values():
        assert len(c.get(path)["points"]) > 20, path


def test_an_end_is_told_of_its_process(c):
    worker = max(c.items("/hosts/1/processes"), key=lambda p: p["pid"])
    c.say("gone")
    assert c.get(f"/processes/{worker['id']}")["ended"] is None
    c.say("death")
    ended = c.get(f"/processes/{worker['id']}")
    assert ended["ended"] == {"cause": "kernel_memcg", "confidence": "certain", "signal": 9, "exit_code": None,
                              "verdict": "the kernel ended it at its limit"}
    assert not ended["alive"] and (ended["role"], ended["slot"], ended["container"]) == ("worker", 1, "shop-1")
    for kind in "exit", "death":
        event, = c.items(f"/events?kind={kind}&from=-2h")
        assert event["verdict"] == "the kernel ended it at its limit" and event["process_id"] == worker["id"]


def test_a_posture_is_its_hosts(c, pg):
    assert c.get("/hosts/1")["posture"] is None
    for code in "no_swap", "no_swap", "no_psi":
        c.say(f"posture {code}")
    assert [f["code"] for f in c.get("/hosts/1")["posture"]["findings"]] == ["no_psi"]
    assert pg.query("SELECT count(*) FROM posture") == [(2,)]
    host = c.get("/hosts/1")
    assert 0 < host["pressure"]["some_ratio"] < 1 and host["oom_kills"] > 0 and host["sense_rss_bytes"] > 0


def test_metrics_are_well_formed(c):
    text = c.text("/metrics")
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'memherd_\w+(\{[^}]*\})? \S+', line), line
    samples = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))


def test_everything_survives_a_restart(first, pg, folder):
    group, = first.items("/hosts/1/cgroups")
    series = f"/hosts/1/cgroups/{group['id']}/series?from=-2h"
    points = first.get(series)["points"]
    end = time.monotonic() + 30
    while pg.query("SELECT count(*) FROM host_chunk WHERE kind = 2") < [(3,)]:
        assert time.monotonic() < end, "no window was sealed"
        time.sleep(0.2)
    assert first.get(series)["points"] == points, "from chunks and memory together"
    kills = first.items("/oom-events")
    if time.time() % WINDOW > WINDOW - 20:
        time.sleep(21)  # what is in memory only must still be so at the restart
    first.p.stdin.write("now\n")
    first.say("keyframe 7777")
    points = first.get(series)["points"]
    group, = first.items("/hosts/1/cgroups")
    first.p.stdin.close()
    assert first.p.wait(timeout=20) == 0
    first.__init__(pg, folder)
    assert first.get(series)["points"] == points
    assert first.items("/oom-events") == kills
    assert [f["code"] for f in first.get("/hosts/1")["posture"]["findings"]] == ["no_psi"]
    again, = first.items("/hosts/1/cgroups")
    assert again["working_set_bytes"] == 7777 * 1024
    of_memory = {"first_seen", "growth_bytes_per_hour"}  # told from what is read back
    assert {k: v for k, v in again.items() if k not in of_memory} == {k: v for k, v in group.items() if k not in of_memory}
    assert first.say("kill 5 1 0") == 0, "an agent that lost track tells it again: no news"
    assert first.items("/oom-events") == kills
