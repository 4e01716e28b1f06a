# SPDX-License-Identifier: Apache-2.0
"""Two collectors on one database: each knows the whole fleet, takes commands for all of it; one leads.
The long run of kills is tests/fault/test_leader.py, with how windows are sealed."""
import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402
import kills  # noqa: E402
from stack import BIN, wait_for  # noqa: E402

@pytest.fixture(scope="module")
def pair():
    with collectors.Pair(window="10s") as p:
        yield p


def test_each_knows_the_whole_fleet(pair):
    a, b = pair.stacks
    pid = pair.target().pid
    for s in (a, b):
        seen = wait_for("the process on both hosts", lambda s=s: [collectors.process_of(s, h, pid) for h in (1, 2)], 15)
        wait_for("it", lambda s=s: all(collectors.process_of(s, h, pid) for h in (1, 2)), 15)
        assert seen
        hosts = {h["name"]: h for h in s.items("/hosts")}
        assert hosts["first"]["collector"] == f"127.0.0.1:{a.stream}"
        assert hosts["second"]["collector"] == f"127.0.0.1:{b.stream}"
    # Values of the other's host are as young as its own.
    since = time.time()
    process = collectors.process_of(a, 2, pid)["id"]

    def fresh():
        points = a.get(f"/api/v1/processes/{process}/series?from=-5min")["points"]
        return points and points[-1][0] > since
    wait_for("a fresh sample of the other's host", fresh, 10)


def test_a_command_goes_through_who_holds_the_agent(pair):
    target = pair.targets[0]
    for where, host in ((0, 2), (1, 1)):
        status, body = pair.command(where, host, target.pid)
        assert status < 300, body
        (sent_by, fence), = wait_for("its end", lambda host=host: pair.sql(
            "SELECT sent_by, fence FROM command WHERE host_id = %s AND state NOT IN ('queued', 'sent', 'running')", host), 15)
        assert sent_by == host - 1, "sent by the collector that the agent is connected to"
        assert fence == pair.leader()[1]
    assert [f for _, f in pair.journals()] == [pair.leader()[1]] * 2
    assert len(pair.stacks[0].items("/actions")) == len(pair.stacks[1].items("/actions")) == 2


def test_another_leads_when_the_leader_hangs(pair):
    target = pair.target()
    pair.kill("stop")
    wait_for("alerts on both hosts", lambda: pair.sql(
        "SELECT count(*) FROM alert WHERE rule = 'big'") == [(2 * len(pair.targets),)], 20)
    wait_for("mails", lambda: not pair.sql("SELECT 1 FROM mail WHERE state = 'queued'"), 15)
    assert target
    pair.check(1)


def test_a_mail_that_was_only_counted_is_sent(pair):
    """Its alert's row counts it, its own row is not there: so it is when a leader dies between the two."""
    (alert,), = pair.sql("SELECT alert_id FROM alert WHERE rule = 'big' AND state = 'firing' ORDER BY 1 LIMIT 1")
    key = f"INC-{alert}", "firing"
    had = wait_for("its mail", lambda: pair.mails_by_alert()[key], 10)
    pair.sql("DELETE FROM mail WHERE alert_id = %s", alert)
    pair.kill("kill")
    wait_for("the mail again", lambda: pair.mails_by_alert()[key] == had + 1, 20)


def test_an_agent_goes_to_the_other_collector(pair):
    a, b = pair.stacks
    assert b.programs["collector"].stop() == 0
    wait_for("the host at the first", lambda: {h["name"]: h["collector"] for h in a.items("/hosts")}["second"]
             == f"127.0.0.1:{a.stream}", 20)
    assert pair.wait_leader()[0] == 0
    writers = wait_for("batches of both writers", lambda: {w for w, in pair.sql(
        "SELECT DISTINCT writer FROM inbox WHERE host_id = 2")} == {0, 1}, 10)
    assert writers
    # Whatever moved: each number once.
    rows = pair.sql("SELECT epoch, seq, last FROM inbox WHERE host_id = 2 ORDER BY 1, 2")
    ends = {}
    for epoch, first, last in rows:
        assert first == ends.get(epoch, 0) + 1, (epoch, first, ends)
        ends[epoch] = last
    assert not pair.sql("SELECT 1 FROM dead_letter") and not pair.sql("SELECT 1 FROM gap WHERE reason <> %s",
                                                                      kills.GAP_UNCLEAN_END)
    b.start_collector()
    assert {h["name"] for h in b.items("/hosts")} == {"first", "second"}


def test_another_ca_is_refused(pair, tmp_path):
    s = pair.stacks[0]
    text = s.path("collector.conf").read_text().replace(f"{s.path('collector')}\n", f"{tmp_path}/state\n")
    for port in (s.stream, s.enroll, s.http):
        text = text.replace(f":{port}\n", ":0\n")
    (tmp_path / "c.conf").write_text(text)
    r = subprocess.run([BIN / "memherd-collector", "run", "-c", tmp_path / "c.conf"], capture_output=True, text=True,
                       timeout=20, check=False)
    assert r.returncode != 0 and "another CA" in r.stderr + r.stdout and "command.key" in r.stderr + r.stdout
