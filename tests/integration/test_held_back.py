# SPDX-License-Identifier: Apache-2.0
"""What waits, on the real programs: an act that an operator signed, for its host that is away; a rule's, for the end of maintenance."""
import datetime
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import BIN, Stack, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")

RULES = """rule fat on process where cmdline ~ "*FOLDER/fragment.py*" {
    why "it holds far more than it uses";
    warmup 1s;
    level trim when rss > 50MiB for 1s max 5 per 10min;
}
"""
POLICY = ("allow trim uid>=0 exe=/usr/bin/python3* max=20/h cooldown=1s\n"
          "allow gc-freeze uid>=1000 exe=/usr/bin/python3* signed=yes\ndeny *\n")
TARGET = """
import gc, sys
gc.collect()
print("ready", flush=True)
for line in sys.stdin:
    print(gc.get_freeze_count(), flush=True)
"""


class Target:
    """Says how many objects gc.freeze() has put aside in it."""

    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        user="nobody")
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def frozen(self):
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def stack():
    s = Stack(policy=POLICY)
    s.rules = RULES.replace("FOLDER", str(s.dir))
    try:
        s.up()
        s.path("root/operators").mkdir(mode=0o755)
        s.path("root/operators/ann.pub").write_text(s.cli("keygen", s.path("ann.pem")))
        yield s
    finally:
        s.close()


@pytest.fixture
def target(stack):
    t = Target()
    try:
        wait_for("the target's first sample", lambda: [p for p in stack.items("/hosts/1/processes?limit=10000") if p["pid"] == t.pid], 30)
        yield t
    finally:
        t.end()


def away(stack):
    for name in ("agent", "actd"):
        assert stack.programs[name].stop() == 0, stack.programs[name].tail()
    wait_for("the host to be away", lambda: not stack.items("/hosts")[0]["connected"], 30)


def back(stack):
    stack.path("actd.sock").unlink(missing_ok=True)
    stack.start_actd()
    stack.start_agent()
    wait_for("the host to be back", lambda: (h := stack.items("/hosts")[0])["connected"] and h["can_act"], 40)


def sign(stack, target, *options):
    host = stack.items("/hosts")[0]["name"]
    return json.loads(stack.cli("gc-freeze", f"{host}:{target.pid}", "--yes", "--json", "--sign-key", stack.path("ann.pem"), *options))


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def action(stack, ident):
    return stack.get(f"/api/v1/actions/{ident}")


def journal(stack):
    return subprocess.run([BIN / "memherd-actd", "journal", "-c", stack.path("actd.conf")], capture_output=True, text=True, check=True).stdout


def test_what_an_operator_signed_waits_for_its_host(stack, target):
    """Neither the agent nor the root helper runs when it is signed and stored; both are new ones when it is carried out."""
    away(stack)
    asked = sign(stack, target)
    assert (asked["state"], asked["warrant"]) == ("queued", True)
    assert stack.sql("SELECT state, length(warrant), sent FROM command WHERE cmd_id = %s", asked["id"]) == [("queued", 192, None)]
    assert target.frozen() == 0
    back(stack)
    done = wait_for("its end", lambda: (a := action(stack, asked["id"]))["done"] and a, 40)
    assert done["state"] == "done" and done["warrant"], done
    assert target.frozen() > 100
    assert asked["id"].replace("-", "") in journal(stack).replace("-", "")
    told = stack.sql("SELECT action, doc->>'warrant_signed' FROM audit WHERE doc->>'id' = %s ORDER BY audit_id", asked["id"])
    assert told == [("command.issue", "true"), ("command.end", "true")]


def test_one_whose_signature_ends_meanwhile_is_never_carried_out(stack, target):
    away(stack)
    asked = sign(stack, target, "--ttl", "6s")
    assert asked["state"] == "queued" and 0 < seconds(asked["expires"]) - seconds(asked["created"]) <= 6, "no longer than the signature"
    ended = wait_for("its time to be over", lambda: (a := action(stack, asked["id"]))["done"] and a, 40)
    assert (ended["state"], ended["detail"], ended["sent"]) == ("expired", "the host was not connected in time", None)
    back(stack)
    # what comes after it is done: so much was sent to the host, and that was not among it
    after = sign(stack, target)
    done = wait_for("the end of another", lambda: (a := action(stack, after["id"]))["done"] and a, 40)
    assert done["state"] == "done", done
    assert action(stack, asked["id"]) == ended
    listed = journal(stack).replace("-", "")
    assert after["id"].replace("-", "") in listed and asked["id"].replace("-", "") not in listed
    told = stack.sql("SELECT action FROM audit WHERE doc->>'id' = %s ORDER BY audit_id", asked["id"])
    assert told == [("command.issue",), ("command.expire",)]


def test_a_rule_waits_for_the_end_of_maintenance(stack):
    host = stack.items("/hosts")[0]["name"]
    stack.cli("maintenance", "set", host, "--for", "1h", "--reason", "new disks")
    (m,) = stack.get("/api/v1/maintenance?state=open")["items"]
    stack.write("fragment.py", (ROOT / "tools/demo/fragment.py").read_text())
    fat = stack.start("fragment", "/usr/bin/python3", stack.path("fragment.py"), 120, user="nobody")

    def alert():
        return next((a for a in stack.items("/alerts?state=firing") if a["rule"] == "fat"), None)

    waits = wait_for("the alert to say that it waits", lambda: (a := alert()) and a["evidence"].get("action_waits"), 60)
    assert waits == f"maintenance {m['id']} holds until {m['until'][:19]}Z, set by admin: new disks"
    # a person is let through to look, and no further
    looked = json.loads(stack.cli("trim", f"{host}:{fat.pid}", "--dry-run", "--json"))
    assert looked["state"] == "done" and looked["dry_run"]
    assert stack.sql("SELECT count(*) FROM command WHERE action = 'trim' AND NOT dry_run") == [(0,)]
    refused = wait_for("the row of its refusal", lambda: stack.sql(
        "SELECT target, doc->>'why', doc->>'times' FROM audit WHERE actor = 'rule:fat' AND action = 'command.refuse'"), 20)
    assert refused == [(f"{host}:{fat.pid}", waits, "1")]
    stack.cli("maintenance", "end", m["id"])
    done = wait_for("the rule's own trim", lambda: next((a for a in stack.items("/actions") if a["actor"] == "rule:fat" and a["done"]), None), 60)
    assert done["state"] == "done" and done["freed_bytes"] > 20 << 20, done
    assert fat.alive()
