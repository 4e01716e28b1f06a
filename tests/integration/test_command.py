# SPDX-License-Identifier: Apache-2.0
"""Dispatch, its audit chain and the alert table against a real PostgreSQL."""
import os
import queue
import re
import sys
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/support")

from driver import LineDriver  # noqa: E402
from pg_private import Postgres  # noqa: E402

MIB = 1 << 20


def wait_for(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


class Driver(LineDriver):
    def __init__(self, pg, folder, stages="5,60,600", limits="0,0,0,0,0,0", approve=()):
        super().__init__("command", [pg.conninfo, f"{folder}/command.key", stages, limits, *map(str, approve)], f"{folder}/driver.log")
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        end = time.monotonic() + 10
        while "chain ok" not in self.ask("verify", "chain"):
            assert time.monotonic() < end
            time.sleep(0.05)

    def read(self):
        for line in self.p.stdout:
            self.lines.put(line.rstrip("\n"))

    def expect(self, start, seconds=15):
        """The next line that begins so; lines before it are other news."""
        end = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            if line.startswith(start):
                return line

    def silent(self, start, seconds=1.0):
        time.sleep(seconds)
        while not self.lines.empty():
            assert not self.lines.get().startswith(start)
        return True

    def ask(self, line, start):
        self.say(line)
        return self.expect(start)

    def rows(self, line):
        self.say(line)
        rows = []
        while (answer := self.lines.get(timeout=10)) != "end":
            rows.append(fields(answer))
        return rows


def fields(line):
    return dict(w.split("=", 1) for w in line.split() if "=" in w)


@pytest.fixture(scope="module")
def server():
    with Postgres() as p:
        p.query("INSERT INTO host (host_id, uuid, name) VALUES (1, gen_random_uuid(), 'web-1'), (2, gen_random_uuid(), 'web-2')")
        yield p


@pytest.fixture
def pg(server):
    server.query("TRUNCATE command, audit, alert")
    return server


@pytest.fixture
def d(pg, tmp_path):
    with Driver(pg, tmp_path) as driver:
        yield driver


def finish(d, c):
    d.say(f"result 1 {c['id']} 1 10 5 ok")
    assert d.expect("finished")


def issue(d, host=1, proc=100, action="trim", dry=0, key="-", digest=1, expires=0):
    return fields(d.ask(f"issue {host} {proc} {action} {dry} {key} {digest} {expires}", "issued"))


def audit(pg):
    """What was done; what was refused is refused()."""
    return [r[0] for r in pg.query("SELECT action FROM audit WHERE action <> 'command.refuse' ORDER BY audit_id")]


def refused(pg, *expected):
    """Each is told once, a moment after its answer: what, of what, by whom, and a part of why."""
    def rows():
        return pg.query("SELECT doc->>'what', target, actor, doc->>'why' FROM audit WHERE action = 'command.refuse' ORDER BY audit_id")

    wait_for(lambda: len(rows()) >= len(expected))
    told = rows()
    assert [r[:3] for r in told] == [e[:3] for e in expected], told
    assert all(e[3] in r[3] for r, e in zip(told, expected)), told


def test_a_command_goes_out_signed_and_its_result_is_kept(pg, d):
    d.say("up 1")
    d.say("issue 1 100 trim 0 - 1 0")
    sent = fields(d.expect("send"))
    issued = fields(d.expect("issued"))
    assert issued["rc"] == "0" and issued["state"] == "sent" and issued["id"] == sent["id"]
    assert (sent["signed"], sent["mine"], sent["pid"], sent["ticks"]) == ("1", "1", "4001", "77")
    assert (sent["fence"], sent["action"], sent["dry_run"], sent["actor"]) == ("1", "trim", "0", "token:ops")
    assert d.ask(f"result 1 {sent['id']} 1 {500 * MIB} {300 * MIB} gave back", "result").startswith("result rc=0")
    end = fields(d.expect("finished"))
    assert (end["state"], end["before"], end["after"], end["host"]) == ("done", str(500 * MIB), str(300 * MIB), "web-1")
    row = pg.query("SELECT state, rss_before, rss_after, swap_before, held_us, detail, reason FROM command")
    assert row == [("done", 500 * MIB, 300 * MIB, None, 150, "gave back", "a\\x0atest")]
    wait_for(lambda: pg.query("SELECT sent <= done FROM command") == [(True,)])
    assert audit(pg) == ["command.issue", "command.end"]
    assert d.ask("verify", "chain") == "chain ok rows=2"


@pytest.mark.parametrize("status,before,after,state", [
    (1, 1000, 949, "done"), (1, 1000, 950, "ineffective"), (1, 1000, 1200, "ineffective"), (1, -1, -1, "done"),
    (2, 1000, -1, "done"), (3, -1, -1, "refused"), (4, 1000, 1000, "failed"), (5, -1, -1, "unknown"), (6, -1, -1, "failed")])
def test_each_result_leads_to_its_state(pg, d, status, before, after, state):
    d.say("up 1")
    c = issue(d)
    d.say(f"result 1 {c['id']} {status} {before} {after} why")
    assert fields(d.expect("finished"))["state"] == state
    assert pg.query("SELECT state FROM command") == [(state,)]


def test_counters_rise_over_restarts(pg, tmp_path):
    seen = []
    for _ in range(2):
        with Driver(pg, tmp_path) as d:
            d.say("up 1")
            seen += [int(issue(d, dry=1)["counter"]) for _ in range(3)]
    assert seen == sorted(set(seen))


def test_a_command_waits_for_its_host_and_is_sent_again(pg, d):
    first, second = issue(d), issue(d, dry=1)
    assert first["state"] == "queued" and d.silent("send", 0.3)
    d.say("up 1")
    assert [fields(d.expect("send"))["id"] for _ in range(2)] == [first["id"], second["id"]]
    d.say("down 1")
    d.say("up 1")
    assert [fields(d.expect("send"))["id"] for _ in range(2)] == [first["id"], second["id"]]
    d.say(f"result 1 {first['id']} 1 10 5 ok")
    d.expect("finished")
    d.say("down 1")
    d.say("up 1")
    assert fields(d.expect("send"))["id"] == second["id"]
    assert d.silent("send", 0.3)


def test_one_key_is_one_action(pg, d):
    first = issue(d, key="k1", digest=1)
    again = issue(d, key="k1", digest=1)
    assert (first["rc"], again["rc"]) == ("0", "1") and first["id"] == again["id"]
    line = d.ask("issue 1 100 trim 0 k1 2 0", "issued")
    assert line == "issued rc=-17 this idempotency key was used for another request"
    assert issue(d, key="k2", digest=2, dry=1)["rc"] == "0"
    for _ in range(6):
        d.say("issue 2 200 trim 0 same 1 0")
    ids = {fields(d.expect("issued"))["id"] for _ in range(6)}
    assert len(ids) == 1, "also when they come at once"
    assert pg.query("SELECT count(*) FROM command")[0][0] == 3
    assert audit(pg) == ["command.issue"] * 3
    refused(pg, ("issue", "web-1:4001", "token:ops", "was used for another request"))


def test_one_process_has_one_action_at_a_time(pg, d):
    busy = "issued rc=-16 another action is under way on this process"
    d.say("up 1")
    first = issue(d, key="k")
    assert first["rc"] == "0"
    assert d.ask("issue 1 100 trim 0 - 1 0", "issued") == busy
    assert issue(d, key="k")["rc"] == "1", "the same request has the same answer"
    assert issue(d, dry=1)["rc"] == "0", "a dry run changes nothing"
    assert issue(d, host=2, proc=200)["rc"] == "0", "another process is free"
    finish(d, first)
    second = issue(d)
    assert second["rc"] == "0"
    finish(d, second)
    # also when they come at once
    for _ in range(4):
        d.say("issue 1 100 trim 0 - 1 0")
    answers = [d.expect("issued") for _ in range(4)]
    assert answers.count(busy) == 3
    assert audit(pg).count("command.issue") == 5
    assert d.ask("verify", "chain").startswith("chain ok")


@pytest.mark.parametrize("change,rc,says,target", [
    (dict(host=9), -2, "unknown host 9", "host 9, process 100"), (dict(proc=101), -3, "no process 101 lives on host 'web-1'", "web-1, process 101"),
    (dict(action="format"), -22, "unknown action 'format'", "web-1:4001"), (dict(expires=-5), -22, "expired already", "web-1:4001"),
    (dict(expires=700), -22, "within 10 min", "web-1:4001"), (dict(key="k" * 129), -22, "idempotency key", "web-1:4001")])
def test_a_bad_request_is_named_and_leaves_no_command(pg, d, change, rc, says, target):
    r = dict(host=1, proc=100, action="trim", dry=0, key="-", digest=1, expires=0) | change
    line = d.ask(f"issue {r['host']} {r['proc']} {r['action']} {r['dry']} {r['key']} {r['digest']} {r['expires']}", "issued")
    assert line.startswith(f"issued rc={rc} ") and says in line
    assert pg.query("SELECT count(*) FROM command") == [(0,)] and audit(pg) == []
    refused(pg, ("issue", target, "token:ops", says))


def words():
    with open(os.path.join(ROOT, "proto/command.h")) as f:
        return re.findall(r'X\(\w+, \d+, "([\w-]+)"\)', f.read())


@pytest.mark.parametrize("word", words())
def test_the_kill_switch_stops_each_action(pg, d, word):
    """Of people and of rules, dry runs too; nothing is stored, so nothing can be sent later."""
    d.say("up 1")
    d.say("remediation 0")
    off = "issued rc=-1 remediation is switched off on this collector"
    for line in (f"issue 1 100 {word} 0 - 1 0", f"issue 1 100 {word} 1 - 1 0", f"ask rule:leak 1 100 {word}"):
        assert d.ask(line, "issued") == off, line
    assert pg.query("SELECT count(*) FROM command") == [(0,)]
    d.say("remediation 1")
    assert d.silent("send", 0.2)


def test_the_kill_switch_stops_new_and_waiting_ones(pg, d):
    assert issue(d)["state"] == "queued"
    d.say("remediation 0")
    assert issue(d)["rc"] == "-1"
    d.say("up 1")
    assert d.silent("send", 0.5)
    d.say("remediation 1")
    assert d.expect("send")


def test_a_command_that_nobody_fetches_expires(pg, d):
    c = issue(d, expires=1)
    end = fields(d.expect("finished"))
    assert (end["id"], end["state"]) == (c["id"], "expired")
    assert audit(pg) == ["command.issue", "command.expire"]
    d.say("up 1")
    assert d.silent("send", 0.5)
    # the host had run it all the same, and says so late: that is the truth
    d.say(f"result 1 {c['id']} 1 10 5 late")
    assert fields(d.expect("finished"))["state"] == "done"
    assert d.ask("verify", "chain") == "chain ok rows=3"


def test_only_the_host_itself_ends_its_command_and_only_once(pg, d):
    d.say("up 1")
    c = issue(d)
    d.say(f"result 2 {c['id']} 1 10 5 forged")
    assert d.silent("finished", 0.5)
    d.say(f"result 1 {c['id']} 1 10 5 real")
    assert d.expect("finished")
    d.say(f"result 1 {c['id']} 4 10 10 twice")
    assert d.silent("finished", 0.5)
    assert pg.query("SELECT state, detail FROM command") == [("done", "real")]


def test_garbage_is_no_result(d):
    for n in (0, 1, 511, 512, 513):
        assert d.ask(f"garbage 1 {n}", "result").startswith("result rc=-74")


def test_a_result_survives_a_database_that_is_away(pg, d):
    d.say("up 1")
    c = issue(d)
    pg.stop()
    try:
        time.sleep(0.3)
        assert issue(d)["rc"] == "-107"
        assert d.ask(f"result 1 {c['id']} 1 1000 500 kept", "result").startswith("result rc=0")
    finally:
        pg.start()
    assert fields(d.expect("finished", 20))["state"] == "done"
    assert pg.query("SELECT state, detail FROM command") == [("done", "kept")]


@pytest.mark.parametrize("edit,says", [
    ("UPDATE audit SET actor = 'nobody' WHERE audit_id = %s", "was changed after it was written"),
    ("UPDATE audit SET doc = jsonb_set(doc, '{pid}', '1') WHERE audit_id = %s", "was changed after it was written"),
    ("UPDATE audit SET ts = ts + interval '1 microsecond' WHERE audit_id = %s", "was changed after it was written"),
    ("DELETE FROM audit WHERE audit_id = %s", "does not follow the row before it")])
def test_the_audit_chain_detects_an_edit(pg, d, edit, says):
    for _ in range(3):
        issue(d, dry=1)
    assert d.ask("verify", "chain") == "chain ok rows=3"
    second = pg.query("SELECT audit_id FROM audit ORDER BY audit_id OFFSET 1 LIMIT 1")[0][0]
    pg.query(edit, second)
    assert says in d.ask("verify", "chain")


def test_an_alert_opens_once_rises_and_resolves(pg, d):
    a = d.rows("open leak/python mail 5")[0]
    assert (a["state"], a["first"], a["host"], a["doc"]) == ("firing", "5", "web-1", '{"a":')
    assert d.rows("open leak/python mail 6")[0]["id"] == a["id"]
    b = d.rows(f"update {a['id']} trim 9")[0]
    assert (b["level"], b["first"], b["peak"], b["last"]) == ("trim", "5", "9", "9")
    assert d.rows(f"ack {a['id']} ops")[0]["acked_by"] == "ops"
    assert d.rows(f"ack {a['id']} late")[0]["acked_by"] == "ops"
    assert d.rows(f"resolve {a['id']} 2")[0]["resolved"] == "2"
    assert d.rows(f"update {a['id']} trim 9") == [] and d.rows(f"resolve {a['id']} 3") == []
    other = d.rows("open leak/python mail 7")[0]
    assert other["id"] != a["id"]
    assert [r["id"] for r in d.rows("list - 0 10")] == [other["id"], a["id"]]
    assert [r["id"] for r in d.rows("list firing 0 10")] == [other["id"]]
    assert [r["id"] for r in d.rows(f"list - {other['id']} 10")] == [a["id"]]
    assert len(d.rows("list - 0 1")) == 1
    assert d.rows("ack 999999 ops") == []
