# SPDX-License-Identifier: Apache-2.0
"""What agents tell of Python processes, from their records through a real PostgreSQL to REST: censuses and what became of
their types, the collector's figures, what was told of it. Answers are held against collector/api/openapi.json."""
import os
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/integration")

from test_senses_store import Collector, Unmigrated  # noqa: E402

MASTER, WORKER = 10, 11
MIB = 1 << 20


@pytest.fixture(scope="module")
def pg():
    with Unmigrated() as server:
        yield server


@pytest.fixture(scope="module")
def c(pg, tmp_path_factory):
    collector = Collector(pg, str(tmp_path_factory.mktemp("census")))
    pg.query("INSERT INTO host (host_id, uuid, name) VALUES (1, gen_random_uuid(), 'web-1')")
    collector.p.stdin.write("python 7\n")
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def early(c):
    """A census that came before its process was known."""
    c.say(f"census {WORKER} 1")
    return True


@pytest.fixture(scope="module")
def pair(c, early):
    for i in range(90):  # 15 minutes; a keyframe more often than a window, as agents do
        c.say(f"{'tick' if i % 5 else 'keyframe'} {100000 + i * 1000}")
    return sorted(c.items("/hosts/1/processes"), key=lambda p: p["pid"])


def test_a_census_of_an_unknown_process_meets_it_later(c, pg, pair):
    census, = c.items(f"/processes/{pair[1]['id']}/census")
    assert (census["service"], census["comm"]) == ("shop", "gunicorn"), "joined by its id"
    assert pg.query("SELECT service FROM census") == [("",)], "not known when it came"
    assert (census["method"], census["reason"], census["version"]) == ("snapshot", "asked", "3.11.2")
    assert (census["objects"], census["objects_bytes"], census["types_total"]) == (14100, MIB + MIB + 900000, 400)
    assert (census["pause_seconds"], census["walk_seconds"], census["error_ratio"]) == (0.0075, 0.26, 0)
    assert census["parts"] == {"rss_bytes": 31 * MIB, "arenas": 3} and census["note"] is None and "types" not in census
    one = c.get(f"/censuses/{census['id']}")
    assert {k: v for k, v in one.items() if k != "types"} == census
    assert one["types"] == [{"name": "app.cache.Entry", "count": 100, "bytes": MIB}, {"name": "dict", "count": 5000, "bytes": MIB},
                            {"name": "function", "count": 9000, "bytes": 900000}]
    assert c.status("/censuses/77") == 404 and c.status("/censuses/x") == 400
    event, = c.items("/events?kind=census&from=-2h")
    assert event["process_id"] == pair[1]["id"] and event["details"]["census_id"] == census["id"]
    assert event["details"]["types"][0]["name"] == "app.cache.Entry"


def test_two_censuses_say_which_types_grew(c, pair):
    worker = pair[1]["id"]
    assert c.status(f"/censuses/{c.items(f'/processes/{worker}/census')[0]['id']}/diff") == 404, "there is none before"
    c.say(f"census {WORKER} 5")
    c.say(f"census {WORKER} 3")
    three, five, one = c.items(f"/processes/{worker}/census")
    assert three["time"] > five["time"] > one["time"]
    diff = c.get(f"/censuses/{five['id']}/diff")
    assert (diff["census"]["id"], diff["base"]["id"]) == (five["id"], one["id"])
    assert (diff["objects_growth"], diff["objects_bytes_growth"]) == (400, 4 * MIB)
    assert diff["types"][0] == {"name": "app.cache.Entry", "count": 500, "bytes": 5 * MIB, "count_growth": 400,
                                "bytes_growth": 4 * MIB, "known": True}
    assert [t["bytes_growth"] for t in diff["types"]] == [4 * MIB, 0, 0]
    back = c.get(f"/censuses/{three['id']}/diff?base={five['id']}&top=2")
    assert back["objects_bytes_growth"] == -2 * MIB and [t["name"] for t in back["types"]] == ["dict", "function"]
    assert c.get(f"/censuses/{three['id']}/diff?base={one['id']}")["span_seconds"] > 0
    assert c.status(f"/censuses/{three['id']}/diff?base=5") == 404


def test_only_like_is_compared_with_like(c, pg, pair):
    c.say(f"census {MASTER} 2")
    mine = c.items(f"/processes/{pair[0]['id']}/census")[0]["id"]
    other = c.items(f"/processes/{pair[1]['id']}/census")[0]["id"]
    assert c.get(f"/censuses/{mine}/diff?base={other}")["base"]["process_id"] == pair[1]["id"], "of one service"
    c.say("census 99 2")
    stranger, = pg.query("SELECT census_id FROM census WHERE pid = 99")[0]
    assert c.status(f"/censuses/{stranger}/diff?base={other}") == 422


def test_types_have_a_series(c, pair):
    types = c.get(f"/processes/{pair[1]['id']}/types?from=-3h&top=2")
    assert [t["name"] for t in types["items"]] == ["app.cache.Entry", "dict"]
    assert types["items"][0]["bytes"] == [MIB, 5 * MIB, 3 * MIB] and types["items"][0]["counts"] == [100, 500, 300]
    assert len(types["times"]) == len(types["objects_bytes"]) == 3 and types["times"] == sorted(types["times"])
    named = c.get(f"/processes/{pair[1]['id']}/types?from=-3h&name=function")
    assert [(t["name"], t["bytes"]) for t in named["items"]] == [("function", [900000] * 3)]
    assert c.get(f"/processes/{pair[1]['id']}/types?from=-3h&name=nobody")["items"] == []
    assert c.get(f"/processes/{pair[1]['id']}/types?from=-1min")["times"] == []


def test_what_grows_over_the_fleet(c, pair):
    growth, = c.items("/census/growth?from=-3h")
    assert (growth["service"], growth["name"], growth["hosts"], growth["processes"]) == ("shop", "app.cache.Entry", 1, 1)
    assert (growth["count_growth"], growth["bytes_growth"]) == (200, 2 * MIB) and growth["bytes_per_hour"] > 2 * MIB
    assert c.items("/census/growth?from=-3h&service=other") == [] and c.items("/census/growth?from=-1min") == []
    assert len(c.items("/census/growth?from=-3h&host=web-1")) == 1


def test_censuses_come_in_pages(c, pair):
    path = f"/processes/{pair[1]['id']}/census"
    every = c.items(path)
    page = c.get(path + "?limit=2")
    assert page["items"] == every[:2]
    assert c.items(f"{path}?limit=2&cursor={page['next_cursor']}") == every[2:]
    assert c.status(f"{path}?cursor=x") == 400


def test_names_are_kept_once(c, pg):
    before = pg.query("SELECT type_id, name, used FROM census_type ORDER BY 1")
    assert [n for _, n, _ in before] == ["app.cache.Entry", "dict", "function"]
    c.say(f"census {WORKER} 4")
    assert pg.query("SELECT type_id, name, used FROM census_type ORDER BY 1") == before
    sequence, = pg.query("SELECT last_value FROM census_type_type_id_seq")
    assert sequence[0] == 3, "names that are known take no numbers"
    pg.query("UPDATE census_type SET used = used - 400 WHERE name = 'dict'")
    c.say(f"census {WORKER} 4")
    assert pg.query("SELECT type_id, name, used FROM census_type ORDER BY 1") == before, "used again"


def test_the_collector_is_told(c, pair):
    c.say(f"gc-event {WORKER}")
    gc = c.get(f"/processes/{pair[1]['id']}/gc")
    assert (gc["version"], gc["state"], gc["enabled"], gc["frozen"]) == ("3.11.2", "readable", True, 0)
    assert [(g["count"], g["threshold"]) for g in gc["generations"]] == [(17, 700), (1, 10), (2, 10)]
    assert [g["collections"] for g in gc["generations"]] == [630, 63, 6]
    # 7 collections each 10 s
    assert gc["generations"][0]["collections_per_minute"] == pytest.approx(42)
    assert gc["collected_per_minute"] == pytest.approx(126) and gc["uncollectable"] == 0
    assert gc["time_seconds"] is None and gc["time_ratio"] is None
    event, = gc["events"]
    assert event["details"]["text"] == "automatic collection was turned off"
    assert c.status("/processes/77/gc") == 404


def test_a_verdict_names_what_grows(c, pair):
    worker = f"/processes/{pair[1]['id']}"
    c.say(f"census {WORKER} 30")
    verdict = c.get(worker)["verdict"]
    assert (verdict["kind"], verdict["leak"], verdict["confidence"]) == ("python_objects", True, "certain"), verdict
    newest = c.items(worker + "/census")[0]
    assert verdict["census_id"] == newest["id"] and verdict["base_census_id"] != newest["id"]
    assert verdict["types"] == [{"name": "app.cache.Entry", "count_growth": 2500, "bytes_growth": 25 * MIB}]
    assert "app.cache.Entry (+2500, +25 MiB)" in verdict["sentence"] and "/h" in verdict["sentence"]
    assert any(line.startswith("RSS +") for line in verdict["evidence"]) and verdict["advice"]
    master = c.get(f"/processes/{pair[0]['id']}")["verdict"]
    assert master["confidence"] == "guess" and "census" in master["advice"][-1], "one census is none"
    assert "verdict" not in c.items("/hosts/1/processes")[0]


def test_a_service_tells_how_its_lives_grow(c, pg, pair):
    end = time.monotonic() + 30
    while pg.query("SELECT count(DISTINCT t0) FROM rollups")[0][0] < 14:
        assert time.monotonic() < end, "no window was sealed"
        time.sleep(0.2)
    shop = c.get("/hosts/web-1/services/shop")
    trend = shop["trend"]
    assert (trend["shape"], trend["lives"], trend["restarts"]) == ("gradual", 2, 0), trend
    assert trend["bytes_per_hour"] == pytest.approx(500 * 1024 * 360, rel=0.05) and trend["r2"] > 0.95
    assert 885 < trend["span_seconds"] < 960 and trend["burst_time"] is None
    assert trend["driver"] == "unknown", "its load was even: nobody can tell"
    assert trend["sentence"].startswith("leaks 17") and "no restart" in trend["sentence"]
    assert shop["now"]["processes"] == 2 and shop["verdict_process_id"] in [p["id"] for p in pair]
    assert shop["verdict"]["sentence"]
    assert c.get("/hosts/1/services/shop?from=-1min")["trend"]["span_seconds"] < 880, "what memory has"
    assert c.status("/hosts/1/services/nobody") == 404 and c.status("/hosts/nobody/services/shop") == 404


def test_of_an_ended_process_its_censuses_are_left(c, pair):
    before = c.items(f"/processes/{pair[1]['id']}/census")
    c.say("gone")
    assert c.items(f"/processes/{pair[1]['id']}/census") == before
    gc = c.get(f"/processes/{pair[1]['id']}/gc")
    assert gc["version"] is None and gc["generations"][2]["collections"] is None and len(gc["events"]) == 1


def test_a_census_is_stored_once(c, pg, pair):
    assert pg.query("SELECT census_id FROM census GROUP BY 1 HAVING count(*) > 1") == []
    assert pg.query("SELECT max(pg_column_size(types) + pg_column_size(counts) + pg_column_size(sizes)) FROM census")[0][0] < 400
