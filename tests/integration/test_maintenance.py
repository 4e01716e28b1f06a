# SPDX-License-Identifier: Apache-2.0
"""Maintenance on the collector: nothing is done to what it covers, against a real PostgreSQL."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_command import Driver, audit, fields, issue, pg, server, wait_for  # noqa: E402,F401


@pytest.fixture
def d(pg, tmp_path):  # noqa: F811
    pg.query("TRUNCATE maintenance RESTART IDENTITY")
    pg.query("TRUNCATE process")
    with Driver(pg, tmp_path, approve=(600, "restart")) as driver:
        yield driver
    pg.query("TRUNCATE maintenance RESTART IDENTITY")
    pg.query("TRUNCATE process")


def declare(pg, host, service="", starts="-1 min", until="1 hour"):  # noqa: F811
    (row,), = pg.query("INSERT INTO maintenance (host, service, starts, until, reason, created, created_by) VALUES"
                       " (%s, %s, now() + %s::interval, now() + %s::interval, 'new disks', now(), 'token:boss')"
                       " RETURNING maintenance_id", host, service, starts, until)
    return row


def end(pg):  # noqa: F811
    pg.query("UPDATE maintenance SET ended = now(), ended_by = 'token:boss'")


def ask(d, host=1, proc=100, action="trim", dry=0, actor=None):
    if actor:
        return d.ask(f"ask {actor} {host} {proc} {action}", "issued")
    return d.ask(f"issue {host} {proc} {action} {dry} - 1 0", "issued")


@pytest.mark.parametrize("actor", [None, "rule:leak"])
def test_who_asks_is_told_which_until_when_and_whose(pg, d, actor):  # noqa: F811
    d.say("up 1")
    n = declare(pg, "web-1")
    (until,), = pg.query("SELECT to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM maintenance")
    assert ask(d, actor=actor) == f"issued rc=-1 maintenance {n} holds until {until}, set by token:boss: new disks"
    assert pg.query("SELECT count(*) FROM command") == [(0,)]
    assert fields(ask(d, 2, 200, actor=actor))["state"] == "queued", "another host"
    end(pg)
    assert fields(ask(d, actor=actor))["state"] == "sent"


def test_dry_runs_are_let_through(pg, d):  # noqa: F811
    d.say("up 1")
    declare(pg, "*")
    assert fields(ask(d, dry=1))["state"] == "sent"


COVERS = [
    ("1", "", True), ("*", "", True), ("web-*", "", True), ("web-?", "", True), ("w*1", "", True), ("web-1", "*", True),
    ("2", "", False), ("web", "", False), ("web-", "", False), ("web-??", "", False), ("WEB-1", "", False), ("10", "", False),
    ("web_1", "", False), ("web%", "", False), ("%", "", False), ("[w]eb-1", "", False), ("web\\-1", "", False),
    ("1", "shop*", True), ("1", "shop_web", True), ("1", "shop?web", True), ("1", "shop", False), ("1", "*api*", False),
    ("2", "shop_web", False), ("1", "shop%", False), ("1", "shopXweb", False),
]


def test_what_it_covers(pg, d):  # noqa: F811
    """The same for what is asked for and for what waits to be sent."""
    d.say("sample 1 101 4101 1000 shop_web")
    pg.query("INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup, service,"
             " first_seen) VALUES (1, 101, gen_random_uuid(), 4101, 77, 1, 0, 'python', '', '', '', 'shop_web', now())")
    for host, service, covered in COVERS:
        pg.query("TRUNCATE maintenance, command")
        declare(pg, host, service)
        told = ask(d, 1, 101)
        assert ("maintenance" in told) == covered, (host, service, told)
        assert pg.query("SELECT mh_held_back(1, 101, false, now()), mh_held_back(1, 101, true, now())") == [(covered, False)]


def test_a_process_of_an_unknown_service_is_covered_by_any(pg, d):  # noqa: F811
    declare(pg, "1", "shop")
    assert pg.query("SELECT mh_held_back(1, 999, false, now()), mh_held_back(2, 999, false, now())") == [(True, False)]


def test_what_is_done_to_a_whole_host_waits_for_each_part_of_it(pg, d):  # noqa: F811
    declare(pg, "web-1", "nobody-has-this")
    assert "maintenance" in ask(d, 1, 0, "drop-caches")
    assert fields(ask(d))["rc"] == "0", "a process of another service"
    assert fields(ask(d, 2, 0, "drop-caches"))["rc"] == "0", "another host"


@pytest.mark.parametrize("starts,until,holds", [("1 min", "1 hour", False), ("-1 hour", "-1 min", False), ("-1 hour", "1 min", True)])
def test_it_holds_between_its_times(pg, d, starts, until, holds):  # noqa: F811
    declare(pg, "*", "", starts, until)
    assert ("maintenance" in ask(d)) == holds


def test_the_one_that_lasts_longest_is_told(pg, d):  # noqa: F811
    declare(pg, "*", until="2 min")
    long = declare(pg, "web-1", until="3 hours")
    declare(pg, "1", until="1 hour")
    assert f"maintenance {long} holds" in ask(d)


def test_what_waits_for_approval_goes_on_waiting(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d, action="restart")
    assert a["state"] == "waiting_approval"
    n = declare(pg, "*")
    assert d.ask(f"approve {a['id']} token:boss", "told").startswith(f"told rc=-1 maintenance {n} holds until")
    assert pg.query("SELECT state, body FROM command") == [("waiting_approval", None)]
    end(pg)
    assert fields(d.ask(f"approve {a['id']} token:boss", "told"))["state"] == "sent"


def test_what_is_queued_is_held_back_and_goes_out_afterwards(pg, d):  # noqa: F811
    a = issue(d)
    dry = issue(d, dry=1)
    assert a["state"] == dry["state"] == "queued"
    declare(pg, "*")
    d.say("up 1")
    assert fields(d.expect("send"))["id"] == dry["id"], "what changes nothing goes out"
    assert d.silent("send", 2.5), "neither a connection nor the timer sends it"
    assert pg.query("SELECT state FROM command WHERE NOT dry_run") == [("queued",)]
    end(pg)
    assert fields(d.expect("send"))["id"] == a["id"]


def test_what_was_sent_and_may_not_have_arrived_is_not_sent_again(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d)
    assert fields(d.expect("send"))["id"] == a["id"] if a["state"] != "sent" else True
    wait_for(lambda: pg.query("SELECT sent IS NOT NULL FROM command") == [(True,)])
    d.say("down 1")
    declare(pg, "1")
    d.say("up 1")
    assert d.silent("send", 1.5)
    d.say("down 1")
    end(pg)
    d.say("up 1")
    assert fields(d.expect("send"))["id"] == a["id"]


def test_one_that_is_held_back_too_long_expires_and_says_so(pg, d):  # noqa: F811
    a = issue(d, expires=3)
    assert a["state"] == "queued"
    declare(pg, "*")
    d.say("up 1")
    ended = d.expect("finished")
    assert fields(ended)["state"] == "expired" and ended.endswith("detail=maintenance held it back until its time was over")
    assert audit(pg) == ["command.issue", "command.expire"]
    assert d.silent("send", 0.5)


def test_each_collector_obeys_it(pg, d, tmp_path):  # noqa: F811
    (tmp_path / "b").mkdir()
    os.link(tmp_path / "command.key", tmp_path / "b" / "command.key")
    a = issue(d)
    declare(pg, "web-*")
    with Driver(pg, tmp_path / "b") as other:
        other.say("up 1")
        assert "maintenance" in ask(other)
        assert other.silent("send", 2.5) and d.silent("send", 0)
        end(pg)
        assert fields(other.expect("send"))["id"] == a["id"]
