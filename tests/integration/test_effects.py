# SPDX-License-Identifier: Apache-2.0
"""What an action gave back is measured again later, over a restart too, and tells what the next may give:
dispatch against a real PostgreSQL, with stages of seconds."""
import json
import os
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_command import MIB, Driver, fields, issue, pg, server, wait_for  # noqa: E402,F401

STAGES = "1,2,4"


@pytest.fixture
def d(pg, tmp_path):  # noqa: F811
    pg.query("DELETE FROM process")
    with Driver(pg, tmp_path, STAGES) as driver:
        yield driver


def act(d, rss, before=500, after=300, service="-", action="trim", status=1):
    """An action on process 100 of host 1, done; its rows tell in MiB."""
    d.say("up 1")
    d.say(f"sample 1 100 4001 {rss << 10} {service}")
    c = issue(d, action=action)
    d.say(f"result 1 {c['id']} {status} {before * MIB} {after * MIB} ok")
    d.expect("finished")
    return c["id"]


def keep_sampling(d, rss, until, proc=100, pid=4001, service="-"):
    """A sample each half second, as an agent sends them, until what is expected is there."""
    end = time.monotonic() + 15
    while not until():
        assert time.monotonic() < end, "timed out"
        d.say(f"sample 1 {proc} {pid} {rss << 10} {service}")
        time.sleep(0.3)


def effects(pg):  # noqa: F811
    row = pg.query("SELECT effects::text, verdict, verify_next IS NULL FROM command ORDER BY created DESC LIMIT 1")[0]
    return [(e["after_seconds"], e["rss_bytes"] // MIB, e["pid"]) for e in json.loads(row[0] or "[]")], row[1], row[2]


def test_three_measurements_and_a_verdict(pg, d):  # noqa: F811
    act(d, 300)
    keep_sampling(d, 310, lambda: len(effects(pg)[0]) >= 2)
    assert effects(pg)[1:] == (None, False)
    keep_sampling(d, 320, lambda: effects(pg)[1])
    seen, verdict, over = effects(pg)
    assert [s[0] for s in seen] == [1, 2, 4] and seen[2] == (4, 320, 4001) and (verdict, over) == ("gained", True)
    line = fields(d.expect("verdict"))
    assert line["verdict"] == "gained"
    assert [r[0] for r in pg.query("SELECT action FROM audit ORDER BY audit_id")] == [
        "command.issue", "command.end", "command.verdict"]
    assert pg.query("SELECT doc->>'verdict' FROM audit ORDER BY audit_id DESC LIMIT 1") == [("gained",)]
    assert d.ask("verify", "chain") == "chain ok rows=3"


@pytest.mark.parametrize("later,verdict", [(480, "regrew"), (420, "regrew"), (350, "gained")])
def test_what_grows_back_is_told(pg, d, later, verdict):  # noqa: F811
    act(d, 300)
    keep_sampling(d, later, lambda: effects(pg)[1])
    assert effects(pg)[1] == verdict


def test_what_gained_nothing_stays_ineffective(pg, d):  # noqa: F811
    act(d, 500, after=499)
    keep_sampling(d, 505, lambda: effects(pg)[1])
    assert effects(pg)[1] == "ineffective"


def test_a_restart_of_the_collector_takes_it_up(pg, tmp_path):  # noqa: F811
    pg.query("DELETE FROM process")
    with Driver(pg, tmp_path, STAGES) as d:
        act(d, 300)
        keep_sampling(d, 300, lambda: effects(pg)[0])
    time.sleep(2)  # the second stage passes while nobody is there
    with Driver(pg, tmp_path, STAGES) as d:
        keep_sampling(d, 330, lambda: effects(pg)[1])
    seen, verdict, _ = effects(pg)
    assert (seen[0][:2], seen[-1][:2], verdict) == ((1, 300), (4, 330), "gained")


def test_after_a_restart_its_successor_is_measured(pg, d):  # noqa: F811
    pg.query("INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup, service,"
             " first_seen) VALUES (1, 100, gen_random_uuid(), 4001, 77, 1, 0, 'python', '', '', '', 'web.service', now())")
    act(d, 300, before=500, after=50, service="web.service", action="restart")
    d.say("forget 1 100")
    d.say("sample 1 102 4003 900000 other.service")
    keep_sampling(d, 60, lambda: effects(pg)[1], 101, 4002, "web.service")
    seen, verdict, _ = effects(pg)
    assert seen[-1] == (4, 60, 4002) and verdict == "gained"
    d.say("sample 1 100 4001 100000 web.service")


@pytest.mark.parametrize("dry,status,before", [(1, 2, 500), (0, 3, -1), (0, 4, 500), (0, 5, 500), (0, 1, -1)])
def test_what_did_nothing_is_not_measured(pg, d, dry, status, before):  # noqa: F811
    d.say("up 1")
    c = issue(d, dry=dry)
    d.say(f"result 1 {c['id']} {status} {before * MIB if before > 0 else -1} -1 why")
    d.expect("finished")
    assert pg.query("SELECT verify_next IS NULL FROM command") == [(True,)]


def test_what_is_not_meant_to_give_back_is_not_judged_by_it(pg, d):  # noqa: F811
    act(d, 500, before=500, after=500, action="gc-freeze")
    assert pg.query("SELECT state, verify_next IS NULL FROM command") == [("done", True)]
    act(d, 500, before=500, after=500, action="gc-unfreeze")
    act(d, 500, before=500, after=500, action="trim")
    assert pg.query("SELECT state, verify_next IS NULL FROM command WHERE action = 'trim'") == [("ineffective", False)]


def test_what_the_same_gave_before_is_told_of_the_next(pg, d):  # noqa: F811
    pg.query("INSERT INTO process (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup, service,"
             " first_seen) SELECT h, n, gen_random_uuid(), 4001, 77, 1, 0, 'python', '', '', '', s, now()"
             " FROM (VALUES (1, 100, 'web.service'), (1, 90, 'web.service'), (1, 91, 'other.service'), (2, 200, 'web.service')) AS v(h, n, s)")

    def history():
        return pg.query("SELECT history FROM command ORDER BY created DESC LIMIT 1")[0][0]

    act(d, 300)
    assert history() == ""
    act(d, 300, 500, 380)
    assert history() == "the last trim here freed 200 MiB"
    act(d, 300, 500, 500)
    assert history() == "the last 2 trims here freed 120 to 200 MiB"
    pg.query("UPDATE command SET verdict = 'regrew' WHERE rss_after = 300 * 1048576::int8")
    # of another service, another host and another action nothing is told, of the service's former process it is
    pg.query("UPDATE command SET proc_id = 90 WHERE rss_after = 380 * 1048576::int8")
    act(d, 300, 500, 499, action="restart")
    assert history() == ""
    issue(d, dry=1)
    assert history() == "the last 3 trims here freed 0 to 200 MiB, and 1 grew back within ten minutes"
    d.say("up 2")
    issue(d, host=2, proc=200)
    assert history() == ""
