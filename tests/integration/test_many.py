# SPDX-License-Identifier: Apache-2.0
"""20,000 real processes on one host: with the usual cap the rest is counted as skipped, without it all are
told; the agent's memory is bounded, its rounds go on, and it outlives the end of them all."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import Stack, wait_for  # noqa: E402

CROWD = ROOT / os.environ.get("B", "build/release-gcc") / "drivers/crowd"
MANY = 20000
CAP = 5000
MIB = 1 << 20
RSS_MAX = 32 * MIB  # what max_rss lets gathering have
SANITIZED = "asan" in os.environ.get("B", "")  # keeps what was freed: its resident memory says nothing
# Some 120 KiB each, most of it the kernel's.
NEEDED_KIB = 5 << 20


def number(path):
    return int(pathlib.Path(path).read_text().split()[0])


def room():
    """Why there cannot be so many processes here, or None."""
    running = sum(1 for _ in pathlib.Path("/proc").glob("[0-9]*/task/*"))
    most = min(number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max"))
    if most - running < MANY + 2000:
        return f"pid_max and threads-max let {most} run, and {running} do"
    available = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                     if line.startswith("MemAvailable:"))
    return None if available > NEEDED_KIB else f"only {available >> 10} MiB of memory are available"


class Crowd:
    """with Crowd(): so many processes sleep; afterwards each has been ended by its pid."""

    def __enter__(self):
        self.process = subprocess.Popen([CROWD, str(MANY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            self.__exit__()
            pytest.skip(f"the system lets us have only {said}")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            assert self.process.stdout.readline() == "ended\n"
            self.process.wait(90)
            self.process.stdout.close()


class Host:
    def __init__(self, stack):
        self.stack = stack
        self.id = stack.items("/hosts")[0]["id"]
        self.sense = None

    def get(self):
        return self.stack.get(f"/api/v1/hosts/{self.id}")

    def start(self, cap):
        """The agent with that cap."""
        if self.stack.programs["agent"].alive():
            self.stack.programs["agent"].stop()
        self.stack.agent_options["max_processes"] = cap
        conf = self.stack.path("agent.conf")
        lines = [line for line in conf.read_text().splitlines() if not line.startswith("max_processes")]
        conf.write_text("\n".join([*lines, f"max_processes = {cap}"]) + "\n")
        self.stack.start_agent()
        pid = self.stack.programs["agent"].pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")

        def named():
            for child in children.read_text().split():
                if pathlib.Path(f"/proc/{child}/comm").read_text() == "memherd-sense\n":
                    return int(child)
            return None
        self.sense = wait_for("memherd-sense", named, 20)

    def rss(self):
        """Of the gathering process."""
        pages = int(pathlib.Path(f"/proc/{self.sense}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def until(self, what, holds, seconds):
        """The host as REST has it, once that holds."""
        def look():
            h = self.get()
            return h if h["skipped"] is not None and holds(h) else None
        return wait_for(what, look, seconds, 0.3)

    def moves(self, rounds=2):
        """Ticks go on, and from the same process."""
        for _ in range(rounds):
            seen = self.get()["last_seen"]
            wait_for("the next tick", lambda: self.get()["last_seen"] != seen, 60)
        assert pathlib.Path(f"/proc/{self.sense}/comm").read_text() == "memherd-sense\n"


def test_twenty_thousand_processes():
    reason = room()
    if reason:
        pytest.skip(reason)
    with Stack(interval="1s").up() as stack:
        wait_for("the first samples", lambda: any(h["connected"] for h in stack.items("/hosts")), 30)
        host = Host(stack)
        with Crowd():
            host.start(CAP)
            got = host.until("as many as the cap lets in, and the rest counted",
                             lambda h: CAP - 300 < h["processes"] < CAP + 500 and h["skipped"] >= MANY - CAP, 90)
            assert got["skipped"] <= MANY
            host.moves()
            host.until("the rest still counted", lambda h: h["skipped"] >= MANY - CAP, 90)
            assert SANITIZED or host.rss() < 24 * MIB
            host.start(65535)
            host.until("all of them", lambda h: h["processes"] >= MANY and h["skipped"] < 100, 120)
            host.moves()
            assert SANITIZED or (host.get()["sense_rss_bytes"] < RSS_MAX and host.rss() < RSS_MAX)
        host.until("their end", lambda h: h["processes"] < MANY / 2, 90)
        host.moves()
        assert SANITIZED or host.rss() < RSS_MAX
        assert stack.programs["agent"].log.read_text().count(" ended ") == 2 * 2  # the two agents before it
