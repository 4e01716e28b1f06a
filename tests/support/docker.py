# SPDX-License-Identifier: Apache-2.0
"""A Docker engine of a test's own: dockerd and containerd in one temporary folder, apart from any other on
this machine, with a small image that holds Debian's Python. Nothing of it is left when it is closed.

    with Docker() as docker:
        box = docker.run("import time; room = b'x' * (20 << 20); ready(); time.sleep(600)", memory="40m")
        box.pid, box.id, box.name, box.stats(), box.inspect()

Containers have no network. The engine lives in a mount namespace of its own, so that its mounts end with it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CGROUPS = pathlib.Path("/sys/fs/cgroup")
PYTHON = pathlib.Path("/usr/bin/python3")
PROGRAMS = ("dockerd", "docker", "containerd", "runc", "setpriv", "unshare")
IMAGE = "memherd-test"
READY = "import sys\ndef ready():\n    print('ready', flush=True)\n"
NOT_COPIED = shutil.ignore_patterns("__pycache__", "test", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "config-*",
                                    "distutils", "tkinter", "turtledemo", "sitecustomize.py", "venv", "curses")
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Unusable(Exception):
    """Why no engine can run here."""


def wait_for(what, check, seconds=30.0):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def size(text):
    """Bytes of docker's '12.5MiB': four digits of the truth."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", text.strip()).groups()
    return float(number) * UNITS[unit]


def make_root(root):
    """The files of the image: this machine's Python and what it needs to start."""
    program = PYTHON.resolve()
    library = pathlib.Path(f"/usr/lib/{program.name}")
    shutil.copytree(library, root / library.relative_to("/"), ignore=NOT_COPIED, symlinks=True)
    linked = {program, *library.glob("lib-dynload/*.so")}
    said = subprocess.run(["ldd", *linked], capture_output=True, text=True, check=True).stdout
    for path in {program, *map(pathlib.Path, re.findall(r"(/lib\S+|/usr/lib\S+) \(0x", said))}:
        copy = root / path.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    (root / "usr/bin/python3").symlink_to(program.name)
    for name in ("tmp", "proc", "sys", "dev", "etc"):
        (root / name).mkdir()


class Container:
    def __init__(self, docker, name, ident):
        self.docker = docker
        self.name = name
        self.id = ident
        self.pid = self.inspect()["State"]["Pid"]

    def inspect(self):
        return json.loads(self.docker.cli("inspect", self.id))[0]

    def stats(self):
        """What 'docker stats' shows: usage without the cache that is easily given back, and the limit."""
        row = json.loads(self.docker.cli("stats", "--no-stream", "--format", "{{json .}}", self.id))
        usage, limit = row["MemUsage"].split(" / ")
        return {"usage_bytes": size(usage), "limit_bytes": size(limit), "pids": int(row["PIDs"])}

    def pids(self):
        """As the host counts them, the first process first."""
        return sorted(int(line.split()[0]) for line in self.docker.cli("top", self.id, "-eo", "pid").splitlines()[1:])

    def logs(self):
        return self.docker.cli("logs", self.id, stderr=subprocess.STDOUT)

    def is_ready(self):
        state = self.inspect()["State"]
        if not state["Running"]:
            raise RuntimeError(f"the container ended with {state['ExitCode']}"
                               f"{' (out of memory)' if state['OOMKilled'] else ''}: {self.logs()[-1000:]}")
        return self.logs().startswith("ready")

    def wait(self, seconds=60):
        """The exit code of the container's first process."""
        return int(self.docker.cli("wait", self.id, seconds=seconds))

    def remove(self):
        self.docker.cli("rm", "--force", self.id)


class Docker:
    """group: a group id that may write to the engine's socket, as 'docker' is on most hosts."""

    def __init__(self, group=None):
        absent = [p for p in PROGRAMS if not shutil.which(p)]
        if absent:
            raise Unusable(f"not installed: {', '.join(absent)}")
        if os.geteuid() != 0:
            raise Unusable("dockerd needs root")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="memherd-docker-"))
        self.group = group
        self.socket = self.dir / "docker.sock"
        self.log = self.dir / "dockerd.log"
        self.groups_before = set(CGROUPS.glob("*/docker")) | set(CGROUPS.glob("docker"))
        self.process = None

    def __enter__(self):
        try:
            self.start()
            self.make_image()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        argv = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "dockerd", "--host", f"unix://{self.socket}",
                "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--pidfile", self.dir / "pid",
                "--config-file", self.dir / "none.json", "--storage-driver=vfs", "--iptables=false",
                "--ip-forward=false", "--bridge=none", "--exec-opt", "native.cgroupdriver=cgroupfs"]
        if self.group is not None:
            argv += ["--group", str(self.group)]
            self.dir.chmod(0o711)
        (self.dir / "none.json").write_text("{}")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        try:
            wait_for("dockerd", lambda: self.process.poll() is not None or self.answers(), 60)
        except TimeoutError as e:
            raise Unusable(f"{e}: {self.last_word()}") from e
        if self.process.poll() is not None:
            raise Unusable(f"dockerd ended with {self.process.returncode}: {self.last_word()}")

    def last_word(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def answers(self):
        return subprocess.run(self.argv("version"), capture_output=True, check=False).returncode == 0

    def argv(self, *argv):
        return ["docker", "--host", f"unix://{self.socket}", *map(str, argv)]

    def cli(self, *argv, seconds=120, stderr=subprocess.PIPE):
        """stdout of a docker command; a RuntimeError with what it said when it fails."""
        r = subprocess.run(self.argv(*argv), stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=seconds,
                           stdin=subprocess.DEVNULL, check=False)
        if r.returncode:
            raise RuntimeError(f"docker {' '.join(map(str, argv))}: exit {r.returncode}: {r.stderr or r.stdout}")
        return r.stdout.strip()

    def make_image(self):
        root = self.dir / "root"
        make_root(root)
        tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
        with tar.stdout:
            subprocess.run(self.argv("import", "-", IMAGE), stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
        if tar.wait():
            raise RuntimeError("the image's files could not be packed")
        shutil.rmtree(root)

    def run(self, text, name=None, memory=None, wait=True, options=()):
        """A container that runs Python text, which has ready() to call; returns when it was called, unless
        wait is false. memory: as for docker ("40m"); no swap beside it. options: more of 'docker run'."""
        limit = ["--memory", memory, "--memory-swap", memory] if memory else []
        ident = self.cli("run", "--detach", "--network", "none", *limit, *(["--name", name] if name else []),
                         *options, IMAGE, "/usr/bin/python3", "-c", READY + text)
        box = Container(self, name, ident)
        if wait:
            wait_for("the container to be ready", box.is_ready, 30)
        return box

    # ---- the end ----

    def ours(self):
        """Processes that were started with our folder in their arguments: containerd and its shims."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{self.dir}/".encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    yield int(entry.name)

    def remove_containers(self):
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            ids = self.cli("ps", "--all", "--quiet").split()
            if ids:
                self.cli("rm", "--force", *ids)

    def stop(self):
        """The engine alone: dockerd ends its containers."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def end_processes(self):
        self.stop()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(TimeoutError):
                wait_for("the engine's processes to end", lambda: not list(self.ours()), 5)
            for pid in self.ours():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)

    def __exit__(self, *_):
        if self.process:
            if self.process.poll() is None:
                self.remove_containers()
            self.end_processes()
        for group in (set(CGROUPS.glob("*/docker")) | set(CGROUPS.glob("docker"))) - self.groups_before:
            with contextlib.suppress(OSError):  # another engine that began meanwhile uses it
                group.rmdir()
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.dir.exists():
            print(f"not removed: {self.dir}", file=sys.stderr)
