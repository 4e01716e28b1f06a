# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL away under load for OUTAGE seconds (60; 'make check-fault OUTAGE=600' for the long one): nothing is lost,
rules go on and mail, the alarm needs no database, memory is bounded, what was held back comes in at a limited rate."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import faults  # noqa: E402
import inbox  # noqa: E402

OUTAGE = int(os.environ.get("OUTAGE") or 60)
MIB = 1 << 20
RULES = 'rule grown on process where cmdline ~ "*/leak.py*" { warmup 1s; level mail when rss > 100MiB for 2s; }\n'
FRAME = 256 * 1024
BURST = MIB


class Watch(threading.Thread):
    """The collector's memory and queue, once a second."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.over = stack, threading.Event()
        self.rss, self.queue = [], []
        self.start()

    def run(self):
        pid = self.stack.programs["collector"].pid
        while not self.over.wait(1):
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                self.queue.append(metric(self.stack, "ingest_queue_bytes"))
            except OSError:  # the test has failed and taken it down
                return
            self.rss.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024)

    def end(self):
        self.over.set()
        self.join()


def metric(stack, name):
    text = stack.get("/metrics", raw=True).decode()
    return float(re.search(rf"^memherd_{name} (\S+)$", text, re.M)[1])


def readiness(stack):
    status, _, body = stack.request("GET", "/readyz", token=False)
    return status, body.decode()


def notices(stack):
    return [m for m in stack.messages() if "database is away" in m["Subject"]]


def stack_of(**options):
    s = faults.Faults(**options)
    s.window = "30min"
    return s


def flow(stack, agent, seconds):
    """Bytes a second that came of it lately."""
    rows = stack.sql("SELECT codec, d FROM inbox WHERE host_id = %s AND rcv > now() - %s * interval '1 second'",
                     agent.host_id, seconds)
    return sum(len(inbox.batch(codec, d)) for codec, d in rows) / seconds


def drained(stack):
    faults.wait_for("the queue to be empty", lambda: metric(stack, "ingest_queue_bytes") == 0, 120)


def judge(s):
    """Nothing died, so that each number is there."""
    s.finish()
    found = faults.Oracle(s).judge()
    print(found, flush=True)
    assert found["faults"] == [] and found["gapped"] == found["waiting"] == 0
    for produced, stored, gone in found["numbered"].values():
        assert produced <= stored <= produced + 1 and gone == 0
    return found


def test_rules_go_on_and_nothing_is_lost():
    s = stack_of(drivers=4, real=1, rules=RULES, rate=10, processes=20, collector={"outage_mail": "5s"})
    try:
        s.up()
        time.sleep(8)
        watch = Watch(s)
        time.sleep(3)
        s.cluster.kill()
        down = time.time()
        faults.wait_for("/readyz", lambda: readiness(s)[0] == 503, 5)
        assert re.search(r"refused|closed|terminat|connection", readiness(s)[1]), readiness(s)
        first = faults.wait_for("the alarm", lambda: notices(s), 15)[0]
        alarm = time.time() - down
        assert first["X-Memherd-State"] == "firing" and first["To"] == "ops@demo.example"
        assert "wait in the collector" in first.get_content()
        time.sleep(max(0, OUTAGE * 2 / 3 - (time.time() - down)))
        s.write("leak.py", (ROOT / "tools/demo/leak.py").read_text())
        s.start("leak", "/usr/bin/python3", s.path("leak.py"), 40, user="nobody")
        grown = faults.wait_for("the rule's mail", lambda: [m for m in s.messages() if m["X-Memherd-Rule"] == "grown"],
                                20)[0]
        assert not s.cluster.alive() and "leak.py" in grown["Subject"] + grown.get_body(("plain",)).get_content()
        ruled = time.time() - down
        s.programs["leak"].stop(signal.SIGKILL)
        time.sleep(max(0, OUTAGE - (time.time() - down)))
        held = metric(s, "ingest_queue_bytes")
        s.cluster.up()
        up = time.time()
        drained(s)
        took = time.time() - up
        faults.wait_for("fresh samples", lambda: s.fresh(up), 60)
        faults.wait_for("the mail that it is back", lambda: len(notices(s)) == 2, 30)
        assert notices(s)[1]["X-Memherd-State"] == "resolved" and notices(s)[1]["References"] == first["References"]
        assert readiness(s)[0] == 200
        watch.end()
        judge(s)
        assert len(notices(s)) == 2
        print(f"away {up - down:.0f} s; alarm after {alarm:.1f} s, the rule's mail after {ruled:.1f} s; {held / 1024:.0f} KiB "
              f"held, drained in {took:.1f} s; collector's RSS {watch.rss[0] / MIB:.1f} -> at most {max(watch.rss) / MIB:.1f} MiB, "
              f"queue at most {max(watch.queue) / MIB:.2f} MiB", flush=True)
        assert max(watch.rss) - watch.rss[0] < 64 * MIB + 32 * MIB
    finally:
        s.close()


def test_a_full_queue_pushes_back_and_the_backlog_comes_at_its_rate():
    rate = 128 * 1024
    s = stack_of(drivers=2, real=0, rate=20, processes=200, collector={"queue_bytes": "1MiB", "agent_rate": "128KiB"})
    for a in s.agents:
        a.options["spool_memory"] = "64MiB"
    try:
        s.up()
        time.sleep(7)
        usual = max(flow(s, a, 5) for a in s.agents)
        assert usual < 0.6 * rate
        watch = Watch(s)
        s.cluster.kill()
        time.sleep(40)
        assert 0.5 * MIB < max(watch.queue) <= 0.8 * MIB + 2 * FRAME, "it filled, and no more was read"
        s.cluster.up()
        up = time.time()
        faults.wait_for("the backlog", lambda: s.fresh(time.time() - 1) and all(
            flow(s, a, 4) < 1.2 * usual for a in s.agents), 180, 1)
        took = time.time() - up
        slowed = metric(s, "ingest_slowed_total")
        watch.end()
        judge(s)
        most = 0.0
        for a in s.agents:
            rows = s.sql("SELECT extract(epoch FROM rcv)::float8, codec, d FROM inbox WHERE host_id = %s AND "
                         "rcv > to_timestamp(%s) ORDER BY rcv", a.host_id, up)
            total = 0
            for t, codec, d in rows:
                total += len(inbox.batch(codec, d))
                assert total <= BURST + rate * (t - up + 1) + FRAME, f"{a.name}: {total} bytes within {t - up:.1f} s"
            most = max(most, total / (rows[-1][0] - up))
        print(f"usually {usual / 1024:.0f} KiB/s an agent; backlog in {took:.1f} s, slowed {slowed:.0f} times; at most {most / 1024:.0f} KiB/s an agent; collector's RSS "
              f"{watch.rss[0] / MIB:.1f} -> at most {max(watch.rss) / MIB:.1f} MiB", flush=True)
        assert slowed > 0
        assert max(watch.rss) - watch.rss[0] < 48 * MIB
    finally:
        s.close()


def test_a_postgres_that_hangs_is_told_and_loses_nothing():
    """Every one of its processes is stopped, none of its connections breaks."""
    s = stack_of(drivers=1, real=0, collector={"outage_mail": "2s"})
    try:
        s.up()
        pids = [s.cluster.process.pid, *map(int, subprocess.run(
            ["pgrep", "-P", str(s.cluster.process.pid)], capture_output=True, text=True, check=True).stdout.split())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            faults.wait_for("/readyz", lambda: readiness(s)[0] == 503, 10)
            faults.wait_for("the alarm", lambda: notices(s), 25)
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)
        faults.wait_for("the mail that it is back", lambda: len(notices(s)) == 2, 30)
        judge(s)
    finally:
        s.close()
