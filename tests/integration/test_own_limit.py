# SPDX-License-Identifier: Apache-2.0
"""A kill at a limit that memherd itself had set: asked for on the command line, set by memherd-actd on a real memory
cgroup (v1 here), met by a program that grows, told by the kernel, and blamed on the action that had set it."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from memcg import Memcg, Unusable  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

PYTHON = "/usr/bin/python3"
MIB = 1 << 20
LIMIT = 100 * MIB
OPEN = 4096 * MIB  # as good as none
V1 = pathlib.Path("/sys/fs/cgroup/memory")
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.access(V1 / "memory.limit_in_bytes", os.W_OK),
                                reason="needs root and a memory controller of cgroup v1")

# Mostly files, so that the limit is not refused: there is something to reclaim at first. Asked for it, it leaks
# faster than anybody could take the limit back.
HOLDER = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: room.extend(bytearray(1 << 20) for _ in range(4096)))
room = [bytearray(15 << 20)]
f = open(sys.argv[1], "rb")
while f.read(1 << 20):
    pass
open(sys.argv[2], "w").close()
while True:
    signal.pause()
"""


@pytest.fixture(scope="module")
def stack():
    try:
        with Memcg(64 * MIB):
            pass
        pathlib.Path("/dev/kmsg").open("rb").close()
    except (Unusable, OSError) as e:
        pytest.skip(f"no kill can be made and read here: {e}")
    with Stack(interval="1s", policy="allow limit uid>=0\ndeny *\n").up() as s:
        s.path("holder.py").write_text(HOLDER)
        wait_for("a host that takes commands", lambda: [h["can_act"] for h in s.items("/hosts")] == [True], 30)
        yield s


class Box(Memcg):
    """A cgroup with programs whose files are read into it."""

    def __init__(self, stack, limit=OPEN):
        super().__init__(limit, name="memherd-own-limit")
        self.stack = stack

    def start(self):
        """A holder that has what it holds, and is known to memherd."""
        n = len(self.programs)
        blob, ready = (self.stack.path(f"{self.path.name}-{n}.{what}") for what in ("blob", "ready"))
        blob.write_bytes(os.urandom(MIB) * 40)
        with open(blob, "rb+") as f:  # what is in the page cache already would be charged to who wrote it
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        program = self.run([PYTHON, self.stack.path("holder.py"), blob, ready])
        wait_for("its memory", ready.exists, 30)
        wait_for("the process", lambda: [p for p in self.stack.items(f"/processes?limit=10000&service=python:holder.py")
                                         if p["pid"] == program.pid and (p["rss_bytes"] or 0) > 15 * MIB], 30)
        return program


def limit(stack, pid):
    """The action that set the limit, by its id."""
    said = json.loads(stack.cli("limit", f"1:{pid}", "--bytes", LIMIT, "--kind", "max", "--for", "5min", "--reason", "a test",
                                "--yes", "--wait", "--json"))
    assert said["state"] == "done" and "memory.limit_in_bytes" in said["detail"], said
    return said["id"]


def killed(stack, program):
    program.send_signal(signal.SIGUSR1)
    assert program.wait(30) == -signal.SIGKILL
    return wait_for("the kill", lambda: [k for k in stack.items("/oom-events?limit=500") if k["pid"] == program.pid], 30)[0]


def test_the_action_is_named_where_the_kill_is_told(stack):
    with Box(stack) as box:
        program = box.start()
        action = limit(stack, program.pid)
        assert int(box.read("memory.limit_in_bytes")) == LIMIT
        kill = killed(stack, program)
        assert box.kills() == 1 and kill["cause"] == "kernel_memcg" and kill["limit_cgroup"] == box.name() and kill["limit_bytes"] == LIMIT
        blame = f"; the limit was set by memherd action {action}, asked for by admin."
        assert kill["verdict"].startswith("The kernel killed python3") and kill["verdict"].endswith(blame) and "." + blame not in kill["verdict"], kill["verdict"]
        one = stack.get(f"/api/v1/oom-events/{kill['id']}")
        assert one["verdict"] == kill["verdict"] and one["dossier"]["victim"]["pid"] == program.pid
        assert [(a["id"], a["type"], a["state"]) for a in one["recent"]["actions"]] == [(action, "limit", "done")]
        told = stack.cli("oom", "show", kill["id"])
        assert action in told and "asked for by admin." in told, told
        # What the agent said stays as it was: the database joins the two.
        assert "memherd action" not in stack.sql("SELECT verdict FROM oom_kill WHERE kill_id = %s", kill["id"])[0][0]


def test_a_neighbour_in_the_cgroup_is_blamed_on_it_too(stack):
    """The limit is the whole cgroup's: who dies of it need not be the process that was named."""
    with Box(stack) as box:
        named, neighbour = box.start(), box.start()
        action = limit(stack, named.pid)
        kill = killed(stack, neighbour)
        assert action in kill["verdict"], kill["verdict"]
        assert named.poll() is None


def test_a_limit_of_somebody_elses_is_not_ours(stack):
    with Box(stack) as ours, Box(stack, limit=LIMIT) as other:
        limit(stack, ours.start().pid)
        kill = killed(stack, other.start())
        assert kill["limit_cgroup"] == other.name() and kill["limit_bytes"] == LIMIT
        assert "memherd action" not in kill["verdict"]
