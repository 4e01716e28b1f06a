# SPDX-License-Identifier: Apache-2.0
"""What hosts tell of their journals, held against each other by dispatch, against a real PostgreSQL."""
import os
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_command import Driver, audit, issue, pg, server, wait_for  # noqa: E402,F401

CHANGED = ("journal of host|1", "journal", "firing", "the journal of actions on web-1 was changed")


@pytest.fixture
def d(pg, tmp_path):  # noqa: F811
    pg.query("TRUNCATE host_journal")
    with Driver(pg, tmp_path) as driver:
        driver.say("up 1")
        yield driver


def act(d, last, records, before, head):
    c = issue(d)
    assert c["rc"] == "0"
    d.say(f"chain 1 {c['id']} {last} {records} {before} {head}")
    d.expect("finished")
    return c["id"]


def runs(pg):  # noqa: F811
    return pg.query("SELECT chain, first, last FROM host_journal WHERE host_id = 1 ORDER BY chain, last")


def state(pg):  # noqa: F811
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sql/queries/journal_state.sql")) as f:
        return pg.query(f.read().replace("%", "%%").replace("$1", "%s"), 10)


def test_runs_that_fit_say_nothing(pg, d):  # noqa: F811
    act(d, 2, 2, 0, 2)
    act(d, 3, 1, 2, 3)
    cid = act(d, 5, 2, 3, 5)
    d.say(f"chain 1 {cid} 5 2 3 5")  # the same again
    wait_for(lambda: runs(pg) == [(1, 1, 2), (1, 3, 3), (1, 4, 5)])
    d.silent("broken", 0.5)
    assert audit(pg) == ["command.issue", "command.end"] * 3
    assert pg.query("SELECT doc -> 'journal' -> 'last' FROM audit WHERE action = 'command.end' ORDER BY audit_id") == [
        (2,), (3,), (5,)]
    (row,) = state(pg)
    assert (row[1], row[2], row[4], row[5], row[6]) == ("web-1", 5, 0, 0, "")
    assert d.ask("verify", "chain") == "chain ok rows=6"


def test_the_order_in_which_they_come_is_all_the_same(pg, d):  # noqa: F811
    act(d, 2, 2, 0, 2)
    act(d, 7, 2, 5, 7)
    wait_for(lambda: len(runs(pg)) == 2)
    assert state(pg)[0][4] == 3, "three records nothing has told of"
    d.say(f"told 1 by_hand 5 2 3 5 {uuid.uuid4()} gave back")
    wait_for(lambda: len(runs(pg)) == 3)
    assert state(pg)[0][4] == 1
    d.say(f"told 1 cut_short 3 1 2 3 {uuid.uuid4()} interrupted")
    wait_for(lambda: len(runs(pg)) == 4)
    assert state(pg)[0][4] == 0
    d.silent("broken", 0.5)
    assert audit(pg)[-2:] == ["host.action", "host.cut_short"]
    actor, target, doc = pg.query("SELECT actor, target, doc FROM audit WHERE action = 'host.action'")[0]
    assert (actor, target) == ("root by hand", "web-1:77")
    assert (doc["action"], doc["status"], doc["detail"], doc["dry_run"]) == ("limit", "done", "gave back", False)
    assert doc["journal"]["last"] == 5


@pytest.mark.parametrize("run,why", [
    ((4, 2, 2, 9), "it went back: record 3 is another one than was told on "),
    ((3, 1, 2, 9), "it went back: record 3 is another one than was told on "),
    ((1, 1, 0, 9), "it went back: record 1 is another one than was told on "),
    ((9, 2, 8, 9), "record 8 does not follow record 7 as it was told on "),
    ((5, 1, 4, 9), "record 6, told before, does not follow record 5"),
])
def test_a_journal_that_goes_back_or_another_way_is_told(pg, d, run, why):  # noqa: F811
    act(d, 2, 2, 0, 2)
    act(d, 4, 2, 2, 4)
    act(d, 7, 2, 5, 7)
    wait_for(lambda: len(runs(pg)) == 3)
    act(d, *run)
    assert d.expect("broken").startswith("broken host=web-1 " + why)
    assert audit(pg)[-1] == "journal.broken"
    target, said = pg.query("SELECT target, doc ->> 'why' FROM audit WHERE action = 'journal.broken'")[0]
    assert target == "web-1" and said.startswith(why)
    assert pg.query("SELECT key, rule, state, title FROM alert") == [CHANGED]
    assert state(pg)[0][5] == 1 and state(pg)[0][6] == said
    # from there on it is a chain of its own, and what fits it says nothing
    n = run[0]
    act(d, n + 1, 1, run[3], 10)
    wait_for(lambda: runs(pg)[-1] == (2, n + 1, n + 1))
    d.silent("broken", 0.5)
    assert d.ask("verify", "chain").startswith("chain ok")
    # the alert ends with the first that fits a day later
    pg.query("UPDATE alert SET opened = opened - interval '25 hours'")
    act(d, n + 2, 1, 10, 11)
    wait_for(lambda: pg.query("SELECT state FROM alert") == [("resolved",)])


def test_an_action_that_only_the_host_knows_is_told(pg, d):  # noqa: F811
    cid = uuid.uuid4()
    d.say(f"chain 1 {cid} 2 2 0 2")
    wait_for(lambda: audit(pg) == ["journal.unknown"])
    assert pg.query("SELECT doc ->> 'id' FROM audit") == [(str(cid),)]


def test_what_became_of_an_action_is_added_to_it_once(pg, d):  # noqa: F811
    cid = act(d, 2, 2, 0, 2)
    for _ in range(2):
        d.say(f"told 1 note 3 1 2 3 {cid} taken back after 12 s: throttled")
    wait_for(lambda: "host.note" in audit(pg))
    d.say(f"told 2 note 3 1 2 3 {cid} of another host")
    wait_for(lambda: audit(pg).count("host.note") == 2)
    assert pg.query("SELECT detail FROM command") == [("taken back after 12 s: throttled",)]


@pytest.mark.parametrize("line", [
    "told 1 result 3 1 2 3 {id} x", "told 1 note -3 1 2 3 {id} x", "told 1 note 3 9 2 3 {id} x", "told 1 note x 1 2 3 {id} x",
    "told 1 note 1 2 2 3 {id} x", "told 1 note 3 0 2 3 {id} x", "told 1 note 3 1 2 3 nonsense x",
    "told 1 note 9223372036854775808 1 2 3 {id} x"])
def test_what_makes_no_sense_is_left_out(pg, d, line):  # noqa: F811
    d.say(line.format(id=uuid.uuid4()))
    cid = act(d, 2, 2, 0, 2)
    wait_for(lambda: runs(pg) == [(1, 1, 2)])
    assert audit(pg) == ["command.issue", "command.end"] and cid


@pytest.mark.parametrize("change,ours", [
    ("", True),
    ("params = jsonb_set(params, '{kind}', '\"high\"')", False),
    ("params = jsonb_set(params, '{bytes}', '1048576')", False),
    ("params = jsonb_set(params, '{for}', '60')", False),
    ("state = 'refused'", False),
    ("dry_run = true", False),
    ("created = now() + interval '1 hour'", False),
    ("host_id = 2", False),
    ("proc_id = 12", False),
])
def test_a_kill_at_a_limit_of_ours_says_so(pg, d, change, ours):  # noqa: F811
    act(d, 2, 2, 0, 2)
    pg.query("UPDATE command SET action = 'limit', params = '{\"kind\": \"max\", \"bytes\": 209719000, \"for\": 600}',"
             " created = now() - interval '2 min', done = now() - interval '2 min'")
    if change:
        pg.query("UPDATE command SET " + change)
    ((said, cid),) = pg.query("SELECT mh_own_limit(1, '/x', 209719000 / 4096 * 4096, 100, now()), cmd_id::text FROM command")
    assert said == (f"; the limit was set by memherd action {cid}, asked for by token:ops" if ours else "")
    # of the whole host's memory nobody set a limit
    assert pg.query("SELECT mh_own_limit(1, '', NULL, 100, now())") == [("",)]
