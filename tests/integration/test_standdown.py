# SPDX-License-Identifier: Apache-2.0
"""What holds rules back from a fleet, against a real PostgreSQL: caps that no instant of the audit log exceeds
while a hundred hosts leak, a canary, a cooldown, and a breaker for what gives nothing."""
import os
import queue
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_command import MIB, Driver, fields, issue, pg, server, wait_for  # noqa: E402,F401

HOSTS = 100
SLOW = "5,60,600"
FAST = "1,1,1"


@pytest.fixture
def fleet(pg):  # noqa: F811
    pg.query("TRUNCATE breaker, process")
    pg.query(f"INSERT INTO host (host_id, uuid, name) SELECT n, gen_random_uuid(), 'web-' || n FROM generate_series(3, {HOSTS}) n"
             " ON CONFLICT DO NOTHING")
    yield pg


def service(pg, name="web.service", hosts=HOSTS):  # noqa: F811
    pg.query("INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup, service,"
             " first_seen) SELECT n, n * 100, gen_random_uuid(), 4000 + n, 77, 1, 0, 'python', '', '', '', %s, now()"
             " FROM generate_series(1, %s) n", name, hosts)


class Fleet:
    """A hundred hosts that leak: their rule asks for each until it was acted on, and results come a while later."""

    def __init__(self, d, actor="rule:leak", action="trim"):
        self.d, self.actor, self.action = d, actor, action
        self.todo = set(range(1, HOSTS + 1))
        self.flying = {}  # id -> (host, when its answer comes)
        self.refused = {}
        self.left = {}  # host -> MiB that it has since it was acted on
        self.d.say(f"hosts {HOSTS}")
        self.d.expect("hosts ok")

    def ask_all(self, most=HOSTS):
        order = sorted(self.todo)[:most]
        for h in order:
            self.d.say(f"ask {self.actor} {h} {h * 100} {self.action}")
        for h in order:  # answers come in the order of their transactions, which is that of asking
            line = self.d.expect("issued")
            f = fields(line)
            if f["rc"] == "0":
                host = int(f["host"].split("-")[1])
                self.flying[f["id"]] = (host, time.monotonic() + 0.2 + (host % 7) * 0.1)
                self.todo.discard(host)
            else:
                why = line.split(" ", 2)[2]
                self.refused[why.split("(")[-1].rstrip(")") if "(" in why else why.split(" for ")[0]] = True

    def land(self, after=300):
        now = time.monotonic()
        for cid, (host, when) in list(self.flying.items()):
            if when <= now:
                self.d.say(f"result {host} {cid} 1 {500 * MIB} {after * MIB} ok")
                self.left[host] = after
                del self.flying[cid]

    def fly(self, after=300):
        while self.flying:
            self.land(after)
            time.sleep(0.05)

    def judged(self, start="verdict"):
        """Agents go on to sample until the line comes."""
        for _ in range(50):
            for host, mib in self.left.items():
                self.d.say(f"sample {host} {host * 100} {4000 + host} {mib << 10} -")
            try:
                return self.d.expect(start, 0.3)
            except queue.Empty:
                continue
        raise AssertionError(f"no {start}")


def audited(pg):  # noqa: F811
    """(time, +1 issued / -1 ended) of every action, as the audit log has it."""
    return pg.query("SELECT extract(epoch FROM ts)::float8, CASE action WHEN 'command.issue' THEN 1 ELSE -1 END FROM audit"
                    " WHERE action IN ('command.issue', 'command.end', 'command.expire') ORDER BY audit_id")


def most_at_once(events):
    most = running = 0
    for _, step in events:
        running += step
        most = max(most, running)
    return most


def test_a_hundred_leaking_hosts_never_exceed_the_caps(fleet, tmp_path):
    with Driver(fleet, tmp_path, SLOW, "5,40,0,0,0,60") as d:
        f = Fleet(d)
        end = time.monotonic() + 12
        while time.monotonic() < end and HOSTS - len(f.todo) < 40:
            f.ask_all(most=30)
            f.land()
            time.sleep(0.05)
        f.fly()
        wait_for(lambda: fleet.query("SELECT count(*) FROM command WHERE state = 'done'") == [(40,)])
        f.ask_all(most=30)
        events = audited(fleet)
        assert most_at_once(events) == 5, "the cap is reached and never exceeded"
        assert sum(step > 0 for _, step in events) == 40 and len(f.todo) == 60, "and so is that of an hour"
        assert set(f.refused) == {"action_max_running", "action_max_per_hour"}
        # people are bound by it as well; what changes nothing is not
        line = d.ask("issue 1 100 trim 0 - 1 0", "issued")
        assert line.startswith("issued rc=-122 40 actions were asked for in the last hour")
        assert issue(d, dry=1)["rc"] == "0"
        assert issue(d, action="census")["rc"] == "0"
        fleet.query("UPDATE command SET created = created - interval '1 hour'")
        assert issue(d, host=2, proc=200)["rc"] == "0"
        assert d.ask("verify", "chain").startswith("chain ok")


def test_the_first_goes_alone_until_its_verdict(fleet, tmp_path):
    with Driver(fleet, tmp_path, FAST, "50,0,0,3600,0,60") as d:
        f = Fleet(d)
        f.ask_all()
        assert len(f.flying) == 1 and set(f.refused) == {next(iter(f.refused))}
        assert "has no verdict yet" in next(iter(f.refused))
        f.fly()
        d.expect("finished")
        f.ask_all(most=10)
        assert not f.flying, "its end alone is no verdict"
        assert "verdict=gained" in f.judged()
        f.ask_all(most=10)
        assert len(f.flying) == 10
        # another rule has a canary of its own
        d.say("ask rule:other 100 10000 trim")
        assert fields(d.expect("issued"))["rc"] == "0"
        d.say("ask rule:other 99 9900 trim")
        assert "has no verdict yet" in d.expect("issued")


def test_a_canary_that_was_refused_passes_it_on(fleet, tmp_path):
    with Driver(fleet, tmp_path, FAST, "50,0,0,3600,0,60") as d:
        f = Fleet(d)
        f.ask_all(most=3)
        (cid, (host, _)), = f.flying.items()
        d.say(f"result {host} {cid} 3 -1 -1 not allowed")
        d.expect("finished")
        f.flying.clear()
        f.ask_all(most=3)
        assert len(f.flying) == 1


def test_what_gives_nothing_opens_the_breaker(fleet, tmp_path):
    with Driver(fleet, tmp_path, FAST, "50,0,0,0,3,5") as d:
        f = Fleet(d)
        f.todo = {1, 2, 3, 4, 5}
        f.ask_all(most=3)
        f.fly(after=499)
        tripped = d.expect("tripped")
        assert tripped.startswith("tripped actor=rule:leak action=trim trim of rule:leak gave nothing 3 times in a row")
        f.ask_all()
        assert not f.flying and "this remedy gave nothing several times in a row; the rule's breaker is open" in f.refused
        row, = fleet.query("SELECT rule, subject, state, level, title, host_id FROM alert")
        assert row == ("breaker", "fleet", "firing", "mail", "trim of rule:leak stopped: 3 in a row gave nothing", None)
        assert ("breaker.open", "rule:leak trim") in fleet.query("SELECT action, target FROM audit")
        # neither another rule nor another action of it nor people stand still
        for line in ("ask rule:other 1 100 trim", "ask rule:leak 2 200 restart", "issue 3 300 trim 0 - 1 0"):
            assert fields(d.ask(line, "issued"))["rc"] == "0", line
        # it is over: one is tried again, alone, and its alert is resolved
        f.judged()
        wait_for(lambda: fleet.query("SELECT state FROM alert") == [("resolved",)], 20)
        wait_for(lambda: fleet.query("SELECT count(*) FROM command WHERE actor = 'rule:leak' AND verify_next IS NOT NULL") == [(0,)])
        f.ask_all()
        assert len(f.flying) == 1
        assert d.ask("verify", "chain").startswith("chain ok")
        assert fleet.query("SELECT count(*) FROM audit WHERE action = 'breaker.open'") == [(1,)]


def test_one_that_gained_closes_the_row_of_failures(fleet, tmp_path):
    with Driver(fleet, tmp_path, FAST, "50,0,0,0,3,3600") as d:
        f = Fleet(d)
        for n, after in enumerate([499, 499, 300, 499, 499]):
            f.todo = {n + 1}
            f.ask_all()
            f.fly(after)
            f.judged()
        f.todo = {10}
        f.ask_all()
        assert len(f.flying) == 1
        d.silent("tripped", 6)


def test_closed_by_hand_it_is_tried_again(fleet, tmp_path):
    with Driver(fleet, tmp_path, FAST, "50,0,0,0,1,3600") as d:
        f = Fleet(d)
        f.ask_all(most=1)
        f.fly(after=500)
        d.expect("tripped")
        f.ask_all(most=3)
        assert not f.flying
        fleet.query("UPDATE breaker SET closed = clock_timestamp(), closed_by = 'me'")
        f.ask_all(most=3)
        assert len(f.flying) == 3
        wait_for(lambda: fleet.query("SELECT state FROM alert") == [("resolved",)], 10)


def test_a_service_is_acted_on_once_at_a_time_and_cools_down(fleet, tmp_path):
    service(fleet)
    with Driver(fleet, tmp_path, FAST, "0,0,3600,0,0,60") as d:
        Fleet(d)
        for proc, pid in ((100, 4001), (101, 4901), (200, 4002)):
            d.say(f"sample {proc // 100} {proc} {pid} 500000 web.service")
        first = issue(d)
        assert first["rc"] == "0"
        busy = "issued rc=-16 another action is under way on this service, on host 'web-1'"
        assert d.ask("issue 1 101 trim 0 - 1 0", "issued") == busy
        assert issue(d, proc=101, dry=1)["rc"] == "0"
        second = issue(d, host=2, proc=200)
        assert second["rc"] == "0", "on another host it is another service"
        for host, c in ((1, first), (2, second)):
            d.say(f"result {host} {c['id']} 1 {500 * MIB} {300 * MIB} ok")
            d.expect("finished")
        assert "cools down" in d.ask("ask rule:leak 1 101 trim", "issued")
        assert "cools down" in d.ask("ask rule:leak 1 100 trim", "issued")
        third = issue(d, proc=101)
        assert third["rc"] == "0", "people need not wait for that"
        d.say(f"result 1 {third['id']} 1 {500 * MIB} {300 * MIB} ok")
        # a restart of one service goes from host to host, one at a time
        assert issue(d, action="restart")["rc"] == "0"
        assert d.ask("issue 2 200 restart 0 - 1 0", "issued") == busy
        assert issue(d, host=2, proc=200)["rc"] == "0"


def test_two_collectors_share_one_cap(fleet, tmp_path):
    """Both ask at once; what the other has asked for counts."""
    with Driver(fleet, tmp_path, SLOW, "4,0,0,0,0,60") as a, Driver(fleet, tmp_path, SLOW, "4,0,0,0,0,60") as b:
        fleets = Fleet(a), Fleet(b)
        for h in range(1, 31):
            fleets[h % 2].d.say(f"ask rule:leak {h} {h * 100} trim")
        got = [fields(fleets[h % 2].d.expect("issued"))["rc"] for h in range(1, 31)]
        assert got.count("0") == 4 and got.count("-122") == 26
        assert most_at_once(audited(fleet)) == 4
