# SPDX-License-Identifier: Apache-2.0
"""What stays constant while the agent works: resident memory and descriptors."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = ROOT / os.environ.get("B", "build/release-gcc") / "drivers/soak"
# A sanitizer keeps what was freed, so its resident memory says nothing.
SANITIZED = "asan" in str(DRIVER)
KIB_PER_HOUR = 0.1 * 1024


def rounds(count, warm_up, seconds):
    """The gathering process's rounds on a clock of 10 s each; its figures by name."""
    run = subprocess.run([DRIVER, str(count), str(warm_up)], capture_output=True, text=True, timeout=seconds, check=False)
    print(run.stdout, run.stderr)
    assert run.returncode == 0, run.stderr
    figures = dict(line.split() for line in run.stdout.splitlines())
    assert int(figures["rounds"]) == count
    # There was something to forget: processes ended, and every round was told.
    assert int(figures["ends"]) >= count // 2
    assert int(figures["bytes"]) > count * 20
    return figures


def resident_kib(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def family(pid):
    """A process and all below it, {pid: name}."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            comm, _, rest = (folder / "stat").read_text().partition(" (")[2].rpartition(") ")
        except OSError:
            continue
        parents[int(folder.name)] = (int(rest.split()[1]), comm)
    found = {pid: parents[pid][1]}
    while more := {p: c for p, (parent, c) in parents.items() if parent in found and p not in found}:
        found.update(more)
    return found
