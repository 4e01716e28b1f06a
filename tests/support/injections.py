# SPDX-License-Identifier: Apache-2.0
"""Calls into processes that do all that may be in their way, as many as one wants, and what must hold afterwards: the
process lives, nothing in it is corrupt, no call was lost or doubled, no signal stays blocked, none of its calls told of
an interruption that was not its own. drivers/inject does them as fast as it goes."""
import contextlib
import glob
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import pythons  # noqa: E402

B = ROOT / os.environ.get("B", "build/release-gcc")
INJECT = B / "drivers/inject"
PYTHON_TARGET = ROOT / "tests/support/inject_target.py"
HAMMER = ROOT / "tests/support/inject_hammer.c"


def build_hammer(folder):
    out = pathlib.Path(folder) / "hammer"
    subprocess.run(["gcc", "-O1", "-g", "-pthread", "-o", out, HAMMER], check=True)
    return out


class Target:
    """A program that says 'ready', and when its stdin ends what it has seen of itself."""

    def __init__(self, argv, env=None):
        self.p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=env)
        self.pid = self.p.pid
        line = self.p.stdout.readline()
        assert line == b"ready\n", (line, self.p.stderr.read())

    def finish(self, seconds=60):
        try:
            out, err = self.p.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            wchan = [open(f).read() for f in glob.glob(f"/proc/{self.pid}/task/*/syscall")]
            raise AssertionError(f"process {self.pid} hangs; its threads are in {wchan}") from None
        assert self.p.returncode == 0, (self.p.returncode, out[-300:], err[-2000:])
        assert err == b"", err[-2000:]
        return {k: int(v) for k, v in (pair.split("=") for pair in out.decode().split())}

    def end(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr):
            f.close()


def signals_blocked(pid):
    masks = set()
    for task in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(task) as f:
            masks |= {line.split()[1] for line in f if line.startswith("SigBlk")}
    return masks


def inject(what, pid, times, program=INJECT, env=None, seconds=None):
    """drivers/inject's figures."""
    p = subprocess.run([program, what, str(pid), str(times)], capture_output=True, text=True, env=env,
                       timeout=seconds or 60 + times)
    assert p.returncode == 0, (p.returncode, p.stderr)
    return json.loads(p.stdout)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def inject_killed(what, pid, kills, longest_s, seed):
    """Kills workers at random moments of their lives until so many have died, and tells the figures. A worker that
    answered first was not killed."""
    rng = random.Random(seed)
    # the leak checker ends with a child of its own, which is not a worker
    job = subprocess.Popen([INJECT, what, str(pid), str(kills)], stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    over = threading.Event()

    def kill():
        last = None
        while not over.is_set():
            workers = [w for w in children_of(job.pid) if w != last]
            if not workers:
                time.sleep(0.0001)
                continue
            last = workers[0]
            time.sleep(rng.uniform(0, longest_s))
            try:
                if children_of(job.pid) == [last]:
                    os.kill(last, signal.SIGKILL)
            except ProcessLookupError:
                pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        out = job.communicate(timeout=120 + kills)[0]
    finally:
        over.set()
        killer.join()
        job.kill()
        job.wait()
    return json.loads(out)


def settle(target, seconds=10):
    """Until what a worker that died has sent it on is over: no signal is blocked any more."""
    end = time.monotonic() + seconds
    while signals_blocked(target.pid) != {"0000000000000000"}:
        assert target.p.poll() is None and time.monotonic() < end, signals_blocked(target.pid)
        time.sleep(0.01)


@contextlib.contextmanager
def running(argv, env=None):
    t = Target(argv, env)
    try:
        yield t
    finally:
        t.end()


def trims(hammer, mode, times):
    """All of them are done, or had no safe point, and the hammer has seen nothing of it."""
    with running([hammer, mode]) as t:
        r = inject("trim", t.pid, times)
        settle(t)
        said = t.finish()
    print(f"\n{mode}: {times} trims, {r['done']} done, {r['later']} found no safe point; {said}")
    assert r["done"] + r["later"] == times and r["done"] >= 0.9 * times, r
    assert (said["corrupt"], said["eintr"], said["other"]) == (0, 0, 0), said
    assert said["turns"] > 0 and said["rounds"] > 0 and (said["signals"] > 0 if mode == "storm" else said["forks"] > 0), said
    return r


def scripts(python, mode, times, *args):
    """Each that is told of as done ran once, no other ran, and the program's own work is right."""
    with running(python.argv("-c", PYTHON_TARGET.read_text(), mode, *args), pythons.clean_environment()) as t:
        r = inject("script", t.pid, times)
        settle(t)
        said = t.finish()
    print(f"\n{python.label} {mode} {' '.join(args)}: {times} scripts, {r['done']} done, {r['later']} found no safe point, "
          f"{r['taken_back']} taken back; {said}")
    assert r["unknown"] == r["failed"] == 0 and r["done"] >= 0.9 * times, r
    assert said["ran"] == r["done"] and said["errors"] == said["wrong"] == 0 and said["turns"] > 0, (r, said)
    return r
