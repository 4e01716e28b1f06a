# SPDX-License-Identifier: Apache-2.0
"""The main path as a whole, on real processes: what /proc says is what REST and the database say; a
leak is mailed with its culprit, a trim gives memory back, and a collector that ends or is killed
goes on where it was."""
import datetime
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import BIN, Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
WINDOW = 10
GRACE = 30  # a window is sealed so long after its end
RULES = """
rule leak on process where cmdline ~ "*FOLDER/leak.py*" {
    why "its memory grows steadily";
    warmup 3s;
    level mail when slope(rss, 10s) > 500MiB/h for 3s;
}
rule fragmented on process where cmdline ~ "*FOLDER/fragment.py*" {
    why "it holds far more than it uses";
    warmup 3s;
    level trim when rss > 50MiB and max(rss, 5s) - min(rss, 5s) < 1MiB for 2s max 1 per 10min;
}
"""
POLICY = "allow trim uid>=0 exe=/usr/bin/python3* max=20/h cooldown=1s\ndeny *\n"
STILL = """
import sys, threading, time
room = bytearray(int(sys.argv[1]) * 1024 * 1024)
for i in range(int(sys.argv[2])):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
print("ready", flush=True)
time.sleep(3600)
"""


class Still:
    """A process of known size that is stopped, so that nothing of it changes any more."""

    def __init__(self, mib, threads):
        self.process = subprocess.Popen([PYTHON, "-c", STILL, str(mib), str(threads)], stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.threads = threads + 1

    def stop(self):
        assert self.process.stdout.readline() == b"ready\n"
        time.sleep(0.02)
        os.kill(self.pid, signal.SIGSTOP)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def proc_values(pid):
    """What the kernel says: bytes, counts, seconds, by the names that REST has."""
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    kib = {"rss_bytes": "VmRSS", "anon_bytes": "RssAnon", "file_bytes": "RssFile",
           "shmem_bytes": "RssShmem", "swap_bytes": "VmSwap", "vsize_bytes": "VmSize"}
    values = {name: int(status[key].split()[0]) * 1024 for name, key in kib.items()}
    ticks = int(stat[11]) + int(stat[12])
    values.update(threads=int(status["Threads"]), ppid=int(stat[1]), minflt=int(stat[7]),
                  majflt=int(stat[9]), start_ticks=stat[19], uid=int(status["Uid"].split()[0]),
                  cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"))
    return values


def cli(stack, *argv):
    env = dict(os.environ, MEMHERD_URL=stack.url(""), MEMHERD_TOKEN=stack.token)
    return subprocess.run([str(BIN / "memherd"), *map(str, argv)], env=env, capture_output=True, text=True,
                          check=False, timeout=60)


def processes(stack):
    return {p["pid"]: p for p in stack.items("/hosts/1/processes?limit=1000")}


def mails(stack, rule):
    return [m for m in stack.messages() if m["X-Memherd-Rule"] == rule]


def stored(stack):
    (n,), = stack.sql("SELECT coalesce(sum(last_seq), 0) FROM agent_stream")
    return n


def points(stack, process_id, metric="rss"):
    answer = stack.get(f"/api/v1/processes/{process_id}/series?metric={metric}&from=-15min&max_points=10000")
    assert answer["resolution_seconds"] in (0, 1)
    return answer["points"]


def assert_whole(series, longest=2.6):
    """One point a second: none twice, none missing."""
    times = [t for t, _ in series]
    assert times == sorted(set(times)), "a time twice or out of order"
    # The agent's first two ticks come with its start, not with the interval.
    holes = [(a, b) for a, b in zip(times, times[1:]) if b - a > longest]
    assert not holes, f"holes: {holes}"


@pytest.fixture(scope="module")
def stack():
    s = Stack(window=f"{WINDOW}s", interval="1s", policy=POLICY)
    s.rules = RULES.replace("FOLDER", str(s.dir))  # not another's who tests on this machine
    try:
        yield s.up()
    finally:
        s.close()


@pytest.fixture(scope="module")
def still(stack):
    children = [Still(mib, threads) for mib in (1, 8, 33, 90) for threads in (0, 1, 5, 17, 40)]
    try:
        for c in children:
            c.stop()
        yield children
    finally:
        for c in children:
            c.end()


@pytest.fixture(scope="module")
def story(stack):
    """The leaking and the fragmented program, started once for the tests of the story."""
    programs = {}
    for name, size in (("leak", 1), ("fragment", 120)):
        stack.write(f"{name}.py", (ROOT / f"tools/demo/{name}.py").read_text())
        programs[name] = stack.start(name, PYTHON, stack.path(f"{name}.py"), size, user="nobody")
    return programs


def test_values_are_those_of_proc(stack, still):
    # By the samples' own time: batches on their way, or of events alone, say nothing of the children.
    stood = datetime.datetime.now(datetime.timezone.utc)

    def sampled():
        rows = processes(stack)
        times = [rows[c.pid]["last_seen"] for c in still if c.pid in rows]
        return len(times) == len(still) and min(map(datetime.datetime.fromisoformat, times)) > stood and rows
    shown = wait_for("samples after the children stood still", sampled, 30)
    for child in still:
        truth = proc_values(child.pid)
        row = shown[child.pid]
        assert {k: row[k] for k in truth} == truth
        assert row["threads"] == child.threads
        assert row["alive"] and row["exe"] == os.path.realpath(PYTHON) and row["comm"] == "python3"


def test_host_is_this_one(stack):
    host, = stack.items("/hosts")
    meminfo = dict(line.split(":", 1) for line in open("/proc/meminfo"))
    assert host["connected"] and host["cpus"] == os.cpu_count()
    assert host["total_bytes"] == int(meminfo["MemTotal"].split()[0]) * 1024
    assert abs(host["available_bytes"] - int(meminfo["MemAvailable"].split()[0]) * 1024) < 2 << 30
    assert host["processes"] >= 10


def test_a_process_of_a_few_seconds_has_start_and_exit(stack, story):
    child = subprocess.Popen([PYTHON, "-c", "import time; time.sleep(3)", "short-lived"])
    child.wait()

    def seen():
        return {e["kind"]: e for e in stack.items("/events?limit=1000") if e["details"].get("pid") == child.pid}
    events = wait_for("start and exit", lambda: len(seen()) == 2 and seen(), 10)
    assert set(events) == {"start", "exit"}
    start, end = (datetime.datetime.fromisoformat(events[k]["time"].replace("Z", "+00:00"))
                  for k in ("start", "exit"))
    assert 1 <= (end - start).total_seconds() <= 5
    assert events["start"]["process_id"] == events["exit"]["process_id"]
    rows = stack.sql("SELECT e.kind, p.cmdline, p.last_seen IS NOT NULL FROM event e JOIN process p USING "
                     "(host_id, proc_id) WHERE p.pid = %s ORDER BY 1", child.pid)
    assert [kind for kind, _, _ in rows] == ["exit", "start"]
    assert all("short-lived" in cmdline and ended for _, cmdline, ended in rows)


def test_leak_is_mailed_with_its_culprit(stack, story):
    pid = story["leak"].pid
    alert = wait_for("the alert", lambda: next((a for a in stack.items("/alerts") if a["rule"] == "leak"), None), 40)
    assert f"pid {pid}" in alert["title"] and alert["state"] == "firing" and alert["level"] == "mail"
    mail, = wait_for("the mail", lambda: mails(stack, "leak"), 15)
    text = mail.get_body(("plain",)).get_content()
    assert str(pid) in text and "leak.py" in text and "leak.py" in mail["Subject"]
    assert mail["X-Memherd-Incident"] and mail["Auto-Submitted"] == "auto-generated"
    assert alert["evidence"]["culprit"]["pid"] == pid


def test_trim_gives_memory_back(stack, story):
    pid = story["fragment"].pid

    def done():
        return stack.sql("SELECT rss_before, rss_after, held_us, alert_id FROM command WHERE state = 'done' AND "
                         "action = 'trim' AND pid = %s AND actor <> 'admin'", pid)
    (before, after, held, alert_id), = wait_for("the trim", done, 40)
    assert before - after > 50 << 20 and held < 1000000 and alert_id
    assert proc_values(pid)["rss_bytes"] < before - (50 << 20)
    action = next(a for a in stack.items("/actions") if a["pid"] == pid)
    assert (action["state"], action["rss_before_bytes"], action["rss_after_bytes"]) == ("done", before, after)
    later, = wait_for("what is there 5 s later", lambda: stack.get(f"/api/v1/actions/{action['id']}")["effects"], 20)
    assert (later["after_seconds"], later["pid"]) == (5, pid) and later["rss_bytes"] < before - (50 << 20)
    shown = cli(stack, "actions", "show", action["id"])
    assert shown.returncode == 0 and "\t5 s\t" in "\t" + shown.stdout.replace("\n", "\t"), shown
    mail = wait_for("its mail", lambda: mails(stack, "fragmented"), 15)
    assert any("gave back" in m.get_body(("plain",)).get_content() for m in mail)


def test_trim_by_hand(stack, story):
    pid = story["fragment"].pid
    dry = cli(stack, "trim", f"1:{pid}", "--dry-run")
    assert dry.returncode == 0 and "would" in dry.stdout
    again = cli(stack, "trim", f"1:{pid}", "--yes", "--wait")
    # Its heap was trimmed a moment ago: done, or honestly without effect.
    assert (again.returncode, "\tineffective\t" in again.stdout) in ((0, False), (1, True)), again
    rows = stack.sql("SELECT dry_run, state FROM command WHERE pid = %s AND actor = 'admin' ORDER BY counter", pid)
    assert rows[0] == (True, "done") and rows[1][0] is False
    unsure = cli(stack, "trim", f"1:{pid}")
    assert unsure.returncode == 3 and "--yes" in unsure.stderr
    assert cli(stack, "trim", "1:4194304", "--yes").returncode == 4


def test_trim_that_the_policy_denies(stack, story):
    sleep = subprocess.Popen(["sleep", "60"])
    try:
        wait_for("its first sample", lambda: sleep.pid in processes(stack), 10)
        for extra in (["--yes", "--wait"], ["--dry-run"]):
            r = cli(stack, "trim", f"1:{sleep.pid}", *extra)
            assert r.returncode == 3, r
            assert "\trefused\t" in r.stdout and "not allowed" in r.stdout
    finally:
        sleep.kill()
        sleep.wait()
    r = cli(stack, "trim", "1:1", "--yes", "--wait")
    assert r.returncode == 3 and "pid 1 is never touched" in r.stdout


def test_series_over_sealed_and_open_windows(stack, still, story):
    child = still[-1]
    row = processes(stack)[child.pid]
    # All of what it is waited for is written by then: the window after this one is sealed as well.
    wait_for("a seal", lambda: stack.sql(
        "SELECT 1 FROM chunk WHERE proc_id = %s OFFSET 1 LIMIT 1", int(row["id"])), 2 * WINDOW + GRACE + 20)
    series = points(stack, row["id"])
    assert_whole(series)
    (newest,), = stack.sql("SELECT extract(epoch FROM max(t0)) FROM chunk WHERE proc_id = %s", int(row["id"]))
    assert series[0][0] < newest and series[-1][0] > newest + WINDOW, "from chunks and from memory"
    assert {v for _, v in series[-5:]} == {proc_values(child.pid)["rss_bytes"]}
    # The same values in plain SQL, from the chunks.
    for sample in stack.sql("SELECT extract(epoch FROM t)::float8, rss_kib * 1024 FROM sample_rss WHERE "
                            "proc_id = %s AND host_id = 1", int(row["id"])):
        assert any(abs(t - sample[0]) < 0.002 and v == sample[1] for t, v in series), sample
    times = stack.sql("SELECT t FROM sample_rss WHERE proc_id = %s", int(row["id"]))
    assert len(times) == len(set(times))
    leak = points(stack, processes(stack)[story["leak"].pid]["id"])
    assert_whole(leak)
    assert leak[-1][1] - leak[3][1] > 10 << 20


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_restarted_collector_goes_on(stack, still, story, sig):
    alerts = {a["id"]: (a["rule"], a["opened"], a["state"]) for a in stack.items("/alerts")}
    assert any(rule == "leak" for rule, _, _ in alerts.values())
    hosts = [(h["id"], h["uuid"], h["name"]) for h in stack.items("/hosts")]
    shown = {pid: p["id"] for pid, p in processes(stack).items()}
    leak_mails = len(mails(stack, "leak"))
    by_rule = "SELECT cmd_id, state FROM command WHERE actor = 'rule:fragmented'"
    trims = stack.sql(by_rule)
    assert len(trims) == 1
    code = stack.programs["collector"].stop(sig)
    assert code == (0 if sig == signal.SIGTERM else -sig)
    time.sleep(2)
    stack.start_collector()

    # Before the agent is back what was stored is there already.
    assert [(h["id"], h["uuid"], h["name"]) for h in stack.items("/hosts")] == hosts
    ours = [c.pid for c in still] + [p.pid for p in story.values()]
    now = processes(stack)
    assert {pid: now[pid]["id"] for pid in ours} == {pid: shown[pid] for pid in ours}
    wait_for("the agent", lambda: stack.items("/hosts")[0]["connected"], 15)
    before = stored(stack)
    wait_for("new samples", lambda: stored(stack) >= before + 5, 15)
    same = {a["id"]: (a["rule"], a["opened"], a["state"]) for a in stack.items("/alerts")}
    assert same == alerts
    alert = next(a for a in stack.items("/alerts") if a["rule"] == "leak")
    assert len(mails(stack, "leak")) == leak_mails == 1
    # Nor is a trim repeated that a rule asked for: the rule has one in ten minutes.
    assert trims == stack.sql(by_rule)
    assert alert["evidence"]["state"]["mails"] == 1
    for pid in ours:
        assert_whole(points(stack, now[pid]["id"]))
    for child in still:
        assert processes(stack)[child.pid]["rss_bytes"] == proc_values(child.pid)["rss_bytes"]


def test_trim_without_the_root_helper(stack, story):
    stack.programs["actd"].stop()
    r = cli(stack, "trim", f"1:{story['leak'].pid}", "--yes", "--wait")
    assert r.returncode in (1, 3), r
    assert "memherd-actd" in r.stdout + r.stderr, r
    wait_for("the host's ability", lambda: stack.items("/hosts")[0]["can_act"] in (False, True), 1)


def test_end_of_the_leak_is_mailed_in_its_thread(stack, story):
    """The collector that mailed the start was another process; the mail's number goes on."""
    story["leak"].stop(signal.SIGKILL)
    first, last = wait_for("the mail of the end", lambda: len(mails(stack, "leak")) == 2 and mails(stack, "leak"), 30)
    assert (first["X-Memherd-State"], last["X-Memherd-State"]) == ("firing", "resolved")
    assert last["X-Memherd-Incident"] == first["X-Memherd-Incident"] and last["Message-ID"] != first["Message-ID"]
    assert set((last["References"] or "").split()) & set((first["References"] or "").split())
    alert = next(a for a in stack.items("/alerts") if a["rule"] == "leak")
    assert alert["state"] == "resolved" and alert["resolved"]


def test_end_leaves_nothing_behind(stack, story):
    agent = stack.programs["agent"]
    children = subprocess.run(["pgrep", "-P", str(agent.pid)], capture_output=True, text=True, check=True)
    assert agent.stop() == 0
    for pid in children.stdout.split():
        assert not pathlib.Path(f"/proc/{pid}").exists()
    server = int(stack.path("pg/data/postmaster.pid").read_text().split()[0])
    assert stack.programs["collector"].stop() == 0
    assert not pathlib.Path(f"/proc/{server}").exists()
