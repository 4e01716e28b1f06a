# SPDX-License-Identifier: Apache-2.0
"""Why a real Python process grows, told by the real programs: a rule asks for a census when it sees the growth, a person
asks for another, and the verdict names the type that leaks: to REST, to the alert, to 'memherd explain'."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import BIN, Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
POLICY = "allow census uid>=0 exe=/usr/bin/python3* max=20/h cooldown=1s\ndeny *\n"
RULES = """
rule leak on process where cmdline ~ "*FOLDER/entries.py*" {
    why "its memory grows steadily";
    warmup 3s;
    census every 10min max 2;
    level log when slope(rss, 10s) > 100MiB/h for 2s;
}
"""
# Objects that the collector tracks, a few MiB of them a second.
LEAK = """
import time

class Entry:
    def __init__(self, n):
        self.items = [n] * 20

kept = []
while True:
    kept.extend(Entry(n) for n in range(1000))
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def stack():
    s = Stack(window="10s", interval="1s", policy=POLICY)
    s.rules = RULES.replace("FOLDER", str(s.dir))  # not another's who tests on this machine
    try:
        yield s.up()
    finally:
        s.close()


@pytest.fixture(scope="module")
def leak(stack):
    stack.write("entries.py", LEAK)
    return stack.start("entries", PYTHON, stack.path("entries.py"), user="nobody")


def cli(stack, *argv):
    env = dict(os.environ, MEMHERD_URL=stack.url(""), MEMHERD_TOKEN=stack.token)
    return subprocess.run([str(BIN / "memherd"), *map(str, argv)], env=env, capture_output=True, text=True,
                          check=False, timeout=120)


def of(stack, pid):
    return wait_for("the process", lambda: next((p for p in stack.items(f"/hosts/1/processes?pid={pid}")), None), 20)


def test_a_rule_counts_what_it_suspects(stack, leak):
    process = of(stack, leak.pid)
    census = wait_for("the rule's census", lambda: stack.items(f"/processes/{process['id']}/census"), 60)[0]
    action, = [a for a in stack.items("/actions") if a["pid"] == leak.pid]
    assert (action["type"], action["actor"]) == ("census", "rule:leak") and census["action_id"] == action["id"]
    action = wait_for("its end", lambda: next(a for a in stack.items("/actions") if a["state"] == "done"), 20)
    assert action["detail"] and action["alert_id"]
    one = stack.get(f"/api/v1/censuses/{census['id']}")
    assert one["reason"] == "rule"
    assert "__main__.Entry" in [t["name"] for t in one["types"]], one["types"][:5]
    (actor, target), = stack.sql("SELECT actor, target FROM audit WHERE action = 'command.issue'")
    assert actor == "rule:leak" and target


def test_a_second_census_names_what_leaks(stack, leak):
    process = of(stack, leak.pid)
    wait_for("growth that is worth a word", lambda: of(stack, leak.pid)["rss_bytes"] > process["rss_bytes"] + (16 << 20), 60)
    r = cli(stack, "census", f"1:{leak.pid}", "--now", "--yes", "--wait", "--diff")
    assert r.returncode == 0, r
    assert "__main__.Entry\t+" in r.stdout and "\nin " in r.stdout, r.stdout

    def told():
        verdict = stack.get(f"/api/v1/processes/{of(stack, leak.pid)['id']}")["verdict"]
        return verdict if verdict["kind"] == "python_objects" and verdict["confidence"] == "certain" else None
    verdict = wait_for("a certain verdict", told, 60)
    assert any(t["name"] in ("__main__.Entry", "list", "dict") for t in verdict["types"])
    assert verdict["leak"] and verdict["advice"]


def test_its_alert_tells_it_too(stack, leak):
    def told():
        alert, = [a for a in stack.items("/alerts") if a["rule"] == "leak"]
        verdict = alert["evidence"].get("verdict") or {}
        return verdict if verdict.get("types") else None
    assert wait_for("the verdict in the alert", told, 30)["kind"] == "python_objects"


def test_it_is_explained(stack, leak):
    r = cli(stack, "explain", f"1:{leak.pid}")
    assert r.returncode == 0, r
    for text in ("keeps more and more Python objects", "[python_objects, certain]", "two censuses", "Over its lives",
                 "Where its memory is", "automatic collection is on", "census\tdone", "What to do"):
        assert text in r.stdout, r.stdout


def test_what_the_policy_denies_is_refused(stack):
    r = cli(stack, "census", "1:1", "--now", "--yes", "--wait")
    assert r.returncode == 3 and "\trefused\t" in r.stdout
