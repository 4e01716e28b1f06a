# SPDX-License-Identifier: Apache-2.0
"""What a host did by itself reaches the collector's audit, by the whole product: actions by hand, a limit that was taken
back, a journal that was replaced, the host's kill switch."""
import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/integration")]
from stack import BIN, Stack, wait_for  # noqa: E402
from test_limit import Target, V1  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
POLICY = "".join(f"allow {w} uid>=0 container={c}\n" for w in ("trim", "limit", "gc") for c in ("yes", "no"))
RULES = """rule tidy on process where cmdline ~ "*please tidy up*" {
	why "it asked for it"; warmup 0s;
	level trim when rss > 1MiB do "gc generation=1";
}
"""
SLEEPER = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def stack():
    with Stack(policy=POLICY, rules=RULES) as s:
        yield s.up()


@pytest.fixture
def process(stack):
    p = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    wait_for("the process", lambda: known(stack, p.pid))
    yield p
    p.kill()
    p.wait()
    p.stdin.close()
    p.stdout.close()


def host(stack):
    return stack.items("/hosts")[0]


def known(stack, pid):
    return stack.items("/hosts") and stack.items(f"/hosts/{host(stack)['id']}/processes?pid={pid}")


def act(stack, word, pid, **params):
    status, _, body = stack.request("POST", "/api/v1/actions", {
        "type": word, "target": f"{host(stack)['name']}:{pid}", "params": params, "reason": "a test"},
        {"Idempotency-Key": str(uuid.uuid4())})
    assert status == 202, body
    action = json.loads(body)["id"]
    wait_for("its end", lambda: action_of(stack, action)["done"])
    return action_of(stack, action)


def action_of(stack, action):
    return stack.get(f"/api/v1/actions/{action}")


def audit(stack, word):
    return [a for a in stack.items("/audit?limit=1000") if a["action"] == word]


def journal(stack):
    answer = stack.get("/api/v1/audit/verify")
    assert answer["ok"], answer
    return (answer["journals"] or [None])[0]


def by_hand(stack, *args):
    return subprocess.run([BIN / "memherd-actd", "-c", stack.path("actd.conf"), *map(str, args)], capture_output=True,
                          text=True, check=False)


def test_what_root_does_by_hand_is_in_the_audit(stack, process):
    assert act(stack, "trim", process.pid)["state"] in ("done", "ineffective")
    assert by_hand(stack, "trim", process.pid).returncode == 0
    refused = by_hand(stack, "restart", process.pid)
    assert refused.returncode == 3
    wait_for("both", lambda: len(audit(stack, "host.action")) == 2, 40)
    trim, restart = audit(stack, "host.action")
    assert (trim["actor"], trim["target"]) == ("root by hand", f"{host(stack)['name']}:{process.pid}")
    assert (trim["details"]["action"], trim["details"]["status"]) == ("trim", "done")
    assert (restart["details"]["action"], restart["details"]["status"]) == ("restart", "refused")
    assert restart["details"]["detail"] in refused.stderr
    assert act(stack, "trim", process.pid)["state"] in ("done", "ineffective")
    wait_for("the whole journal", lambda: journal(stack)["untold"] == 0)
    head = by_hand(stack, "journal", "--verify").stdout
    assert f"to {journal(stack)['last']}, head {journal(stack)['head']}" in head
    assert journal(stack)["breaks"] == 0 and not audit(stack, "journal.broken")
    # stored with what came beside them, a moment after the audit rows
    wait_for("the events", lambda: len(stack.items("/events?kind=action")) == 2)


def test_the_hosts_kill_switch_is_told(stack, process):
    stack.path("root", "stop").touch()
    a = act(stack, "trim", process.pid)
    assert a["state"] == "refused" and "stopped: nothing is done while" in a["detail"]
    stack.path("root", "stop").unlink()
    stack.path("root", "maintenance").write_text("until=2999-01-01T00:00Z\n")
    a = act(stack, "trim", process.pid)
    assert a["state"] == "refused" and "until 2999-01-01T00:00Z" in a["detail"]
    stack.path("root", "maintenance").unlink()
    assert [e["details"]["state"] for e in audit(stack, "command.end")][-2:] == ["refused", "refused"]


def test_a_rule_gives_parameters_to_what_it_does(stack):
    p = subprocess.Popen([sys.executable, "-c", SLEEPER, "please tidy up"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        wait_for("the rule", lambda: any(a["actor"] == "rule:tidy" and a["done"] for a in stack.items("/actions")), 60)
        a = next(a for a in stack.items("/actions") if a["actor"] == "rule:tidy")
        assert (a["type"], a["pid"], a["params"]) == ("gc", p.pid, {"generation": 1}), a
        assert a["state"] in ("done", "ineffective"), a  # it has no garbage
        assert a["detail"].startswith("gc.collect(1) found"), a
    finally:
        p.kill()
        p.communicate()


@pytest.mark.skipif(not V1.is_dir(), reason="needs memory cgroups v1")
def test_a_limit_that_was_taken_back_is_told_of_its_action(stack, tmp_path):
    target = Target(tmp_path)
    try:
        wait_for("the process", lambda: known(stack, target.pid))
        a = act(stack, "limit", target.pid, bytes=200 << 20, kind="max", **{"for": 6})
        assert a["state"] == "done", a
        wait_for("its end", lambda: "taken back after" in action_of(stack, a["id"])["detail"], 60)
        detail = action_of(stack, a["id"])["detail"]
        assert detail.startswith(a["detail"]) and detail.endswith(" s: its time is over")
        (note,) = audit(stack, "host.note")
        assert note["details"]["id"] == a["id"] and note["target"].endswith(f":{target.pid}")
        assert "taken back after" in stack.cli("actions", "show", a["id"])
    finally:
        target.close()


def test_a_journal_that_was_replaced_is_told(stack, process):
    """By whoever wants nothing to be there: moved away, it begins anew."""
    for _ in range(2):
        act(stack, "trim", process.pid)
    wait_for("both to be told", lambda: journal(stack) and journal(stack)["untold"] == 0, 40)
    stack.programs.pop("actd").stop()
    journal_file = stack.path("root", "journal")
    before = journal(stack)["last"]
    journal_file.rename(journal_file.with_suffix(".old"))
    stack.start_actd()
    a = act(stack, "trim", process.pid)
    assert a["state"] in ("done", "ineffective"), a
    wait_for("the break", lambda: journal(stack)["breaks"] == 1, 40)
    assert journal(stack)["why"].startswith("it went back: record 1 is another one than was told on ")
    assert journal(stack)["last"] < before
    (broken,) = audit(stack, "journal.broken")
    assert broken["target"].startswith(host(stack)["name"]) and broken["details"]["id"] == a["id"]
    (alert,) = [x for x in stack.items("/alerts") if x["rule"] == "journal"]
    assert alert["state"] == "firing"
    assert "it went back: record 1" in stack.cli("audit", "verify")
    wait_for("its mail", lambda: any("its journal of actions was changed" in m["Subject"] for m in stack.messages()), 30)
