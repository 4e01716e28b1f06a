# SPDX-License-Identifier: Apache-2.0
"""Real containers of a real Docker engine, as the whole product tells of them: a kill at a container's
limit, the figures that 'docker stats' shows, containers without a limit, and names, for which one process
of the agent alone may ask the engine."""

import os
import pathlib
import pwd
import secrets
import signal
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from docker import CGROUPS, Docker, Unusable  # noqa: E402
from stack import Stack, agent_user, wait_for  # noqa: E402

GROUP = 64322  # of nobody on this host
MIB = 1 << 20
HOLD = "import time\nroom = b'x' * (8 << 20)\nready()\ntime.sleep(600)\n"
# A small parent; its child grows from SIGUSR1 on, until it is killed.
GROW = """
import os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: None)
child = os.fork()
if not child:
    signal.pause()
    room = []
    while True:
        room.append(bytearray(1 << 20))
        time.sleep(0.08)
ready()
os.waitpid(child, 0)
time.sleep(600)
"""
# Page cache that comes and goes, with some seconds of peace in between.
CACHE = """
import os, time
ready()
for turn in range(200):
    name = f'/tmp/{turn % 3}'
    with open(name, 'wb') as f:
        f.write(os.urandom(1 << 20) * (2 + turn % 3))
        f.flush()
        os.fsync(f.fileno())
    with open(name, 'rb') as f:
        f.read()
    time.sleep(5)
"""


@pytest.fixture(scope="module")
def docker():
    try:
        engine = Docker(group=GROUP).__enter__()
    except Unusable as e:
        pytest.skip(f"no Docker engine can run here: {e}")
    try:
        yield engine
    finally:
        engine.__exit__()


@pytest.fixture(scope="module")
def stack(docker):
    with Stack(interval="1s", agent={"container_engine": docker.socket}).up() as s:
        wait_for("the first samples", lambda: any(h["connected"] for h in s.items("/hosts")), 30)
        yield s


@pytest.fixture
def run(docker):
    """docker.run() whose container ends with the test."""
    made = []

    def start(*argv, **how):
        made.append(docker.run(*argv, **how))
        return made[-1]

    yield start
    for box in made:
        box.remove()


def host_id(stack):
    return stack.items("/hosts")[0]["id"]


def processes(stack):
    return stack.items(f"/hosts/{host_id(stack)}/processes?limit=10000")


def process_of(stack, pid, ready=lambda p: True, seconds=15):
    return wait_for(f"process {pid}",
                    lambda: next((p for p in processes(stack) if p["pid"] == pid and ready(p)), None), seconds)


def cgroup_of(stack, ident, ready=lambda g: True, seconds=15):
    """The container's cgroup as REST has it."""
    return wait_for(f"the cgroup of {ident[:12]}",
                    lambda: next((g for g in stack.items(f"/hosts/{host_id(stack)}/cgroups?limit=1000")
                                  if g["path"].endswith(ident) and ready(g)), None), seconds)


def kill_of(stack, pid):
    return wait_for(f"the kill of {pid}",
                    lambda: next((k for k in stack.items("/oom-events?limit=500") if k["pid"] == pid), None), 15)


def is_rounded(shown, exact):
    """Is it what docker prints of that, in four digits?"""
    return abs(shown - exact) <= max(exact * 0.0006, 1024)


def test_a_kill_at_a_containers_limit_is_told_within_five_seconds(stack, docker, run):
    box = run(GROW, name="leaky", memory="40m")
    first, child = box.pids()
    process_of(stack, child, lambda p: p["container"] == "leaky")
    grown_from = time.monotonic()
    os.kill(child, signal.SIGUSR1)
    wait_for("the kill", lambda: not pathlib.Path(f"/proc/{child}").exists(), 30, 0.02)
    died = time.monotonic()
    stored = wait_for("the dossier in the database",
                      lambda: stack.sql("SELECT kill_id FROM oom_kill WHERE pid = %s", child), 10, 0.05)
    assert time.monotonic() - died < 5 and died - grown_from > 1
    assert len(stored) == 1
    kill = kill_of(stack, child)
    assert (kill["cause"], kill["confidence"]) == ("kernel_memcg", "certain")
    assert (kill["comm"], kill["container"], kill["service"]) == ("python3", "leaky", "leaky")
    assert kill["limit_cgroup"] == f"/docker/{box.id}" and kill["limit_owner"] == "leaky"
    assert kill["limit_bytes"] == box.inspect()["HostConfig"]["Memory"] == 40 * MIB
    assert 25 * MIB < kill["rss_bytes"] < 48 * MIB and not kill["replayed"]
    d = stack.get(f"/api/v1/oom-events/{kill['id']}")["dossier"]
    assert d["trigger"]["pid"] == child and d["trigger"]["service"] == "leaky"
    assert d["growers"][0]["pid"] == child and d["growers"][0]["grown_1m_bytes"] > 10 * MIB
    assert d["growers"][0]["service"] == "leaky"
    assert {t["pid"] for t in d["tasks"]} == {first, child}
    for word in ("python3", str(child), "leaky", "40 MiB"):
        assert word in d["verdict"]
    assert docker.cli("inspect", "--format", "{{.State.Running}}", box.id) == "true"  # it was not the first process


def test_figures_equal_docker_stats(stack, run):
    box = run(CACHE, name="cache", memory="64m")
    cgroup_of(stack, box.id)
    seen = []
    equal = 0
    for _ in range(12):
        before = cgroup_of(stack, box.id)["working_set_bytes"]
        shown = box.stats()
        g = cgroup_of(stack, box.id)
        assert shown["limit_bytes"] == g["limit_bytes"] == g["own_limit_bytes"] == 64 * MIB
        seen.append((before, shown["usage_bytes"], g["working_set_bytes"], g["usage_bytes"]))
        # Within one update of its page cache, of at most 4 MiB, always; mostly to the last digit.
        assert min(before, g["working_set_bytes"]) - 4.5 * MIB < shown["usage_bytes"]
        assert shown["usage_bytes"] < max(before, g["working_set_bytes"]) + 4.5 * MIB
        equal += is_rounded(shown["usage_bytes"], before) or is_rounded(shown["usage_bytes"], g["working_set_bytes"])
        if equal == 3:
            break
    assert equal == 3, seen
    assert cgroup_of(stack, box.id)["processes"] == box.stats()["pids"] == 1
    assert any(usage > working_set + MIB for _, _, working_set, usage in seen), seen  # there was cache to leave out


def test_a_container_without_a_limit_is_said_so(stack, run):
    free = run(HOLD, name="boundless")
    held = run(HOLD, name="bounded", memory="40m")
    assert cgroup_of(stack, free.id)["no_limit"] is True
    assert cgroup_of(stack, held.id)["no_limit"] is False
    stack.programs["agent"].stop()  # the posture is looked at once an hour, and at the start
    stack.start_agent()

    def finding():
        posture = stack.get(f"/api/v1/hosts/{host_id(stack)}")["posture"]
        return next((f for f in posture["findings"] if f["code"] == "containers_unlimited"), None) if posture else None

    found = wait_for("the finding", finding, 30)
    assert "1 of 2" in found["text"] and "--memory" in found["fix"] and found["severity"] == "warn"


def children(stack):
    """{name: pid} of the agent's processes."""
    pid = stack.programs["agent"].pid
    found = {"agent": pid}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


def groups(pid):
    line = next(x for x in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("Groups:"))
    return [int(g) for g in line.split()[1:]]


def test_the_engine_names_containers_and_their_services(stack, run):
    labels = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web"]
    box = run(HOLD, name="shop-web-1", options=labels)
    plain = run(HOLD, name="plain")
    p = process_of(stack, box.pid, lambda p: p["container"] == "shop-web-1")
    assert (p["service"], p["container"]) == ("shop_web", "shop-web-1")
    p = process_of(stack, plain.pid, lambda p: p["container"] == "plain")
    assert p["service"] == "plain"
    g = cgroup_of(stack, box.id, lambda g: g["image"])
    assert (g["name"], g["image"], g["runtime"]) == ("shop-web-1", "memherd-test", "docker")


def test_one_process_alone_may_ask_the_engine(stack, docker):
    st = docker.socket.stat()
    assert (st.st_gid, st.st_mode & 0o777) == (GROUP, 0o660)
    found = children(stack)
    assert set(found) >= {"agent", "memherd-sense", "memherd-link", "memherd-names"}
    user = pwd.getpwnam(agent_user())
    assert set(groups(found.pop("memherd-names"))) == {GROUP, user.pw_gid}
    for pid in found.values():
        assert GROUP not in groups(pid)


@pytest.fixture
def stranger(stack):
    """A process in a cgroup that is named like a container's, of which no engine knows."""
    folder = next(p for p in (CGROUPS / "memory", CGROUPS) if (p / "cgroup.procs").exists()) / "docker"
    made = not folder.exists()
    path = folder / secrets.token_hex(32)
    path.mkdir(parents=True)
    pid = os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", f"echo $$ >{path}/cgroup.procs && exec sleep 600")
    yield pid, path.name
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for("the cgroup to be empty", lambda: not (path / "cgroup.procs").read_text(), 5, 0.02)
    path.rmdir()
    if made:
        folder.rmdir()


def test_the_agent_goes_on_while_the_engine_hangs_and_when_it_has_stopped(stack, docker, stranger):
    pid, ident = stranger
    before = children(stack)
    docker.process.send_signal(signal.SIGSTOP)
    try:
        p = process_of(stack, pid, lambda p: p["container"] == ident[:12], 40)
        assert p["service"] == f"docker:{ident[:12]}"
        seen = stack.items("/hosts")[0]["last_seen"]
        wait_for("samples while the engine hangs", lambda: stack.items("/hosts")[0]["last_seen"] > seen, 10)
    finally:
        docker.process.send_signal(signal.SIGCONT)
    docker.stop()
    seen = stack.items("/hosts")[0]["last_seen"]
    wait_for("samples without an engine", lambda: stack.items("/hosts")[0]["last_seen"] > seen, 10)
    assert process_of(stack, pid)["container"] == ident[:12]  # of whom nobody can say more
    assert children(stack) == before
