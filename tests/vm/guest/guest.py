# SPDX-License-Identifier: Apache-2.0
"""What the guest's tests share: services made of Python text, questions to the product and to systemd."""

import contextlib
import itertools
import json
import os
import pathlib
import select
import subprocess
import time
import urllib.request

PYTHON = "/usr/bin/python3"
ETC = pathlib.Path("/etc/memherd")
AGENT_CONF = "[agent]\ninterval = 1s\nreconnect_base = 200ms\nreconnect_first = 1s\n"
URL = "http://127.0.0.1:7420"
ADMIN_TOKEN = pathlib.Path("/var/lib/memherd-collector/admin.token")
OUT = pathlib.Path("/payload/out")  # what is put here is found in build/vm/last/out afterwards
CGROUPS = pathlib.Path("/sys/fs/cgroup")
MIB = 1 << 20
numbers = itertools.count(1)


def run(*argv, check=True, stdin=None, seconds=120):
    """stdout of a command; a RuntimeError with what it said when it fails."""
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, input=stdin, timeout=seconds,
                       check=False)
    if check and r.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {r.returncode}: {r.stdout[-1000:]}{r.stderr[-2000:]}")
    return r.stdout


def wait_until(what, check, seconds=60.0, step=0.2):
    """check()'s first true value, or a TimeoutError that names what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(step)


# ---- the product ----

def get(path):
    """What REST says to an administrator; path begins behind /api/v1."""
    request = urllib.request.Request(f"{URL}/api/v1{path}")
    request.add_header("Authorization", f"Bearer {ADMIN_TOKEN.read_text().strip()}")
    with urllib.request.urlopen(request, timeout=20) as r:
        return json.loads(r.read())


def items(path):
    return get(path)["items"]


def processes():
    """The guest's processes as the collector knows them, by pid."""
    return {p["pid"]: p for p in items("/hosts/1/processes?limit=1000")}


def ready():
    try:
        with urllib.request.urlopen(f"{URL}/readyz", timeout=5) as r:
            return r.status == 200
    except OSError:
        return False


def inspect(pid):
    return json.loads(run("memherd-agent", "inspect", pid, "--json"))


# ---- systemd ----

def prop(unit, name):
    """A property of a unit as text: prop("memherd-agent", "ActiveState")."""
    return run("systemctl", "show", "--property", name, "--value", unit).strip()


def active(unit):
    return prop(unit, "ActiveState") == "active"


def cgroup(unit):
    """The unit's folder in the cgroup file system."""
    path = prop(unit, "ControlGroup")
    assert path, f"{unit} has no cgroup"
    return CGROUPS / path.lstrip("/")


def pids(unit):
    """Every process of a unit; none when it does not run."""
    path = prop(unit, "ControlGroup")
    file = CGROUPS / path.lstrip("/") / "cgroup.procs"
    return [int(p) for p in file.read_text().split()] if path and file.exists() else []


def journal(unit):
    """What a unit's processes, and systemd about it, have said since boot, as lines of text."""
    return run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", unit).splitlines()


def kernel_log():
    return run("journalctl", "--no-pager", "-o", "cat", "-b", "-k").splitlines()


def meminfo(name):
    """A figure of /proc/meminfo in bytes."""
    words = pathlib.Path("/proc/meminfo").read_text().split()
    return int(words[words.index(f"{name}:") + 1]) * 1024


@contextlib.contextmanager
def swap_file(mib=256):
    """The guest has a swap file of that size inside of this."""
    file = pathlib.Path("/var/swap")
    with open(file, "wb") as f:
        for _ in range(mib):
            f.write(bytes(MIB))
    file.chmod(0o600)
    run("mkswap", file)
    run("swapon", file)
    try:
        yield
    finally:
        run("swapoff", file)
        file.unlink()


class PythonUnit:
    """A service that systemd starts from Python text; stopped and forgotten at the end of 'with'.

    with PythonUnit("import time; time.sleep(600)", MemoryMax="50M") as unit:
        unit.pid, unit.cgroup, unit.prop("Result")

    Properties are systemd's (systemd.service, systemd.resource-control). The text has ready() to call;
    with wait=True (as is) the unit is entered when it was called."""

    def __init__(self, text, name=None, wait=True, **properties):
        self.name = f"{name or f'test-{next(numbers)}'}.service"
        self.folder = pathlib.Path("/run/vm", self.name)
        self.text = f"import pathlib\ndef ready():\n    pathlib.Path({str(self.folder / 'ready')!r}).touch()\n" + text
        self.wait = wait
        self.properties = {"Type": "exec", **properties}

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o777)
        (self.folder / "main.py").write_text(self.text)
        (self.folder / "ready").unlink(missing_ok=True)
        properties = [f"--property={k}={v}" for k, v in self.properties.items()]
        run("systemd-run", "--quiet", f"--unit={self.name}", *properties, PYTHON, "-u", self.folder / "main.py")
        self.pid = int(self.prop("MainPID"))
        if self.wait:
            try:
                wait_until(f"{self.name} to be ready", (self.folder / "ready").exists, 60)
            except TimeoutError:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_):
        run("systemctl", "stop", self.name, check=False)
        run("systemctl", "reset-failed", self.name, check=False)

    def prop(self, name):
        return prop(self.name, name)

    @property
    def cgroup(self):
        return cgroup(self.name)

    def journal(self):
        return journal(self.name)


# ---- kills and ends ----

class End:
    """Notes when a process that is none of ours ends: End(pid), later .wait() -> time.monotonic() of it."""

    def __init__(self, pid):
        self.fd = os.pidfd_open(pid)

    def wait(self, seconds):
        try:
            assert select.select([self.fd], [], [], seconds)[0], f"it did not end within {seconds} s"
            return time.monotonic()
        finally:
            os.close(self.fd)


def known(pid, seconds=30):
    """The collector's row of a process: only of those that it knows it tells how they ended."""
    return wait_until(f"process {pid}", lambda: processes().get(pid), seconds)


def kills():
    return items("/oom-events?limit=500")


def kill_of(pid, seconds=20):
    """The kill whose victim had that pid, with its dossier."""
    found = wait_until(f"the kill of {pid}", lambda: [k for k in kills() if k["pid"] == pid], seconds)
    assert len(found) == 1
    return get(f"/oom-events/{found[0]['id']}")


def ended(process_id, seconds=30):
    """How REST says that a process ended."""
    return wait_until(f"the end of {process_id}", lambda: get(f"/processes/{process_id}")["ended"], seconds)


def events(kind):
    return items(f"/events?kind={kind}&limit=1000")


# ---- posture and cgroups ----

def findings():
    """Codes of the newest posture."""
    return {f["code"] for f in get("/hosts/1")["posture"]["findings"]}


def looked_after(moment):
    posture = get("/hosts/1")["posture"]
    return posture and posture["time"] > moment


def restart_agent():
    """Its posture is looked at when it starts."""
    before = get("/hosts/1")["posture"]["time"]
    run("systemctl", "restart", "memherd-agent")
    wait_until("a new look at the posture", lambda: looked_after(before), 60)


def row_of(path):
    """The newest figures of the cgroup of that path below the mount; None while there are none."""
    return next((c for c in items("/hosts/1/cgroups?limit=1000") if c["path"] == path), None)


def path_of(folder):
    return "/" + str(folder.relative_to(CGROUPS))


def keyed(file):
    return {k: int(v) for k, v in (line.split() for line in file.read_text().splitlines())}


def figures(folder):
    """What REST should say; it counts in KiB."""
    stat = keyed(folder / "memory.stat")
    usage = int((folder / "memory.current").read_text())
    exact = {"usage_bytes": usage, "working_set_bytes": usage - stat["inactive_file"], "anon_bytes": stat["anon"],
             "file_bytes": stat["file"], "shmem_bytes": stat["shmem"], "kernel_bytes": stat["kernel"],
             "swap_bytes": int((folder / "memory.swap.current").read_text())}
    events = keyed(folder / "memory.events")
    return {k: v // 1024 * 1024 for k, v in exact.items()} | {
        "events_high": events["high"], "events_max": events["max"], "events_oom": events["oom"],
        "oom_kills": events["oom_kill"]}


def agree(folder):
    row = row_of(path_of(folder))
    want = figures(folder)
    return row and {k: row[k] for k in want} == want and row
