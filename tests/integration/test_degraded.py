# SPDX-License-Identifier: Apache-2.0
"""An agent that is denied one of its senses: it runs, samples flow, and the posture names the blind spot
with its fix. The hosts are this one, seen from a mount namespace in which something is missing, or without
a capability."""

import contextlib
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from memcg import Memcg, Unusable  # noqa: E402
from stack import Stack, agent_user, wait_for  # noqa: E402

MIB = 1 << 20
PYTHON = "/usr/bin/python3"
# Waits for a signal, then grows until it is killed.
HOG = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pause()
room = []
while True:
    room.append(bytearray(1 << 20))
"""


@pytest.fixture(scope="module")
def stack():
    if os.geteuid() != 0:
        pytest.skip("mount namespaces need root")
    with Stack(interval="1s").up() as s:
        wait_for("the first samples", lambda: any(h["connected"] for h in s.items("/hosts")), 30)
        yield s


def changed(*lines):
    """The prefix of an agent that lives in a mount namespace in which these lines were run."""
    return ["unshare", "--mount", "sh", "-ec", "\n".join([*lines, 'exec "$@"']), "sh"]


def without(capability):
    return ["setpriv", f"--bounding-set=-{capability}", "--inh-caps=-all"]


# As RestrictAddressFamilies= without AF_NETLINK does; since Linux 6.6 the proc connector asks for no capability.
NO_NETLINK = """
import ctypes, errno, os, platform, socket, struct, sys
NR = {'x86_64': 41, 'aarch64': 198}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
code = [(LOAD, 0, 0, 0), (EQUAL, 0, 3, NR), (LOAD, 0, 0, 16), (EQUAL, 0, 1, socket.AF_NETLINK),
        (RETURN, 0, 0, 0x50000 | errno.EAFNOSUPPORT), (RETURN, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b''.join(struct.pack('=HBBI', *row) for row in code))
program = struct.pack('@HP', len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit('no filter: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


class Host:
    """What the collector knows of it while its agent is denied something."""

    def __init__(self, stack):
        self.stack = stack
        self.id = stack.items("/hosts")[0]["id"]

    def get(self):
        return self.stack.get(f"/api/v1/hosts/{self.id}")

    def finding(self, code, seconds=20):
        def look():
            posture = self.get()["posture"]
            return next((f for f in posture["findings"] if f["code"] == code), None) if posture else None
        try:
            found = wait_for(f"the finding {code}", look, seconds)
        except TimeoutError as e:
            raise AssertionError(f"{e}, of {self.get()['posture']}") from e
        assert found["fix"] and found["text"]
        return found

    def has(self, code):
        return code in [f["code"] for f in self.get()["posture"]["findings"]]

    def processes(self):
        return self.stack.items(f"/hosts/{self.id}/processes?limit=10000")

    def known(self, pid):
        return wait_for(f"process {pid}", lambda: next((p for p in self.processes() if p["pid"] == pid), None), 20)

    def ended(self, ident):
        return wait_for("the verdict", lambda: (self.stack.get(f"/api/v1/processes/{ident}") or {}).get("ended"), 30)

    def moves(self):
        """Samples flow: of the host and of a process that is its own."""
        seen = self.get()["last_seen"]
        wait_for("samples", lambda: self.get()["last_seen"] > seen, 15)
        assert self.get()["available_bytes"] > 0 and self.processes()


@contextlib.contextmanager
def denied(stack, prefix):
    """The stack's agent, started anew behind that prefix; it must come through without a scratch."""
    stack.programs["agent"].stop()
    log = stack.path("agent.log")
    told = log.stat().st_size
    stack.start_agent(prefix)
    agent = stack.programs["agent"]
    host = Host(stack)
    wait_for("the agent's processes", lambda: log.read_bytes()[told:].count(b"started") >= 2 or not agent.alive(), 15)
    assert agent.alive(), agent.tail()
    try:
        host.moves()
        yield host
        host.moves()
    finally:
        code = "lives on" if agent.alive() else agent.process.returncode
        ended = agent.stop()
        new = log.read_bytes()[told:].decode(errors="replace")
    assert (code, ended) == ("lives on", 0) and new.count(" ended ") == 2, new


def two_kills(host):
    """One that the kernel kills at its cgroup's limit, and one that we kill beside it: of the first its pid,
    of both how they ended."""
    other = subprocess.Popen(["sleep", "600"])
    try:
        with Memcg(32 * MIB) as box:
            hog = box.run([PYTHON, "-c", HOG])
            idents = [host.known(p.pid)["id"] for p in (hog, other)]
            hog.send_signal(signal.SIGUSR1)
            assert hog.wait(20) == -signal.SIGKILL and box.kills() >= 1
            other.kill()
            other.wait()
            # the cgroup is still there: its counter can be read
            return hog.pid, *[dict(host.ended(ident), process_id=ident) for ident in idents]
    except Unusable as e:
        pytest.skip(f"no kill can be made here: {e}")
    finally:
        other.kill()
        other.wait()


def kill_of(stack, pid):
    return wait_for(f"the kill of {pid}",
                    lambda: next((k for k in stack.items("/oom-events?limit=1000") if k["pid"] == pid), None), 15)


def test_without_pressure_figures(stack):
    with denied(stack, changed("mount -t tmpfs none /proc/pressure")) as host:
        assert "psi=1" in host.finding("psi_absent")["fix"]
        assert host.get()["pressure"] is None


def test_without_the_kernels_log_a_kill_is_told_by_its_counter(stack):
    wall = stack.path("no-kmsg")
    wall.touch()
    wall.chmod(0)
    with denied(stack, changed(f"mount --bind {wall} /dev/kmsg")) as host:
        assert "CAP_SYSLOG" in host.finding("kmsg_unreadable")["fix"]
        pid, ended, other = two_kills(host)
        assert ended["cause"] in ("kernel_memcg", "kernel_oom") and ended["confidence"] == "likely"
        kill = kill_of(stack, pid)
        assert kill["cause"] == ended["cause"] and kill["complete"] is False and kill["oom"] is True
        assert any("oom_kill rose by" in text
                   for text in stack.get(f"/api/v1/oom-events/{kill['id']}")["dossier"]["evidence"])
        assert other["cause"] == "killed"  # another's SIGKILL is not taken for one


def test_without_control_groups(stack):
    with denied(stack, changed("umount -R -l /sys/fs/cgroup")) as host:
        assert "cgroup_enable=memory" in host.finding("cgroups_absent")["fix"]
        assert not host.has("cgroups_v1")
        child = subprocess.Popen(["sleep", "600"])
        try:
            p = host.known(child.pid)
            assert p["cgroup_id"] is None and p["rss_bytes"] > 0
        finally:
            child.kill()
            child.wait()


def test_behind_hidepid_and_without_ptrace(stack):
    hide = changed("mount -t proc -o hidepid=2 proc /proc")
    user = pwd.getpwnam(agent_user())
    own = subprocess.Popen(["sleep", "600"], user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    others = subprocess.Popen(["sleep", "601"])
    try:
        with denied(stack, [*hide, *without("sys_ptrace")]) as host:
            assert "CAP_SYS_PTRACE" in host.finding("processes_hidden")["fix"]
            assert "CAP_SYS_PTRACE" in host.finding("pss_denied")["fix"]
            assert host.known(own.pid)["rss_bytes"] > 0
            assert others.pid not in [p["pid"] for p in host.processes() if p.get("alive", True)]
            wait_for("the event", lambda: [e for e in stack.items("/events?kind=sense_trouble&limit=100")
                                           if "hidepid" in str(e["details"])], 10)
            ident = host.known(own.pid)["id"]
            own.kill()
            own.wait()
            assert host.ended(ident)["cause"] == "killed"
    finally:
        for p in (own, others):
            p.kill()
            p.wait()


def test_where_exits_are_not_heard_verdicts_come_from_the_round(stack):
    with denied(stack, [*without("net_admin"), PYTHON, "-S", "-c", NO_NETLINK]) as host:
        assert "CAP_NET_ADMIN" in host.finding("exits_unheard")["fix"]
        pid, ended, other = two_kills(host)
        assert (ended["cause"], kill_of(stack, pid)["cause"]) == ("kernel_memcg", "kernel_memcg")
        assert (other["cause"], other["confidence"]) == ("unknown", "guess")


@pytest.fixture
def tracefs():
    """A view of the kernel's one tracefs."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="memherd-trace-"))
    r = subprocess.run(["mount", "-t", "tracefs", "none", folder], capture_output=True, text=True, check=False)
    try:
        if r.returncode or not (folder / "events/oom/mark_victim").is_dir():
            pytest.skip(f"no tracefs with oom:mark_victim here: {r.stderr.strip()}")
        yield folder
    finally:
        if not r.returncode:
            subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def test_with_tracefs_the_tracepoint_is_heard_and_nothing_of_it_stays(stack, tracefs):
    ours = tracefs / "instances/memherd"
    mount = "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing"
    assert not ours.exists()
    with denied(stack, changed(mount)) as host:
        assert (ours / "events/oom/mark_victim/enable").read_text().strip() == "1"
        wait_for("the posture", lambda: not host.has("tracefs_absent"), 20)
        _, ended, _ = two_kills(host)
        assert ended["confidence"] == "certain"
        death = wait_for("the event", lambda: next((e for e in stack.items("/events?kind=death&limit=1000")
                                                    if e["process_id"] == ended["process_id"]), None), 20)
        assert "the kernel's tracepoint oom:mark_victim named it" in death["details"].values()
    assert not ours.exists() and not list((tracefs / "instances").iterdir())


def test_nothing_is_missing_where_nothing_is_denied(stack):
    """The findings above come from what was taken away."""
    codes = ["kmsg_unreadable", "cgroups_absent", "processes_hidden", "pss_denied", "exits_unheard"]
    if pathlib.Path("/proc/pressure/memory").exists():
        codes.append("psi_absent")
    with denied(stack, []) as host:
        wait_for("the posture", lambda: not any(host.has(code) for code in codes), 20)
