# SPDX-License-Identifier: Apache-2.0
"""The agent's disk spool over the whole path: what was gathered while nobody listened outlives kill -9 of the
agent, and is stored once; a disk that is full or read-only only costs its help."""
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

import psutil
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from kills import count_streams  # noqa: E402
from stack import Stack, agent_user, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
HEAD, RECORD, GAP = 64, 40, 3


def last_numbers(folder):
    """{epoch: last number} of what lies in the folder, read by its description alone."""
    last = {}
    for path in sorted(folder.glob("*.seg")):
        data = path.read_bytes()
        magic, version, _, _, epoch, first = struct.unpack_from("<8sHHIQQ", data)
        assert (magic, version) == (b"MHSPOOL\n", 1)
        assert path.name.split("-")[1] == f"{epoch:016x}"
        last.setdefault(epoch, first - 1)
        at = HEAD
        while at < len(data):
            _, _, size, _, _, _, seq, to = struct.unpack_from("<IIIBBHQQ", data, at)
            assert seq == last[epoch] + 1
            last[epoch] = to
            at += RECORD + (size + 7) // 8 * 8
    return last


def link(stack):
    for p in psutil.Process(stack.programs["agent"].pid).children():
        if p.name() == "memherd-link":
            return p
    return None


def said(stack):
    return stack.path("agent.log").read_text()


def kill_agent(stack):
    """All of it, at once, and until it is gone."""
    agent = psutil.Process(stack.programs["agent"].pid)
    processes = [agent, *agent.children(recursive=True)]
    for p in processes:
        p.kill()
    stack.programs["agent"].stop(signal.SIGKILL)
    psutil.wait_procs(processes, 10)


def wait_kept(folder, more):
    """Until so many more records lie on the disk."""
    def records():
        return sum(last_numbers(folder).values())
    before = records()
    wait_for("records on the disk", lambda: records() >= before + more, 20)


def drained(stack, epochs):
    """Every one of these streams is stored to its end."""
    rows = dict(stack.sql("SELECT epoch, last_seq FROM agent_stream"))
    return all(rows.get(e, 0) >= n for e, n in epochs.items())


def count(stack):
    assert stack.programs["agent"].stop() == 0
    ends = re.findall(r"stream=(\w+) ends lane=\w+ produced=(\d+) stored=(\d+)", said(stack))
    assert all(made == stored for _, made, stored in ends[-2:]), ends
    return count_streams(stack.sql, {int(e, 16): int(n) for e, _, n in ends[-2:]})


def test_what_was_gathered_alone_outlives_two_kills_and_is_stored_once():
    with Stack(window="10s", interval="1s").up() as stack:
        folder = stack.path("agent/spool")
        wait_for("a stream", lambda: stack.sql("SELECT 1 FROM agent_stream WHERE last_seq > 1"), 20)
        assert folder.stat().st_mode & 0o7777 == 0o700
        # a link in health leaves next to nothing on the disk
        before = link(stack).io_counters()
        time.sleep(4)
        after = link(stack).io_counters()
        assert after.write_count > before.write_count
        assert sum(p.stat().st_size for p in folder.glob("*.seg")) < 16 * 1024
        stack.programs["collector"].stop(signal.SIGKILL)
        made = {}
        for _ in range(2):
            wait_kept(folder, 3)
            kill_agent(stack)
            made.update(last_numbers(folder))
            stack.start_agent()
        wait_kept(folder, 2)
        assert len(made) == 4
        stack.start_collector()
        wait_for("what was left", lambda: drained(stack, made), 30)
        rows = dict(stack.sql("SELECT epoch, last_seq FROM agent_stream"))
        assert {e: rows[e] for e in made} == made  # what lay on the disk, and nothing more
        assert stack.sql("SELECT count(*) FROM gap") == [(0,)]
        streams, records = count(stack)
        assert streams == 6 and records >= sum(made.values())
        assert list(folder.glob("*.seg")) == [] and list(folder.glob("*.bad")) == []


def mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def test_a_full_or_read_only_disk_costs_nothing_but_its_help():
    disk = pathlib.Path(f"/tmp/memherd-disk-{os.getpid()}")
    disk.mkdir()
    mount(disk, "size=512k")
    try:
        with Stack(window="10s", interval="1s", agent={"spool_dir": disk / "spool", "spool_disk": "1MiB"}) as stack:
            (disk / "spool").mkdir(mode=0o700)
            subprocess.run(["chown", agent_user(), disk / "spool"], check=True)
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            stack.up()
            wait_for("word of it", lambda: "goes on in memory" in said(stack), 10)
            assert "Read-only file system" in said(stack)
            told = wait_for("an event", lambda: stack.sql(
                "SELECT doc FROM event WHERE doc::text LIKE '%%disk spool fails%%'"), 20)
            assert "Read-only" in str(told)
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            wait_for("its return", lambda: "works again" in said(stack), 40)

            stack.programs["collector"].stop(signal.SIGKILL)
            wait_kept(disk / "spool", 2)
            with pytest.raises(OSError):
                (disk / "filler").write_bytes(bytes(1 << 20))
            # pages that a file has already take a few more records
            wait_for("word of it", lambda: said(stack).count("goes on in memory") == 2, 20)
            pid = link(stack).pid
            time.sleep(2)
            (disk / "filler").unlink()
            wait_for("its return", lambda: said(stack).count("works again") == 2, 40)
            assert link(stack).pid == pid  # it never ended
            kill_agent(stack)
            made = last_numbers(disk / "spool")
            stack.start_agent()
            stack.start_collector()
            wait_for("what was left", lambda: drained(stack, made), 30)
            assert stack.sql("SELECT count(*) FROM gap") == [(0,)]
            count(stack)
    finally:
        subprocess.run(["umount", disk], check=False)
        disk.rmdir()
