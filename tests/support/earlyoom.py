#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real earlyoom and a real journald in namespaces of their own, where they can harm nobody.

As a program: earlyoom.py COMMAND...   (root) runs COMMAND in its own mount and PID namespace with a /proc
of its own, a private journald under the usual names (/run/systemd/journal, /run/log/journal, volatile)
and nothing else of systemd. COMMAND sees the host's files, network and cgroups, but only processes of
its own namespace; when it ends, everything in there is killed. The whole product can be started in it.
With --host-pids before COMMAND it shares the host's PIDs, in which alone the kernel tells of exits.

As a module, inside such a COMMAND: Victim, Earlyoom, stream(), send(), say_as_pid1(), run_as(), rotate().

Why earlyoom can kill only its victim: it runs without any privilege as a user whom nobody has but the
victim, so the kernel refuses its signals to all others; its /proc is mounted with hidepid=2, so it does
not even see them; and both only in namespaces that this file has made.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

INSIDE = "MEMHERD_EARLYOOM_MNT"  # the mount namespace that this file has made
UID = 64321  # of systemd's dynamic range, as Debian's earlyoom.service has; no user of this host
JOURNALD = "/lib/systemd/systemd-journald"
PID1_PIPE = "/run/systemd/pid1"
CONF = """[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
ForwardToSyslog=no
ForwardToConsole=no
ForwardToWall=no
RateLimitBurst=0
RuntimeMaxUse=64M
"""
VICTIM = """
import sys, time
open('/proc/self/oom_score_adj', 'w').write('1000')
open('/proc/self/comm', 'w').write('victim')
hold = bytearray(b'x' * (16 << 20))
print('ready', flush=True)
time.sleep(600)
"""

# In a PID namespace of its own: a victim, then the program.
FOREIGN = """
victim=$1
shift
mount -t proc -o hidepid=2 proc /proc
mkfifo /run/systemd/foreign
setpriv --reuid=UID --regid=UID --clear-groups PYTHON -c "$victim" >/run/systemd/foreign &
read ready </run/systemd/foreign
rm /run/systemd/foreign
exec "$@"
""".replace("UID", str(UID)).replace("PYTHON", sys.executable)


def missing():
    """What this machine lacks, or None."""
    for path in (JOURNALD, "/etc/machine-id"):
        if not os.path.exists(path):
            return f"no {path}"
    for name in ("earlyoom", "setpriv", "unshare", "journalctl"):
        if not shutil.which(name):
            return f"no {name}"
    return None if os.geteuid() == 0 else "not root"


def inside(command, host_pids=False, **kw):
    """Runs the command in namespaces of its own (from outside): subprocess.run's answer."""
    shared = ["--host-pids"] if host_pids else []
    return subprocess.run([sys.executable, os.path.abspath(__file__), *shared, *map(str, command)], **kw)


# ---- what is used inside ----

def _require_inside():
    if os.environ.get(INSIDE) != os.readlink("/proc/self/ns/mnt"):
        raise RuntimeError("not in a namespace of earlyoom.py: nothing is killed here")


def wait_for(what, seconds=20):
    """Waits until what() is true and returns that."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return found


def sync():
    """Returns when journald has done all that was before."""
    subprocess.run(["journalctl", "--sync"], check=True, capture_output=True, timeout=30)


def stream(identifier, unit=""):
    """A stream to journald, for a program's stdout. PID 1 names the unit in this way; journald believes
    root alone, and only where no control group says otherwise."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("/run/systemd/journal/stdout")
    s.shutdown(socket.SHUT_RD)
    # The kernel tells nobody who sent what comes between journald's accept() and its SO_PASSCRED.
    sync()
    s.sendall(f"{identifier}\n{unit}\n6\n1\n0\n0\n0\n".encode())
    return s


def send(**fields):
    """One entry of this very process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect("/run/systemd/journal/socket")
        s.send("".join(f"{k}={v}\n" for k, v in fields.items()).encode())


def say_as_pid1(**fields):
    """One entry of PID 1."""
    with open(PID1_PIPE, "w") as f:
        f.write("\x1f".join(f"{k}={v}" for k, v in fields.items()) + "\n")


def run_as(comm, code, uid=0, **kw):
    """Runs Python code in a process of that name and user; the code may use this module."""
    kw.setdefault("check", True)
    code = (f"import os, sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n"
            f"open('/proc/self/comm', 'w').write({comm!r})\nimport earlyoom\n"
            f"os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n{code}")
    return subprocess.run([sys.executable, "-c", code], **kw)


def journal_files():
    found = []
    for folder, _, names in os.walk("/run/log/journal"):
        found += [os.path.join(folder, n) for n in names if n.endswith(".journal")]
    return sorted(found)


def rotate():
    """The journal goes on in a new file."""
    before = len(journal_files())
    subprocess.run(["journalctl", "--rotate"], check=True, capture_output=True, timeout=30)
    wait_for(lambda: len(journal_files()) > before)


def _drop(*command):
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs", *command]


def victim_command():
    """Of a process that earlyoom will choose, as soon as it sees it."""
    _require_inside()
    return _drop(sys.executable, "-c", VICTIM)


class Victim:
    """A process that earlyoom will choose; 'with Victim() as v: v.pid, v.wait()'."""

    def __init__(self):
        self.proc = subprocess.Popen(victim_command(), stdout=subprocess.PIPE, text=True)
        self.pid = self.proc.pid

    def __enter__(self):
        assert self.proc.stdout.readline() == "ready\n"
        return self

    def wait(self, timeout=30):
        """The signal that ended it."""
        return -self.proc.wait(timeout)

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


class Earlyoom:
    """earlyoom with thresholds that any host meets at once; it logs as earlyoom.service. sig is what it
    sends first. foreign: in one more PID namespace, with a victim of its own there."""

    def __init__(self, sig=signal.SIGTERM, foreign=False):
        _require_inside()
        limits = "99,1" if sig == signal.SIGTERM else "99,99"
        program = ["earlyoom", "-m", limits, "-s", "100,100", "-r", "0"]
        self.log = stream("earlyoom", "earlyoom.service")
        argv = ["unshare", "--mount", *(["--pid", "--fork", "--kill-child"] if foreign else []), "sh", "-ec",
                FOREIGN if foreign else "mount -t proc -o hidepid=2 proc /proc\nexec \"$@\"", "sh",
                *([VICTIM] if foreign else []), *_drop(*program)]
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.proc.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.kill()
        self.proc.wait()
        self.log.close()


# ---- PID 1 of the namespace, or who started it ----

def _mount(kind, target):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=96m", kind, target], check=True)


def _require_unused_user():
    for entry in os.scandir("/proc"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and entry.stat().st_uid == UID:
                raise RuntimeError(f"process {entry.name} has the victim's user: nothing is started here")


def _start_journald():
    for target in ("/run/systemd", "/run/log", "/var/log/journal"):
        if os.path.isdir(target):
            _mount("memherd-test", target)
    os.makedirs("/run/log/journal", exist_ok=True)
    shutil.chown("/run/log/journal", group="systemd-journal")  # as systemd's tmpfiles do, for those who may read
    os.chmod("/run/log/journal", 0o2755)
    os.makedirs("/run/systemd/journal")
    os.makedirs("/run/systemd/journald.conf.d")
    with open("/run/systemd/journald.conf.d/test.conf", "w") as f:
        f.write(CONF)
    # To its eyes all are in the root control group, on any host: so it takes units from streams.
    script = "mount -t tmpfs none /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup; exec " + JOURNALD
    proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--cgroup", "sh", "-c", script],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists("/run/systemd/journal/stdout") and journal_files())
    return proc


def _serve_pipe():
    """say_as_pid1(): the sender must be this very process."""
    while True:
        with open(PID1_PIPE) as f:
            for line in f:
                send(**dict(part.split("=", 1) for part in line.rstrip("\n").split("\x1f")))


def _init(command):
    _require_unused_user()
    os.environ[INSIDE] = os.readlink("/proc/self/ns/mnt")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    journald = _start_journald()
    os.mkfifo(PID1_PIPE)
    threading.Thread(target=_serve_pipe, daemon=True).start()
    main = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: main.terminate())
    while True:
        pid, status = os.wait()  # orphans too
        if pid == main.pid:
            return os.waitstatus_to_exitcode(status)
        if pid == journald.pid:
            print("earlyoom.py: journald ended", file=sys.stderr)
            return 1


def main(argv):
    if argv[:1] == ["--init"]:
        code = _init(argv[1:])
        sys.stdout.flush()
        os._exit(code if code >= 0 else 128 - code)
    own = [] if argv[:1] == ["--host-pids"] else ["--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvp("unshare", ["unshare", "--mount", *own, sys.executable, os.path.abspath(__file__), "--init",
                          *(argv if own else argv[1:])])


if __name__ == "__main__":
    main(sys.argv[1:])
