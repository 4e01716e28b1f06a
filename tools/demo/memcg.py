# SPDX-License-Identifier: Apache-2.0
"""A memory cgroup of the test's own, v1 or v2, with a limit and programs in it. Kills happen in there and
nowhere else; nothing of it is left afterwards."""

import contextlib
import os
import pathlib
import re
import subprocess
import time


class Unusable(Exception):
    """Why no cgroup can be made here."""


def hierarchy():
    """(version, folder) of the memory cgroups, as this process is in them."""
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    own = {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for _, folder, kind, options, *_ in mounts:
        if kind == "cgroup" and "memory" in options.split(","):
            return 1, pathlib.Path(folder)
    for _, folder, kind, *_ in mounts:
        if kind == "cgroup2":
            path = pathlib.Path(folder) / own.get("", "/").lstrip("/")
            if "memory" in (path / "cgroup.controllers").read_text().split():
                return 2, pathlib.Path(folder)
    raise Unusable("no memory cgroups are mounted here")


class Memcg:
    """with Memcg(limit=40 << 20) as box: box.run(["python3", "-c", "..."])"""

    def __init__(self, limit, name="memherd-test"):
        self.version, root = hierarchy()
        self.path = root / f"{name}-{os.getpid()}-{time.monotonic_ns() % 1000000}"
        self.limit = limit
        self.programs = []

    def __enter__(self):
        try:
            self.path.mkdir()
            if self.version == 1:
                self.write("memory.limit_in_bytes", self.limit)
                with contextlib.suppress(OSError):  # without swap accounting
                    self.write("memory.memsw.limit_in_bytes", self.limit)
            else:
                self.write("memory.max", self.limit)
                with contextlib.suppress(OSError):
                    self.write("memory.swap.max", 0)
        except OSError as e:
            raise Unusable(f"no memory cgroup can be made here: {e}") from e
        return self

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    def read(self, name):
        return (self.path / name).read_text()

    def run(self, argv, **how):
        """Starts argv inside; its Popen."""
        procs = str(self.path / "cgroup.procs")
        command = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', procs, *map(str, argv)]
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, **how)
        self.programs.append(program)
        return program

    def kills(self):
        """What the kernel counted here."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)$", self.read(name), re.M)
        return int(found.group(1)) if found else None

    def name(self):
        """As the kernel's log calls it."""
        return "/" + self.path.name

    def __exit__(self, *_):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
            program.wait()
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.path.rmdir()
                return
            time.sleep(0.05)
