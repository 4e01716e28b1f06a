# SPDX-License-Identifier: Apache-2.0
"""A process that maps a forged libpython and lies in each table that is read: it gets the name of a reason, the
reader survives, and no look costs more than a bounded number of reads, however long the lie is."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVERS = ROOT / os.environ.get("B", "build/release-gcc") / "drivers"
STATES = {"readable", "not_python", "starting", "finalizing", "too_old", "unknown_version", "unknown_layout", "free_threaded",
          "debug_build", "other_python", "denied", "other_machine", "gone"}
MAX_READS = 20000

# Between the reader and the kernel: how many reads it asked for, and how large they were.
COUNTER = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static unsigned long calls, most;
ssize_t process_vm_readv(pid_t pid, const struct iovec *a, unsigned long na, const struct iovec *b, unsigned long nb, unsigned long f)
{
	unsigned long n = 0;
	for (unsigned long i = 0; i < na; i++)
		n += a[i].iov_len;
	calls++;
	if (n > most)
		most = n;
	return syscall(SYS_process_vm_readv, pid, a, na, b, nb, f);
}
__attribute__((destructor)) static void tell(void)
{
	fprintf(stderr, "%lu %lu\n", calls, most);
}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", folder / "counter.so", folder / "counter.c"], check=True)
    return folder / "counter.so"


class Hostile:
    def __init__(self, folder, damage, name="libpython3.13.so.1.0"):
        self.proc = subprocess.Popen(["nice", DRIVERS / "hostile", folder / name, damage], stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b"ready\n"

    def __enter__(self):
        return self.proc.pid

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


def read(pid, counter):
    env = {**os.environ}
    if "asan" not in str(DRIVERS):  # a sanitizer wants to be loaded first
        env["LD_PRELOAD"] = str(counter)
    r = subprocess.run([DRIVERS / "gcread", str(pid)], capture_output=True, text=True, timeout=120, check=False, env=env)
    assert r.returncode == 0, r.stderr
    got = json.loads(r.stdout)
    if "LD_PRELOAD" in env:
        calls, most = map(int, r.stderr.split())
        assert calls < MAX_READS and most <= 1 << 16
        got["calls"] = calls
    assert got["state"] in STATES
    return got


@pytest.mark.parametrize("damage, state", [
    ("none", "readable"), ("truncated", "unknown_layout"), ("endless_chain", "unknown_layout"), ("ring_of_symbols", "unknown_layout"),
    ("ring_of_interpreters", "unknown_layout"), ("ring_of_frozen", "readable"), ("huge_offsets", "unknown_layout"),
    ("huge_dynamic", "not_python"), ("huge_table", "unknown_layout"), ("many_headers", "not_python"), ("crowd", "unknown_layout"),
])
def test_each_lie_has_its_name(tmp_path, counter, damage, state):
    with Hostile(tmp_path, damage) as pid:
        got = read(pid, counter)
    assert got["state"] == state, got
    if damage == "ring_of_frozen":
        assert got["interpreters"][0]["error"] == os.strerror(11)


def test_a_forged_library_does_not_hide_behind_another_name(tmp_path, counter):
    """Nothing about its name says Python, and it is no program: it is not even opened."""
    with Hostile(tmp_path, "none", "libfoo.so") as pid:
        assert read(pid, counter)["state"] == "not_python"


def test_one_that_changes_while_it_is_read(tmp_path, counter):
    seen = set()
    with Hostile(tmp_path, "changing") as pid:
        for _ in range(100):
            seen.add(read(pid, counter)["state"])
    assert seen and seen <= STATES - {"denied", "gone"}
