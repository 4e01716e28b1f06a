# SPDX-License-Identifier: Apache-2.0
"""A hundred leaking hosts over the wire: each with its own certificate and its own connection of mutual TLS to one real
collector, which judges their samples by rules, signs trims for them and hears what they gave. The caps of a fleet hold
at every instant of the audit log, and a remedy that gives nothing is stopped by its breaker. test_standdown.py has the
cases, without connections."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import Stack, wait_for  # noqa: E402

DRIVER = pathlib.Path(os.environ.get("B", ROOT / "build/release-gcc")) / "drivers/leakers"
HOSTS = 100
AT_ONCE, AN_HOUR, IN_A_ROW = 5, 40, 3
RULES = "".join(f"""rule {name} on process where cmdline ~ "{name}" {{
    why "a test wants it";
    warmup 1s;
    when rss > 200MiB for 1s;
    level log;
    level trim max 1 per 1h;
}}
""" for name in ("leaky", "useless"))
OPTIONS = {"action_max_running": AT_ONCE, "action_max_per_hour": AN_HOUR, "action_canary": "0s", "action_cooldown": "0s",
           "action_breaker": IN_A_ROW, "database_relaxed": "yes"}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="enrols as root does")


class Crowd:
    def __init__(self, stack):
        self.stack = stack
        token = json.loads(stack.cli("enroll-token", "create", "--ttl", "10min", "--uses", HOSTS, "--json"))["token"]
        stack.write("token", token + "\n", 0o600)
        stack.path("crowd").mkdir(mode=0o755)
        self.errors = open(stack.path("crowd.log"), "a+")
        self.p = subprocess.Popen([DRIVER, stack.path("crowd"), str(HOSTS), stack.path("token"), str(stack.stream)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def wait(self, what, look):
        def check():
            assert self.p.poll() is None, self.said()
            return look()
        wait_for(what, check, 120, 0.3)

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def close(self):
        self.p.stdin.close()
        code = self.p.wait(30)
        said = self.said()
        self.errors.close()
        self.p.stdout.close()
        assert code == 0, said


def count(stack, query, *args):
    return stack.sql(f"SELECT count(*) FROM {query}", *args)[0][0]


def waiting(stack, rule, why):
    """Alerts whose action waits, and say that this is why."""
    return count(stack, "alert WHERE rule = %s AND state = 'firing' AND doc ->> 'action_waits' LIKE %s", rule, f"%{why}%")


def test_a_hundred_leaking_hosts_over_the_wire():
    with Stack(rules=RULES, collector=OPTIONS) as stack:
        stack.start_sink()
        stack.start_collector()
        crowd = Crowd(stack)
        try:
            assert crowd.p.stdout.readline() == "ready\n", crowd.said()
            crowd.wait("all hosts and their processes", lambda: [stack.get("/api/v1/fleet")[k] for k in ("hosts", "processes")] == [
                {"total": HOSTS, "connected": HOSTS}, 2 * HOSTS])
            crowd.say("leaky")
            crowd.wait("as many as may be in an hour", lambda: count(stack, "command WHERE state = 'done'") >= AN_HOUR)
            crowd.wait("others that wait", lambda: waiting(stack, "leaky", "action_max_per_hour") >= 20)
            assert stack.sql("SELECT count(*), count(DISTINCT host_id), min(actor), max(actor) FROM command") == [
                (AN_HOUR, AN_HOUR, "rule:leaky", "rule:leaky")]
            # An hour later, by the table's clock: there is room again, for a rule, too, whose remedy gives nothing.
            stack.sql("UPDATE command SET created = created - interval '1 hour' RETURNING 1")
            crowd.say("useless")
            crowd.wait("the breaker", lambda: stack.sql("SELECT actor, action FROM breaker") == [("rule:useless", "trim")])
            crowd.wait("others that wait", lambda: waiting(stack, "useless", "breaker is open") >= 20)
            crowd.wait("its mail", lambda: [m for m in stack.messages() if "trim of rule:useless stopped" in m["Subject"]])
        finally:
            crowd.close()
        judge(stack)


def judge(stack):
    """By the audit log, in its order, which is that of its transactions."""
    rows = stack.sql("SELECT action, actor, target, doc ->> 'id' FROM audit WHERE action LIKE 'command.%%' OR action LIKE 'breaker.%%'"
                     " ORDER BY audit_id")
    running, most, useless, stopped = set(), 0, [], False
    for action, actor, _, cid in rows:
        if action == "command.issue":
            assert cid not in running
            assert not (stopped and actor == "rule:useless"), "asked for though its breaker was open"
            running.add(cid)
            useless += [cid] if actor == "rule:useless" else []
        elif action in ("command.end", "command.expire"):
            running.remove(cid)
        elif action == "breaker.open":
            stopped = True
        most = max(most, len(running))
    assert most == AT_ONCE, "the cap is reached and never exceeded"
    assert stopped and [r[2] for r in rows if r[0] == "breaker.open"] == ["rule:useless trim"]
    assert IN_A_ROW <= len(useless) < IN_A_ROW + AT_ONCE, "those that gave nothing, and who was under way with them"
    assert {s for s, in stack.sql("SELECT DISTINCT state FROM command WHERE actor = 'rule:useless'")} <= {"ineffective", "queued", "sent", "running"}
    assert stack.get("/api/v1/audit/verify")["ok"] is True
