# SPDX-License-Identifier: Apache-2.0
"""Restarts of real processes over the whole path: by their parent and by a Docker engine; what comes back,
what is refused, and that how the process ended is told as ours only when it was."""
import json
import os
import pathlib
import signal
import shutil
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from actd import Actd  # noqa: E402
from docker import Docker, Unusable  # noqa: E402
from stack import BIN, Stack, wait_for  # noqa: E402
from supervisords import Supervisord  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PYTHON = "/usr/bin/python3"
POLICY = "allow restart uid>=0 exe=/usr/bin/python3* max=4/h\ndeny *\n"
# A master as small as one can be: its first worker has grown large, the next ones have not yet.
MASTER = """
import subprocess, sys, time
size, text = 80, sys.argv[2]
while True:
    worker = subprocess.Popen([sys.argv[1], "-c", text, str(size)], stdout=subprocess.DEVNULL)
    print(worker.pid, flush=True)
    worker.wait()
    size = 10
    time.sleep(0.2)
"""
WORKER = "import sys, time\nroom = b'x' * (int(sys.argv[1]) << 20)\ntime.sleep(600)\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER
POLITE = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + WORKER


class Master:
    """A master and its present worker, which runs Python text."""

    def __init__(self, text=WORKER):
        self.process = subprocess.Popen([PYTHON, "-c", MASTER, PYTHON, text], stdout=subprocess.PIPE, text=True)
        self.pids = []
        self.next()

    def next(self):
        self.pids.append(int(self.process.stdout.readline()))
        return self.pids[-1]

    @property
    def pid(self):
        return self.pids[-1]

    def end(self):
        self.process.kill()
        self.process.wait()
        for line in self.process.stdout:
            self.pids.append(int(line))
        self.process.stdout.close()
        for pid in self.pids[-1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture(scope="module")
def stack():
    s = Stack(window="10s", interval="1s", policy=POLICY)
    try:
        yield s.up()
    finally:
        s.close()


@pytest.fixture
def master():
    started = []

    def go(text=WORKER):
        started.append(Master(text))
        return started[-1]

    yield go
    for m in started:
        m.end()


def known(stack, pid, at_least=0):
    """The process as the collector knows it, once it does and it has taken its memory."""
    def look():
        found = [p for p in stack.items("/hosts/1/processes?limit=1000") if p["pid"] == pid]
        return found and found[0]["rss_bytes"] > at_least and found[0]
    return wait_for(f"process {pid}", look, 30)


def cli(stack, *argv):
    env = dict(os.environ, MEMHERD_URL=stack.url(""), MEMHERD_TOKEN=stack.token)
    return subprocess.run([str(BIN / "memherd"), *map(str, argv)], env=env, capture_output=True, text=True,
                          check=False, timeout=120)


def restart(stack, pid, *args):
    r = cli(stack, "restart", f"1:{pid}", "--json", *(args or ("--yes", "--wait")))
    assert r.stdout, r.stderr
    return r.returncode, json.loads(r.stdout)


def death(stack, process):
    """How it ended, with the event that says so."""
    end = wait_for("its end", lambda: (stack.get(f"/api/v1/processes/{process['id']}") or {}).get("ended"), 30)
    event = wait_for("the event", lambda: [e for e in stack.items("/events?kind=death&limit=200")
                                           if e["process_id"] == process["id"]], 30)[0]
    assert event["details"]["cause"] == end["cause"]
    return end, [v for k, v in event["details"].items() if k.startswith("evidence")]


def alive(pid):
    return pathlib.Path(f"/proc/{pid}/exe").exists()


@pytest.mark.parametrize("text", [WORKER, POLITE], ids=["by SIGTERM", "with exit code 0"])
def test_a_worker_is_restarted_by_its_master_and_told_as_ours(stack, master, text):
    m = master(text)
    process = known(stack, m.pid, 80 << 20)
    code, dry = restart(stack, m.pid, "--dry-run")
    assert code == 0 and dry["dry_run"] and dry["state"] == "done"
    assert f"would be restarted by its parent, process {m.process.pid}" in dry["detail"]
    assert alive(m.pid) and dry["rss_before_bytes"] > 80 << 20
    code, action = restart(stack, m.pid)
    old, new = m.pid, m.next()
    assert code == 0 and action["state"] == "done" and action["type"] == "restart", action
    assert f"process {new} with" in action["detail"] and f"in place of {old} with" in action["detail"]
    assert action["rss_before_bytes"] > 80 << 20 > 40 << 20 > action["rss_after_bytes"] > 10 << 20
    end, evidence = death(stack, process)
    assert end["cause"] == "own_action", (end, evidence)
    assert any(action["id"] in line and "restart" in line for line in evidence), evidence
    assert known(stack, new)["id"] != process["id"]
    assert any(a["id"] == action["id"] for a in stack.items("/actions"))


@pytest.mark.skipif(not shutil.which("supervisord"), reason="no supervisord")
def test_a_program_of_supervisord_is_restarted_by_it_and_told_as_ours(stack, tmp_path):
    sv = Supervisord(tmp_path / "sv", {"web": ("web grows", ""), "jobs": ("jobs", "")})
    try:
        before = sv.ready()
        process = known(stack, before["web"], 80 << 20)
        code, dry = restart(stack, before["web"], "--dry-run")
        assert code == 0 and f"would be restarted by supervisord, process {sv.pid}, program web" in dry["detail"], dry
        code, action = restart(stack, before["web"])
        assert code == 0 and action["state"] == "done" and "supervisord says RUNNING" in action["detail"], json.dumps(action)
        after = wait_for("both", lambda: len(r := sv.ready()) == 2 and r, 30)
        assert after["jobs"] == before["jobs"] and after["web"] != before["web"]
        end, evidence = death(stack, process)
        assert end["cause"] == "own_action" and any(action["id"] in line for line in evidence), (end, evidence)
        assert known(stack, after["web"])["id"] != process["id"]
    finally:
        sv.close()


def test_a_kill_after_a_refused_restart_is_not_ours(stack):
    sleeper = subprocess.Popen(["/usr/bin/sleep", "600"])
    try:
        process = known(stack, sleeper.pid)
        code, action = restart(stack, sleeper.pid)
        assert code == 3 and action["state"] == "refused" and "policy line 2: deny *" in action["detail"]
        os.kill(sleeper.pid, signal.SIGKILL)
        sleeper.wait()
        end, evidence = death(stack, process)
        assert end["cause"] == "killed" and not any("memherd" in line for line in evidence), (end, evidence)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_restarts_are_bounded_although_each_makes_another_process(stack, master):
    """Three were made above: the fourth is the last in this hour."""
    m = master()
    known(stack, m.pid, 80 << 20)
    code, action = restart(stack, m.pid)
    assert action["state"] == "done", action
    known(stack, m.next())
    code, action = restart(stack, m.pid)
    assert code == 3 and action["state"] == "refused" and "policy line 1 allows 4" in action["detail"], json.dumps(action)
    assert alive(m.pid)


# ---- memherd-actd alone ----

# Nobody's child; and somebody who starts it again.
ORPHAN = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
print(os.getpid(), flush=True)
time.sleep(600)
"""
WATCHDOG = """
import os, subprocess, sys, time
while True:
    with subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True) as p:
        pid = p.stdout.readline().strip()
    print(pid, flush=True)
    while os.path.exists(f"/proc/{pid}/exe"):
        time.sleep(0.1)
"""


@pytest.fixture
def bare():
    """A Python whose parent has ended: nobody is known who would start it again."""
    with subprocess.Popen([PYTHON, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as p:
        pid = int(p.stdout.readline())
    yield pid
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_a_bare_process_is_left_alone_unless_the_policy_says_so(bare, tmp_path):
    actd = Actd(tmp_path, "allow restart uid>=0\nallow restart uid>=0 container=yes\n")
    code, said = actd.restart(bare)
    assert code == 3 and said["status"] == "refused" and "no line of the policy allows it" in said["detail"]
    assert alive(bare)
    actd = Actd(tmp_path, "allow restart uid>=0 bare=yes\nallow restart uid>=0 bare=yes container=yes\n")
    code, said = actd.restart(bare, "--dry-run")
    assert code == 0 and "nobody is known who starts it again" in said["detail"] and alive(bare)
    began = time.monotonic()
    code, said = actd.restart(bare)
    assert code == 1 and said["status"] == "failed" and "nobody took its place" in said["detail"], said
    assert not alive(bare) and said["rss_after_bytes"] == 0 and time.monotonic() - began < 35


def test_a_stranger_with_the_same_program_is_no_successor(bare, tmp_path):
    """Python of the same user in the same cgroup begins meanwhile, and is another program."""
    actd = Actd(tmp_path, "allow restart uid>=0 bare=yes\nallow restart uid>=0 bare=yes container=yes\n")
    started = []

    def begin_meanwhile():
        wait_for("the process to end", lambda: not alive(bare), 30, 0.05)
        started.append(subprocess.Popen([PYTHON, "-c", "import time; time.sleep(300)"]))

    stranger = threading.Thread(target=begin_meanwhile)
    stranger.start()
    try:
        code, said = actd.restart(bare)
        assert code == 1 and "nobody took its place" in said["detail"], said
    finally:
        stranger.join()
        for p in started:
            p.kill()
            p.wait()
    assert started


def test_a_bare_process_that_somebody_starts_again(tmp_path):
    """A watchdog looks after it and is not its parent."""
    actd = Actd(tmp_path, "allow restart uid>=0 bare=yes\nallow restart uid>=0 bare=yes container=yes\n")
    dog = subprocess.Popen([PYTHON, "-c", WATCHDOG, ORPHAN], stdout=subprocess.PIPE, text=True)
    pids = [int(dog.stdout.readline())]
    try:
        code, said = actd.restart(pids[0])
        assert code == 0 and said["status"] == "done" and "by somebody unknown" in said["detail"], said
        pids.append(int(dog.stdout.readline()))
        assert f"process {pids[1]} with" in said["detail"], said
    finally:
        dog.kill()
        dog.wait()
        dog.stdout.close()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def ignored(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))


def test_who_does_not_listen_to_sigterm_is_not_killed(master, tmp_path):
    m = master(DEAF)
    wait_for("the worker to be deaf", lambda: ignored(m.pid) & 1 << signal.SIGTERM - 1, 20)
    actd = Actd(tmp_path, "allow restart uid>=0\nallow restart uid>=0 container=yes\n")
    code, said = actd.restart(m.pid)
    assert code == 1 and said["status"] == "unknown" and "it is not killed" in said["detail"], said
    assert alive(m.pid) and said["rss_after_bytes"] > 0


@pytest.fixture(scope="module")
def docker():
    try:
        engine = Docker().__enter__()
    except Unusable as e:
        pytest.skip(f"no Docker engine can run here: {e}")
    try:
        yield engine
    finally:
        engine.__exit__()


def test_a_container_is_restarted_by_its_engine(docker, tmp_path):
    box = docker.run("import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
                     "room = b'x' * (20 << 20)\nready()\ntime.sleep(600)\n", name="shop", memory="60m")
    old, started = box.pid, box.inspect()["State"]["StartedAt"]
    policy = "allow restart uid>=0 container=yes max=1/h\n"
    nowhere = Actd(tmp_path, policy, engine_sockets=tmp_path / "nowhere.sock")
    code, said = nowhere.restart(old)
    assert code == 1 and said["status"] in ("refused", "failed") and "nowhere.sock" in said["detail"], said
    actd = Actd(tmp_path, policy, engine_sockets=f"{tmp_path}/nowhere.sock {docker.socket}")
    code, said = actd.restart(old, "--dry-run")
    assert code == 0 and f"container {box.id[:12]}" in said["detail"] and str(docker.socket) in said["detail"], said
    assert box.inspect()["State"]["StartedAt"] == started
    code, said = actd.restart(old)
    state = box.inspect()["State"]
    assert code == 0 and said["status"] == "done", said
    assert state["Running"] and state["StartedAt"] != started and state["Pid"] != old
    assert f"process {state['Pid']} with" in said["detail"] and not alive(old)
    assert said["rss_after_bytes"] > 20 << 20
    code, said = actd.restart(state["Pid"])
    assert code == 3 and "policy line 1 allows 1" in said["detail"], said
