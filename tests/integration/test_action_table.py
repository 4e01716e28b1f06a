# SPDX-License-Identifier: Apache-2.0
"""Each action by each wrong command: nothing but the valid one acts, and each refusal says why."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/support"), os.path.join(ROOT, "tests/integration")]
sys.path.insert(0, os.path.join(ROOT, "tools/demo"))
import pythons  # noqa: E402
from pg_private import Postgres  # noqa: E402
from stack import Stack  # noqa: E402
from test_actd import Collector, Link, actd, daemon, spawn, start_ticks  # noqa: E402,F401
from test_command import Driver, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")

# word: number, good parameters, what is wrong with (9, 9, -9)
ACTIONS = {
    "trim": (1, (0, 0, 0), "trim takes no parameter"),
    "restart": (2, (0, 0, 0), "restart takes no parameter"),
    "census": (3, (0, 0, 0), "census: 'method' is one of"),
    "tracemalloc": (8, (1, 1, 0), "tracemalloc takes no further parameter"),
    "referrers": (9, (4, 1, 2000000), "referrers: 'objects' is -9, but at least"),
    "sizes": (10, (1, 1, 2000000), "sizes: 'seconds' is 9"),
    "gc": (4, (2, 0, 0), "gc: 'generation' is 9, but at most 2"),
    "gc-threshold": (5, (600, 8, 9), "gc-threshold: 'old' is -9, but at least 0"),
    "gc-freeze": (6, (0, 0, 0), "gc-freeze takes no parameter"),
    "gc-unfreeze": (7, (0, 0, 0), "gc-unfreeze takes no parameter"),
    "limit": (16, (1 << 40, 60, 0), "limit: 'bytes' is 9, but at least"),
    "reclaim": (17, (1 << 40, 0, 0), "reclaim: 'bytes' is 9, but at least"),
    "drop-caches": (18, (0, 0, 0), "drop-caches: 'kind' is one of"),
    "oom-score": (19, (999, 0, 0), "oom-score takes no further parameter"),
    "shed": (20, (0, 0, 0), "shed takes no parameter"),
}
REQUIRED = {"limit": ["--bytes", "1TiB"], "reclaim": ["--bytes", "1TiB"], "oom-score": ["--score", "999"], "gc-threshold": ["--young", "600"],
            "referrers": ["--type", "list"]}  # by hand
# Whose good command takes more than a process: it is carried out there.
ELSEWHERE = {"restart": "test_restart.py", "limit": "test_limit.py", "reclaim": "test_reclaim.py", "oom-score": "test_reclaim.py",
             "shed": "test_reclaim.py", "drop-caches": "test_reclaim.py"}
TEXT = {"referrers": b"list"}  # which takes the place of the reason
OF_HOST = {"drop-caches"}  # their command has neither pid nor start

TARGET = """
import gc, sys, time
gc.set_threshold(100000, 7, 3); gc.collect(); gc.disable()
full = [0]
gc.callbacks.append(lambda phase, info: full.__setitem__(0, full[0] + (phase == "start" and info["generation"] == 2)))
print("ready", flush=True)
sys.stdin.read()
print("full=%d threshold=%s frozen=%d" % (full[0], ",".join(map(str, gc.get_threshold()[:2])), gc.get_freeze_count()), flush=True)
"""
UNTOUCHED = {"full": "0", "threshold": "100000,7", "frozen": "0"}


def words():
    with open(os.path.join(ROOT, "proto/command.h")) as f:
        return {word: int(number) for number, word in re.findall(r'X\(\w+, (\d+), "([\w-]+)"\)', f.read())}


@pytest.mark.parametrize("word", words())
def test_the_table_has_every_action(word):
    """Each word of proto/command.h has its row here: whoever adds one adds it."""
    assert word in ACTIONS, f"action '{word}' has no row in tests/integration/test_action_table.py"
    assert ACTIONS[word][0] == words()[word]
    if word in ELSEWHERE:
        with open(os.path.join(ROOT, "tests/integration", ELSEWHERE[word])) as f:
            assert word in f.read()


def test_the_table_has_no_other():
    assert not set(ACTIONS) - set(words()) and not set(ELSEWHERE) - set(words())


# ---- the collector ----

TAKES = {"act:trim": "trim gc gc-threshold gc-freeze gc-unfreeze shed", "act:restart": "restart",
         "act:limit": "limit reclaim drop-caches oom-score", "act:snapshot": "census tracemalloc referrers sizes"}
SCOPES = {word: scope for scope, words in TAKES.items() for word in words.split()}


def test_the_scopes_are_of_every_action():
    assert set(SCOPES) == set(ACTIONS)


@pytest.fixture(scope="module")
def dispatch(tmp_path_factory):
    with Postgres() as pg:
        pg.query("INSERT INTO host (host_id, uuid, name) VALUES (1, gen_random_uuid(), 'web-1')")
        with Driver(pg, tmp_path_factory.mktemp("dispatch")) as d:
            d.say("up 1")
            yield pg, d


def refusals(rows, actor):
    return [(doc["what"], doc["action"], target, doc["why"], doc["times"]) for a, action, target, doc in rows
            if (a, action) == (actor, "command.refuse")]


@pytest.mark.parametrize("word", ACTIONS)
def test_what_the_collector_refuses_is_in_the_audit_log(dispatch, word):
    """Each by a kill switch, maintenance and what is wrong with it: no command, no signature, a row that names who, what and why."""
    pg, d = dispatch
    _, params, says_params = ACTIONS[word]
    actor, target = f"token:{word}", (1, 0, "web-1") if word in OF_HOST else (1, 100, "web-1:4001")
    expected = []

    def refused(says, host=target[0], proc=target[1], where=target[2], what=word):
        told = d.ask(f"ask {actor} {host} {proc} {what}", "issued")
        assert told.startswith("issued rc=-") and says in told, told
        expected.append(("issue", what, where, told.split(" ", 2)[2], 1))

    good = f"with {','.join(map(str, params))} {TEXT.get(word, b'-').decode()}"
    d.say(good)
    d.say("remediation 0")
    refused("remediation is switched off on this collector")
    d.say("remediation 1")
    pg.query("INSERT INTO maintenance (host, service, starts, until, reason, created, created_by)"
             " VALUES ('web-?', '', now(), now() + interval '1 hour', 'new disks', now(), 'token:boss')")
    refused("set by token:boss: new disks")
    pg.query("DELETE FROM maintenance")
    refused("unknown host 7", host=7, where="host 7" if word in OF_HOST else "host 7, process 100")
    if word not in OF_HOST:
        refused("no process 12 lives on host 'web-1'", proc=12, where="web-1, process 12")
    refused(f"unknown action '{word}s'", what=word + "s")
    d.say("with 9,9,-9 -")
    refused(says_params)
    assert pg.query("SELECT count(*) FROM command") == [(0,)]
    wait_for(lambda: len(refusals(pg.query("SELECT actor, action, target, doc FROM audit ORDER BY audit_id"), actor)) >= len(expected))
    assert refusals(pg.query("SELECT actor, action, target, doc FROM audit ORDER BY audit_id"), actor) == expected
    assert d.ask("verify", "chain").startswith("chain ok")


@pytest.fixture(scope="module")
def rest():
    """A collector without a host."""
    stack = Stack()
    try:
        stack.start_collector()
        yield stack
    finally:
        stack.close()


def ask_as(stack, token, body, **headers):
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4()), **headers}
    return stack.request("POST", "/api/v1/actions", body, {k: v for k, v in headers.items() if v is not None}, token=False)


def token_of(stack, name, *scopes):
    status, _, data = stack.request("POST", "/api/v1/tokens", {"name": name, "scopes": scopes})
    assert status == 201, data
    return json.loads(data)["token"]


@pytest.mark.parametrize("word", ACTIONS)
def test_what_rest_refuses_is_in_the_audit_log(rest, word):
    reader = token_of(rest, f"{word}-reader", "read")
    other = token_of(rest, f"{word}-other", "act:trim" if SCOPES[word] != "act:trim" else "act:limit")
    holder = token_of(rest, f"{word}-holder", SCOPES[word])
    body = {"type": word, "target": "web-1:42"}
    expected = {"reader": [], "other": [], "holder": []}

    def refused(who, token, status, says, sent=body, told=body, **headers):
        code, _, data = ask_as(rest, token, sent, **headers)
        detail = json.loads(data)["detail"]
        assert code == status and says in detail, (code, detail)
        expected[who].append(("issue", told.get("type", ""), told.get("target", ""), detail, 1))

    refused("reader", reader, 403, "lacks the scope")  # of any action
    refused("other", other, 403, f"lacks the scope {SCOPES[word]}")
    refused("holder", holder, 422, "'nonsense'", sent={**body, "params": {"nonsense": 1}})
    refused("holder", holder, 422, "there is no action", sent={**body, "type": word + "s"}, told={**body, "type": word + "s"})
    refused("holder", holder, 422, "no member 'extra'", sent={**body, "extra": 1})
    refused("holder", holder, 400, "Idempotency-Key", **{"Idempotency-Key": None})
    refused("holder", holder, 422, "must be an object", sent=[word], told={})
    refused("holder", holder, 404, "there is no", sent=good_body(word, "no-such-host:42"), told={**body, "target": "no-such-host:42"})

    def told():
        rows = rest.sql("SELECT actor, action, target, doc FROM audit ORDER BY audit_id")
        return {who: refusals(rows, f"token:{word}-{who}") for who in expected}

    wait_for(lambda: sum(map(len, told().values())) >= sum(map(len, expected.values())))
    assert told() == expected
    assert rest.sql("SELECT count(*) FROM command") == [(0,)]


def good_body(word, target):
    params = {"limit": {"bytes": 1 << 40}, "reclaim": {"bytes": 1 << 40}, "oom-score": {"score": 999}, "gc-threshold": {"young": 600},
              "referrers": {"type": "list"}}.get(word, {})
    return {"type": word, "target": target, "params": params}


def test_who_is_refused_again_and_again_leaves_two_rows(rest):
    token = token_of(rest, "again", "read")
    for _ in range(300):
        assert ask_as(rest, token, {"type": "trim", "target": "web-1:42"})[0] == 403

    def told():
        return rest.sql("SELECT doc->>'times' FROM audit WHERE actor = 'token:again' AND action = 'command.refuse'")

    wait_for(lambda: told())
    assert told() == [("1",)], "the rest is told when the minute is over"


def test_approvals_and_cancellations_that_are_refused_are_told(rest):
    reader, holder = token_of(rest, "r", "read"), token_of(rest, "h", "act:trim")
    nobody = str(uuid.uuid4())
    for word in ("approve", "cancel"):
        for token, status in ((reader, 403), (holder, 404)):
            assert rest.request("POST", f"/api/v1/actions/{nobody}/{word}", None, {"Authorization": f"Bearer {token}"}, token=False)[0] == status
    # nobody who is known, nothing of it
    assert rest.request("POST", f"/api/v1/actions/{nobody}/cancel", None, {"Authorization": "Bearer mht_x"}, token=False)[0] == 401
    query = f"SELECT actor, doc->>'what' FROM audit WHERE action = 'command.refuse' AND target = 'action {nobody}' ORDER BY 1, 2"
    wait_for(lambda: len(rest.sql(query)) >= 4)
    assert rest.sql(query) == [(f"token:{who}", word) for who in "hr" for word in ("approve", "cancel")]


# ---- the host ----

@pytest.fixture
def python():
    return next(p for p in pythons.all() if p.kind == "cpython" and p.root is None and p.minor() >= 8)


@pytest.mark.parametrize("word", ACTIONS)
def test_only_the_valid_command_acts(actd, daemon, spawn, python, word, tmp_path):  # noqa: F811
    number, params, says_params = ACTIONS[word]
    bare = "".join(f"allow {word} uid>=0 bare=yes container={c}\n" for c in ("yes", "no"))
    plain = "".join(f"allow {word} uid>=0 container={c}LIMIT\n" for c in ("yes", "no"))
    if word in OF_HOST:
        bare, plain = "", f"allow {word}LIMIT\n"
    actd.policy(plain.replace("LIMIT", "") + bare)
    collector = Collector(actd.folder)
    (tmp_path / "other").mkdir(mode=0o700)
    stranger = Collector(str(tmp_path / "other"))
    stranger.host = collector.host
    p = spawn(python.program, "-c", TARGET)
    gone = subprocess.Popen(["true"])
    reused = start_ticks(p.pid) - 1
    gone.wait()
    daemon()
    link = Link(actd.path("socket"))

    def command(**change):
        whose = {"ticks": 0} if word in OF_HOST else {}
        return collector.command(0 if word in OF_HOST else p.pid, **{"action": number, "params": params, **whose, **text, **change})

    text = {"reason": TEXT[word]} if word in TEXT else {}
    now = int(time.time() * 1e6)
    good = command()
    for name, request, says in [
        ("unsigned", good[:256] + bytes(64), "signature"),
        ("changed", good[:216] + bytes([good[216] ^ 1]) + good[217:], "signature"),
        ("wrong key", stranger.command(p.pid, action=number, params=params, counter=1000), "signature"),
        ("wrong domain", command(domain=b"memherd-enrol"), "signature"),
        ("wrong host", command(host=uuid.uuid4().bytes), "another host"),
        ("expired", command(expires=now - 1), "expired"),
        ("too far ahead", command(expires=now + 3600_000_000), "10 min ahead"),
        ("replayed counter", command(counter=0), "counter 0 is not above"),
        ("before this boot", command(boot=bytes(16)), "before this boot"),
        ("pid reused", command(ticks=reused), "is done to the whole host" if word in OF_HOST else "its pid was reused"),
        ("another kind of target", collector.command(p.pid if word in OF_HOST else 0, action=number, params=params, ticks=0, **text),
         "is done to the whole host" if word in OF_HOST else "no process 0"),
        ("parameters", command(params=(9, 9, -9)), says_params),
        ("unknown action", command(action=250, params=(0, 0, 0)), "unknown action 250"),
    ]:
        status, detail, _ = link.ask(request)
        assert status == "refused" and says in detail, (name, detail)
    told = []

    def refused(request, says):
        status, detail, _ = link.ask(request)
        assert status == "refused" and says in detail, detail
        told.append(detail)

    # the kill switch, also for what would only look, and for root himself
    open(actd.path("stop"), "w").close()
    refused(command(), "stopped: nothing is done while")
    refused(command(dry=1), "stopped: nothing is done while")
    by_hand = actd.run(word, *([] if word in OF_HOST else [p.pid]), "--no-policy", *REQUIRED.get(word, []))
    assert by_hand.returncode == 3 and "stopped: nothing is done while" in by_hand.stderr, by_hand
    os.unlink(actd.path("stop"))
    with open(actd.path("maintenance"), "w") as f:
        f.write("until=2999-01-01T00:00Z\n")
    refused(command(), "says that nothing is done until 2999-01-01T00:00Z")
    os.unlink(actd.path("maintenance"))
    actd.policy("maintenance until=2999-01-01T00:00Z\n" + plain.replace("LIMIT", "") + bare)
    refused(command(), "maintenance: policy line 1 says that nothing is done until 2999")
    actd.policy(plain.replace("LIMIT", "") + bare)
    assert p.poll() is None
    # all of that is in the journal, whose chain holds
    journal = actd.run("journal").stdout
    assert all(detail in journal for detail in told)
    assert "the chain holds" in actd.run("journal", "--verify").stdout

    status, detail, answer = link.ask(command(dry=1))
    assert status == "dry_run" or word in ("restart", "trim", "limit", "reclaim", "shed"), detail
    assert p.poll() is None
    # stale fence, after a newer one was seen in a dry run
    link.ask(command(dry=1, fence=7))
    status, detail, _ = link.ask(command(fence=6))
    assert status == "refused" and "lost the lead" in detail, detail
    actd.policy("deny *\n")
    status, detail, _ = link.ask(command(fence=7))
    assert status == "refused" and "policy line 1" in detail, detail
    actd.policy(plain.replace("LIMIT", " max=1/h"))
    if word in ELSEWHERE:
        p.stdin.close()
        assert dict(pair.split("=") for pair in p.stdout.read().split()) == UNTOUCHED
        return
    request = command(fence=7)
    status, detail, answer = link.ask(request)
    assert status == "done", detail
    assert link.ask(request)[2] == answer, "the same command again gets the first answer"
    status, detail, _ = link.ask(command(fence=7))
    assert status == "refused" and "allows 1" in detail, detail
    p.stdin.close()
    said = dict(pair.split("=") for pair in p.stdout.read().split())
    assert p.wait(20) == 0
    expected = dict(UNTOUCHED)
    if word == "gc":
        expected["full"] = "1"
    elif word == "gc-threshold":
        expected["threshold"] = "600,8"
    elif word == "gc-freeze":
        assert int(said["frozen"]) > 100
        expected["frozen"] = said["frozen"]
    assert said == expected


# an operator signs what is done to a process, not to a whole host: such a line is refused
@pytest.mark.parametrize("word", [w for w in ACTIONS if w not in OF_HOST and w not in TEXT])
def test_what_the_policy_wants_signed_needs_an_operator(actd, daemon, spawn, word, tmp_path):  # noqa: F811
    """A stolen command key alone does nothing; an operator's signature is good for one act, once."""
    number, params, _ = ACTIONS[word]
    actd.policy("".join(f"allow {word} uid>=0 container={c} {b}signed=yes\n" for c in ("yes", "no") for b in ("bare=yes ", "")))
    collector = Collector(actd.folder)
    people = []
    for name in ("operator", "stranger"):
        (tmp_path / name).mkdir(mode=0o700)
        people.append(Collector(str(tmp_path / name)))
        people[-1].host = collector.host
    operator, stranger = people
    p = spawn("/usr/bin/python3", "-c", TARGET)
    other = spawn("/usr/bin/python3", "-c", TARGET)
    daemon()
    link = Link(actd.path("socket"))

    def command(who=operator, **change):
        ident, warrant = who.warrant(change.pop("pid", p.pid), **{"action": number, "params": params, **change})
        return collector.command(p.pid, warrant, action=number, params=params, id=ident)

    now = int(time.time() * 1e6)
    os.mkdir(actd.path("operators"), 0o755)
    status, detail, _ = link.ask(command())
    assert status == "refused" and "no operator's key lies in" in detail
    os.rename(tmp_path / "operator" / "key", tmp_path / "operators" / "ann.pub")
    good = command()
    another = 2 if number == 1 else 1
    for name, request, says in [
        ("the collector alone", collector.command(p.pid, action=number, params=params), "wants an operator's signature"),
        ("wrong key", command(stranger), "is not of a key in"),
        ("the collector's key", command(collector), "is not of a key in"),
        ("wrong domain", command(domain=b"memherd-cmd-v1"), "is not of a key in"),
        ("changed", good[:330] + bytes([good[330] ^ 1]) + good[331:], "is not of a key in"),
        ("other host", command(host=uuid.uuid4().bytes), "for another host"),
        ("other process", command(pid=other.pid, ticks=start_ticks(other.pid)), "for another process"),
        ("its pid used before", command(ticks=start_ticks(p.pid) - 1), "for another process"),
        ("before this boot", command(boot=bytes(16)), "for another process"),
        ("other action", command(action=another, params=(0, 0, 0)), "for another action"),
        ("expired", command(issued=now - 7200_000_000, expires=now - 1), "has expired"),
        ("signed for longer than a day", command(expires=now + 100_000_000_000), "24 hours"),
        ("taken off", good[:320], "did not come along"),
        ("only the operator", bytes(320) + good[320:], "not of this host's command key"),
    ]:
        status, detail, _ = link.ask(request)
        assert status == "refused" and says in detail, (name, detail)
    ident, warrant = operator.warrant(p.pid, action=number, params=params)
    status, detail, _ = link.ask(collector.command(p.pid, warrant, action=number, params=params))
    assert status == "refused" and "for another command" in detail, detail
    assert p.poll() is None
    if word in ELSEWHERE:
        p.stdin.close()
        assert dict(pair.split("=") for pair in p.stdout.read().split()) == UNTOUCHED
        return
    status, detail, answer = link.ask(collector.command(p.pid, warrant, action=number, params=params, id=ident))
    assert status == "done", detail
    # again, under a new number of the collector's: the first answer, and nothing is done
    assert link.ask(collector.command(p.pid, warrant, action=number, params=params, id=ident))[2] == answer
    assert actd.run("journal").stdout.count(uuid.UUID(bytes=ident).hex) <= 2
    p.stdin.close()
    said = dict(pair.split("=") for pair in p.stdout.read().split())
    assert p.wait(20) == 0 and (word != "gc" or said["full"] == "1"), said


@pytest.mark.parametrize("word", TEXT)
def test_what_takes_a_name_cannot_be_signed(actd, daemon, spawn, word, tmp_path):  # noqa: F811
    """No statement has it, so another could be put in."""
    number, params, _ = ACTIONS[word]
    actd.policy("".join(f"allow {word} uid>=0 container={c} signed=yes\n" for c in ("yes", "no")))
    collector = Collector(actd.folder)
    (tmp_path / "operator").mkdir(mode=0o700)
    operator = Collector(str(tmp_path / "operator"))
    operator.host = collector.host
    os.mkdir(actd.path("operators"), 0o755)
    os.rename(tmp_path / "operator" / "key", tmp_path / "operators" / "ann.pub")
    p = spawn("/usr/bin/python3", "-c", TARGET)
    daemon()
    ident, warrant = operator.warrant(p.pid, action=number, params=params)
    status, detail, _ = Link(actd.path("socket")).ask(
        collector.command(p.pid, warrant, action=number, params=params, id=ident, reason=TEXT[word]))
    assert status == "refused" and "does not cover" in detail, detail
    p.stdin.close()
    assert dict(pair.split("=") for pair in p.stdout.read().split()) == UNTOUCHED
