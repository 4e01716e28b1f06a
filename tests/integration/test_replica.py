# SPDX-License-Identifier: Apache-2.0
"""History is read from a real streaming standby while it follows: what was read where is asked of the servers'
own logs. Killed, hung or behind, it is left and nothing is missing from an answer."""
import json
import os
import pathlib
import shutil
import signal
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/demo"))
import collectors  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

LAG = 5


class Standby(collectors.Server):
    """Of a server, by pg_basebackup; a statement that it runs is in its log."""

    def __init__(self, primary):
        super().__init__()
        self.primary = primary

    def set_up(self):
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        self.run(f"{self.bin}/pg_basebackup", "-h", self.primary.dir, "-U", "postgres", "-D", f"{self.dir}/data", "-R",
                 "-X", "stream", "-c", "fast")
        self.start()

    def start(self):
        options = f"-k {self.dir} -c listen_addresses='' -c hot_standby_feedback=on -c log_statement=all -c recovery_min_apply_delay=1500"
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-w", "-o", options, "-l", f"{self.dir}/log", "start")

    def pids(self):
        """The postmaster and its children."""
        first = int(pathlib.Path(self.dir, "data/postmaster.pid").read_text().split()[0])
        children = pathlib.Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def asked(self, what):
        return pathlib.Path(self.dir, "log").read_text(errors="replace").count(what)


class World:
    def __enter__(self):
        self.primary = collectors.Server()
        self.standby = Standby(self.primary)
        self.stack = None
        try:
            self.primary.set_up()
            self.standby.set_up()
            self.stack = Stack(window="10s", interval="1s", collector={
                "database": self.primary.url, "database_read": self.standby.url, "database_read_lag": f"{LAG}s"})
            self.stack.up()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.stack:
            self.stack.close()
        self.standby.__exit__()
        self.primary.__exit__()

    def state(self):
        return self.stack.get("/api/v1/store")["replica"]

    def wait_used(self, used, seconds=30):
        return wait_for(f"used={used}", lambda: (lambda s: s if s["used"] is used else None)(self.state()), seconds, 0.2)

    def process(self):
        return max(self.stack.items("/hosts/1/processes?limit=1000"), key=lambda p: p["rss_bytes"] or 0)["id"]

    def series(self, process):
        status, _, body = self.stack.request("GET", f"/api/v1/processes/{process}/series?from=-5min&max_points=2000")
        assert status == 200, body
        return [t for t, _ in json.loads(body)["points"]]


@pytest.fixture(scope="module")
def world():
    with World() as w:
        yield w


def test_history_is_read_from_the_standby(world):
    s = world.wait_used(True)
    assert s["reason"] is None and s["lag_seconds"] < LAG
    before = world.standby.asked("event_list")
    assert world.stack.get("/api/v1/events") is not None
    wait_for("the statement in the standby's log", lambda: world.standby.asked("event_list") > before or
             world.standby.asked("FROM event") > 0, 10)
    # What must be fresh is not.
    for path in ("alerts", "actions", "tokens"):
        assert world.stack.get(f"/api/v1/{path}") is not None
    for table in ("FROM alert", "FROM command", "FROM api_token"):
        assert world.standby.asked(table) == 0
    assert "memherd_replica_used 1" in world.stack.get("/metrics", raw=True).decode()


def watch(world, process, stop, faults):
    """Series are read all the time: none may fail, go back or have a hole."""
    newest = 0
    while not stop.is_set():
        try:
            times = world.series(process)
            if times:
                holes = [(a, b) for a, b in zip(times, times[1:]) if b - a > 4]
                if holes or times != sorted(set(times)):
                    faults.append(("hole", holes))
                if times[-1] < newest:
                    faults.append(("back", times[-1], newest))
                newest = max(newest, times[-1])
        except Exception as e:  # noqa: BLE001
            faults.append(repr(e))
        time.sleep(0.05)


def test_windows_are_sealed_without_a_hole_and_a_kill_is_not_seen(world):
    """Windows of 10 s go into chunks meanwhile; then the standby is killed under the reads, and comes back."""
    world.wait_used(True)
    process = wait_for("a process", world.process, 10)
    wait_for("samples", lambda: len(world.series(process)) > 5, 20)
    stop, faults = threading.Event(), []
    reader = threading.Thread(target=watch, args=(world, process, stop, faults))
    reader.start()
    try:
        sealed = world.primary.query("SELECT count(*) FROM compaction")[0][0]
        wait_for("two windows sealed", lambda: world.primary.query("SELECT count(*) FROM compaction")[0][0] >= sealed + 4, 90)
        left = world.state()["left"]
        for pid in world.standby.pids():
            os.kill(pid, signal.SIGKILL)
        s = world.wait_used(False)
        assert s["left"] == left + 1 and s["reason"]
        time.sleep(2)
        world.standby.start()
        world.wait_used(True)
        time.sleep(2)
    finally:
        stop.set()
        reader.join()
    assert not faults, faults[:3]
    log = world.stack.programs["collector"].log.read_text()
    assert "store=replica state=used" in log and "store=replica state=left" in log


def test_one_that_hangs_is_left(world):
    world.wait_used(True)
    process = world.process()
    pids = world.standby.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert world.series(process), "what waited over there was asked of the primary"
        assert time.monotonic() - started < 10
        assert world.wait_used(False)["reason"]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    world.wait_used(True)


def test_one_that_is_behind_is_left(world):
    world.wait_used(True)
    world.standby.query("SELECT pg_wal_replay_pause()")
    s = world.wait_used(False)
    assert "behind" in s["reason"] and s["lag_seconds"] > LAG
    assert world.stack.request("GET", "/readyz")[0] == 200
    world.standby.query("SELECT pg_wal_replay_resume()")
    world.wait_used(True)


def test_another_database_is_not_taken_for_one(world):
    """It is left with its reason, and what is asked goes to the primary."""
    class Other(collectors.Server):
        MIGRATED = False

    def restart(url):
        world.stack.programs["collector"].stop()
        world.stack.collector_options["database_read"] = url
        world.stack.start_collector()

    other = Other()
    try:
        other.set_up()
        other.query("CREATE TABLE collector (collector_id int2, uuid uuid, seen timestamptz)")
        restart(other.url)
        wait_for("its reason", lambda: "no replica of this database" in (world.state()["reason"] or ""), 20)
        assert not world.state()["used"] and world.stack.get("/api/v1/events") is not None
        restart(world.standby.url)
        world.wait_used(True)
    finally:
        other.__exit__()
