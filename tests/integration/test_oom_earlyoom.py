# SPDX-License-Identifier: Apache-2.0
"""A real earlyoom kills a real process beside the whole product, which says so: the verdict, its evidence
from the journal, the dossier. Each scenario runs in namespaces of its own (tests/support/earlyoom.py): this
file is its own program there."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
import earlyoom as host  # noqa: E402
from stack import Stack, wait_for  # noqa: E402


# ---- scenarios: they run inside and print one JSON document ----

class Watch:
    """The product, and what it knows."""

    def __init__(self, interval="1s"):
        self.stack = Stack(interval=interval)

    def __enter__(self):
        self.stack.up()
        wait_for("the first samples", lambda: any(h["connected"] for h in self.stack.items("/hosts")), 30)
        self.host = self.stack.items("/hosts")[0]["id"]
        return self

    def __exit__(self, *_):
        self.stack.close()

    def known(self, pid):
        rows = f"/hosts/{self.host}/processes?limit=10000"
        return wait_for(f"process {pid}", lambda: next((p["id"] for p in self.stack.items(rows) if p["pid"] == pid),
                                                       None), 20)

    def ended(self, ident):
        return wait_for("the verdict", lambda: (self.stack.get(f"/api/v1/processes/{ident}") or {}).get("ended"), 30)

    def kills(self):
        """The host's log may hold old ones of the kernel's, which are told too."""
        return [k for k in self.stack.items("/oom-events?limit=1000") if not k["cause"].startswith("kernel")]

    def dossier(self, pid):
        kill = wait_for(f"the kill of {pid}", lambda: next((k for k in self.kills() if k["pid"] == pid), None), 20)
        return self.stack.get(f"/api/v1/oom-events/{kill['id']}")

    def death(self, ident):
        return wait_for("the event", lambda: next((e for e in self.stack.items("/events?kind=death&limit=100")
                                                   if e["process_id"] == ident), None), 20)

    def posture(self):
        posture = wait_for("the posture", lambda: self.stack.get(f"/api/v1/hosts/{self.host}")["posture"], 20)
        return [f["code"] for f in posture["findings"]]


def one_kill(w, sig):
    """earlyoom ends its victim; at the same time somebody else ends a bystander in the same way."""
    bystander = subprocess.Popen(["sleep", "600"])
    with host.Victim() as victim:
        ids = {"victim": w.known(victim.pid), "bystander": w.known(bystander.pid)}
        with host.Earlyoom(sig):
            died = victim.wait()
            bystander.send_signal(sig)
            bystander.wait()
            ended = {name: w.ended(ident) for name, ident in ids.items()}
        return {"died": died, "pid": victim.pid, "ended": ended, "kill": w.dossier(victim.pid), "kills": len(w.kills()),
                "events": {name: w.death(ident)["details"] for name, ident in ids.items()}, "posture": w.posture()}


def strangers(w):
    """Victims that live less than a second, where a round is 10 s: most are never sampled."""
    pids = []
    with host.Earlyoom() as killer:
        w.known(killer.pid)
        for _ in range(3):
            with subprocess.Popen(host.victim_command(), stdout=subprocess.DEVNULL) as victim:
                pids.append(victim.pid)
                assert victim.wait(30) == -signal.SIGTERM
        told = [w.dossier(pid) for pid in pids]
        return {"told": told, "kills": len(w.kills())}


def scenario(signals):
    if not signals:
        with Watch("10s") as w:
            return strangers(w)
    with Watch() as w:
        return [one_kill(w, sig) for sig in signals]


# ---- tests: they run outside ----

def play(signals, host_pids):
    assert host.missing() is None, f"tools/deps installs it: {host.missing()}"
    done = host.inside([sys.executable, os.path.abspath(__file__), *map(int, signals)], host_pids=host_pids,
                       capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    return dict(zip(signals, answer)) if signals else answer


@pytest.fixture(scope="module")
def told():
    """What was told of earlyoom's two ways to end a process, where exits are heard."""
    return play([signal.SIGTERM, signal.SIGKILL], host_pids=True)


def check_kill(r, sig):
    """The victim is earlyoom's, on the word of its log, and has a dossier of its own."""
    assert r["died"] == sig
    assert (r["ended"]["victim"]["cause"], r["ended"]["victim"]["confidence"]) == ("earlyoom", "certain")
    details = r["events"]["victim"]
    assert (details["cause"], details["confidence"], details["comm"]) == ("earlyoom", "certain", "victim")
    line = f"the log of earlyoom names pid {r['pid']}: badness 1333, VmRSS "
    assert any(details[key].startswith(line) for key in details if key.startswith("evidence"))
    kill = r["kill"]
    assert (kill["cause"], kill["confidence"], kill["comm"]) == ("earlyoom", "certain", "victim")
    assert kill["oom"] is True and kill["complete"] is False and kill["replayed"] is False
    assert any(text.startswith(line) for text in kill["dossier"]["evidence"])
    assert str(r["pid"]) in kill["verdict"] and "earlyoom" in kill["verdict"]
    assert "journal_unreadable" not in r["posture"]


def test_earlyooms_sigterm_is_told_apart_from_anybody_elses(told):
    r = told[signal.SIGTERM]
    check_kill(r, signal.SIGTERM)
    assert r["ended"]["victim"]["signal"] in (15, "SIGTERM")
    assert (r["ended"]["bystander"]["cause"], r["ended"]["bystander"]["confidence"]) == ("terminated", "certain")
    assert r["kills"] == 1 and "exits_unheard" not in r["posture"]


def test_earlyooms_sigkill_is_told_apart_from_anybody_elses(told):
    r = told[signal.SIGKILL]
    check_kill(r, signal.SIGKILL)
    assert r["ended"]["victim"]["signal"] in (9, "SIGKILL")
    assert r["ended"]["bystander"]["cause"] == "killed" and r["kills"] == 2


def test_where_exits_are_not_heard_the_journal_still_tells():
    """The kernel tells exits only to the first PID namespace; the posture says that we are in another."""
    r = play([signal.SIGTERM], host_pids=False)[signal.SIGTERM]
    check_kill(r, signal.SIGTERM)
    assert r["kills"] == 1 and "exits_unheard" in r["posture"]
    assert (r["ended"]["bystander"]["cause"], r["ended"]["bystander"]["confidence"]) == ("unknown", "guess")


def test_whom_no_round_saw_is_told_on_earlyooms_word():
    r = play([], host_pids=True)
    assert r["kills"] == 3
    for kill in r["told"]:
        assert (kill["cause"], kill["oom"]) == ("earlyoom", True) and kill["comm"]
        assert any(text.startswith(f"the log of earlyoom names pid {kill['pid']}: badness ")
                   for text in kill["dossier"]["evidence"])
    assert any(kill["process_id"] is None for kill in r["told"]), "each was sampled in its second"


if __name__ == "__main__":
    print(json.dumps(scenario([int(word) for word in sys.argv[1:]])))
