# SPDX-License-Identifier: Apache-2.0
"""A host's wall clock is set by hours and years, both ways, while its agent streams: samples go on at their time, none is
missing, and a restart of the collector reads the same back. Only the agent's clock is set, by a library in front of
the C library."""
import os
import pathlib
import struct
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/support")]
from kills import missing  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

HOUR = 3600
YEAR = 365 * 24 * HOUR
# Mapped before main(): the agent's processes may open nothing later.
LIBRARY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile long long *ahead_s;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void map(void)
{
    int fd = open(getenv("SET_CLOCK"), O_RDONLY);

    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    ahead_s = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int rc = real(id, ret);

    if (id == CLOCK_REALTIME)
        ret->tv_sec += *ahead_s;
    return rc;
}
"""


class Clock:
    """Of the agent."""

    def __init__(self, stack):
        self.file = stack.write("clock", "")
        self.set(0)
        library = stack.path("clock.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", library], input=LIBRARY, text=True, check=True)
        self.prefix = ("/usr/bin/env", f"LD_PRELOAD={library}", f"SET_CLOCK={self.file}")

    def set(self, ahead_s):
        with open(self.file, "r+b") as f:
            f.write(struct.pack("<q", ahead_s))


def series(stack, process):
    points = stack.get(f"/api/v1/processes/{process}/series?from=-10h&max_points=10000")["points"]
    return dict(map(tuple, points))


def is_whole(times, since):
    """A sample a second from then to now."""
    times = [t for t in sorted(times) if t >= since]
    return (times and times[0] - since < 3 and time.time() - times[-1] < 3
            and all(b - a < 2.5 for a, b in zip(times, times[1:])))


@pytest.mark.skipif("asan" in os.environ.get("B", ""), reason="a sanitizer wants to be loaded first")
def test_a_clock_that_is_set_moves_no_sample():
    with Stack(window="10s", interval="1s") as s:
        s.start_sink()
        s.start_collector()
        s.enroll_agent()
        clock = Clock(s)
        s.start_agent(clock.prefix)
        watched = s.start("watched", "/bin/sleep", 3600)
        process = wait_for("the process", lambda: next(
            (p for p in s.items("/hosts/1/processes?limit=1000") if p["pid"] == watched.pid), None), 30)["id"]
        since = min(wait_for("its samples", lambda: series(s, process), 20))


        for ahead in (-2 * HOUR, 0, 2 * HOUR, 10 * YEAR, HOUR - int(time.time()), 0):
            clock.set(ahead)
            time.sleep(5)
            assert is_whole(series(s, process), since), (ahead, sorted(series(s, process)))
        assert "clock was set" not in s.path("agent.log").read_text()
        clock.set(60)  # greets anew with its next heartbeat
        wait_for("a new greeting", lambda: "clock was set" in s.path("agent.log").read_text(), 25)
        time.sleep(4)
        assert is_whole(series(s, process), since), sorted(series(s, process))
        before = series(s, process)
        s.programs["collector"].stop()
        s.start_collector()
        after = wait_for("samples of after the restart", lambda: max(series(s, process), default=0) > max(before) + 2
                         and series(s, process), 40)
        assert not missing(before, after) and is_whole(after, since)
