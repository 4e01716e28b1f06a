# SPDX-License-Identifier: Apache-2.0
"""A second person's approval, against a real PostgreSQL: nothing is signed before it, and it counts once."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_command import Driver, audit, fields, finish, issue, pg, refused, server, wait_for  # noqa: E402,F401

WAITS = "waiting_approval"


@pytest.fixture
def d(pg, tmp_path):  # noqa: F811
    with Driver(pg, tmp_path, approve=(60, "restart", "limit")) as driver:
        yield driver


def tell(d, word, action, by):
    line = d.ask(f"{word} {action} {by}", "told")
    return fields(line), line


def state(pg, action):  # noqa: F811
    (row,), = pg.query(f"SELECT state FROM command WHERE cmd_id = '{action}'")
    return row


def test_it_waits_unsigned_and_goes_out_once_approved(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d, action="restart")
    assert (a["rc"], a["state"], a["counter"]) == ("0", WAITS, "0")
    assert pg.query("SELECT body, signature, approved, counter FROM command") == [(None, None, None, 0)]
    d.say("down 1")
    d.say("up 1")
    assert d.silent("send", 2.5), "neither a connection nor the timer sends what waits"
    assert tell(d, "approve", a["id"], "token:ops")[1] == \
        "told rc=-13 'token:ops' asked for it: somebody else has to approve it"
    assert state(pg, a["id"]) == WAITS
    d.say(f"approve {a['id']} token:boss")
    sent, told = fields(d.expect("send")), fields(d.expect("told"))
    assert (sent["id"], sent["signed"], sent["mine"], sent["actor"]) == (a["id"], "1", "1", "token:ops")
    assert (told["rc"], told["state"]) == ("0", "sent") and int(sent["counter"]) > 0
    assert pg.query("SELECT approved_by, approved > created, expires - approved FROM command")[0][:2] == ("token:boss", True)
    assert tell(d, "approve", a["id"], "token:third")[0]["rc"] == "-114", "approved twice"
    assert d.silent("send", 0.5)
    d.say(f"result 1 {a['id']} 1 10 5 ok")
    assert fields(d.expect("finished"))["state"] == "done"
    assert audit(pg) == ["command.wait", "command.approve", "command.end"]
    (actor, doc), = pg.query("SELECT actor, doc FROM audit WHERE action = 'command.approve'")
    assert (actor, doc["requested_by"], doc["approved_by"]) == ("token:boss", "token:ops", "token:boss")
    refused(pg, ("approve", "web-1:4001", "token:ops", "somebody else has to approve it"),
            ("approve", "web-1:4001", "token:third", "does not wait for approval"))
    assert d.ask("verify", "chain") == "chain ok rows=5"


def test_dry_runs_and_other_kinds_do_not_wait(d):
    d.say("up 1")
    assert issue(d, action="restart", dry=1)["state"] == "sent"
    assert issue(d, action="trim")["state"] == "sent"


def test_the_same_waits_once_and_a_key_is_one_action(d):
    first = issue(d, action="restart", key="k")
    again = issue(d, action="restart", key="k")
    assert (again["rc"], again["id"], again["state"]) == ("1", first["id"], WAITS)
    assert d.ask("issue 1 100 restart 0 - 1 0", "issued") == \
        "issued rc=-16 the same waits for approval on this process already"
    assert issue(d, action="trim")["state"] == "queued", "something else may be done meanwhile"


def test_what_is_under_way_holds_an_approval_up(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d, action="restart")
    trim = issue(d, action="trim")
    assert tell(d, "approve", a["id"], "token:boss")[1] == "told rc=-16 another action is under way on this process"
    assert state(pg, a["id"]) == WAITS
    finish(d, trim)
    assert tell(d, "approve", a["id"], "token:boss")[0]["state"] == "sent"


def test_a_process_that_ended_is_not_acted_on(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d, action="restart")
    d.say("forget 1 100")
    d.say("sample 1 101 4001 1000 -")  # the same pid, another process
    assert tell(d, "approve", a["id"], "token:boss")[1].startswith("told rc=-3 no process 100 lives on host 'web-1'")
    assert state(pg, a["id"]) == WAITS and d.silent("send", 0.3)


def test_the_kill_switch_stops_approvals(pg, d):  # noqa: F811
    a = issue(d, action="restart")
    d.ask("remediation 0\nverify", "chain")
    assert tell(d, "approve", a["id"], "token:boss")[0]["rc"] == "-1"
    assert tell(d, "cancel", a["id"], "token:boss")[0]["state"] == "cancelled"
    assert audit(pg) == ["command.wait", "command.cancel"]
    refused(pg, ("approve", "web-1:4001", "token:boss", "remediation is switched off"))


def test_one_that_nobody_approves_expires(pg, tmp_path):  # noqa: F811
    with Driver(pg, tmp_path, approve=(1, "restart")) as d:
        d.say("up 1")
        a = issue(d, action="restart")
        end = fields(d.expect("finished"))
        assert (end["id"], end["state"]) == (a["id"], "expired")
        assert pg.query("SELECT detail FROM command") == [("nobody approved it in time",)]
        assert tell(d, "approve", a["id"], "token:boss")[1] == \
            "told rc=-114 the action does not wait for approval: it is expired"
        assert audit(pg) == ["command.wait", "command.expire"]


def test_cancelled_is_never_sent(pg, d):  # noqa: F811
    waiting, queued = issue(d, action="restart"), issue(d, 2, 200)
    assert queued["state"] == "queued"
    assert tell(d, "cancel", waiting["id"], "token:ops")[0]["state"] == "cancelled", "who asked may"
    wait_for(lambda: tell(d, "cancel", queued["id"], "token:boss")[0].get("state") == "cancelled", 10)
    d.say("up 1")
    d.say("up 2")
    assert d.silent("send", 2.5)
    assert tell(d, "approve", waiting["id"], "token:boss")[0]["rc"] == "-114"
    assert tell(d, "cancel", waiting["id"], "token:boss")[0]["rc"] == "-2", "once"
    assert pg.query("SELECT DISTINCT state FROM command") == [("cancelled",)]
    assert audit(pg)[2:] == ["command.cancel"] * 2
    why = "SELECT doc->>'why' FROM audit WHERE doc->>'what' = 'cancel' AND target = 'web-1:4001'"
    wait_for(lambda: pg.query(why) == [("the action is on its way, or over",)])


def test_what_is_on_its_way_is_not_called_back(pg, d):  # noqa: F811
    d.say("up 1")
    a = issue(d)
    wait_for(lambda: pg.query("SELECT sent < now() - interval '1.5 s' FROM command") == [(True,)])
    assert tell(d, "cancel", a["id"], "token:boss")[0]["rc"] == "-2"
    assert state(pg, a["id"]) == "sent"


def test_a_rule_marks_its_action(pg, d):  # noqa: F811
    d.say("up 1")
    a = fields(d.ask("ask rule:leak 1 100 trim approve", "issued"))
    assert a["state"] == WAITS
    assert fields(d.ask("ask rule:leak 2 200 trim", "issued"))["state"] == "queued"
    assert tell(d, "approve", a["id"], "token:ops")[0]["state"] == "sent"


def test_caps_and_the_canary_hold_for_what_is_approved(pg, tmp_path):  # noqa: F811
    with Driver(pg, tmp_path, limits="0,2,0,3600,0,0", approve=(60, "restart")) as d:
        d.say("up 1")
        d.say("up 2")
        one = fields(d.ask("ask rule:leak 1 100 restart", "issued"))
        two = fields(d.ask("ask rule:leak 2 200 restart", "issued"))
        assert (one["state"], two["state"]) == (WAITS, WAITS), "what waits uses nothing up"
        assert tell(d, "approve", one["id"], "token:ops")[0]["state"] == "sent"
        assert "has no verdict yet" in tell(d, "approve", two["id"], "token:ops")[1]
        three = issue(d, 2, 200, action="trim")
        assert three["state"] == "sent"
        four = fields(d.ask("ask rule:other 2 200 restart", "issued"))
        assert four["rc"] == "-16", "the same waits already"
        d.say(f"result 2 {three['id']} 1 10 5 ok")
        d.expect("finished")
        assert "action_max_per_hour" in tell(d, "approve", two["id"], "token:ops")[1]
        assert state(pg, two["id"]) == WAITS


def test_two_collectors_and_two_people_at_one_moment_act_once(pg, tmp_path):  # noqa: F811
    (tmp_path / "b").mkdir()
    with Driver(pg, tmp_path, approve=(60, "restart")) as a:
        os.link(tmp_path / "command.key", tmp_path / "b" / "command.key")
        with Driver(pg, tmp_path / "b", approve=(60, "restart")) as b:
            for host, proc in ((1, 100), (2, 200)) * 5:
                a.say(f"up {host}")
                b.say(f"up {host}")
                c = issue(a, host, proc, action="restart")
                for n in range(3):
                    a.say(f"approve {c['id']} token:a{n}")
                    b.say(f"approve {c['id']} token:b{n}")
                told = [fields(x.expect("told")) for x in (a, b) for _ in range(3)]
                assert sorted(t["rc"] for t in told).count("0") == 1, told
                assert {t["rc"] for t in told} <= {"0", "-2", "-114"}
                # the other one may take it over from the table, with the same id: a host runs an id once
                (counter, body), = pg.query(f"SELECT counter, body FROM command WHERE cmd_id = '{c['id']}'")
                assert counter > 0 and len(body) == 256
                a.say(f"result {host} {c['id']} 1 10 5 ok")
                a.expect("finished")
    rows = pg.query("SELECT doc->>'id', count(*) FROM audit WHERE action = 'command.approve' GROUP BY 1")
    assert len(rows) == 10 and {n for _, n in rows} == {1}


def test_who_cancels_and_who_approves_at_one_moment(pg, d):  # noqa: F811
    d.say("up 1")
    for _ in range(5):
        c = issue(d, action="restart")
        d.say(f"approve {c['id']} token:boss")
        d.say(f"cancel {c['id']} token:ops")
        told = [fields(d.expect("told")) for _ in range(2)]
        assert [t["rc"] for t in told].count("0") == 1, told
        if state(pg, c["id"]) != "cancelled":
            finish(d, c)
