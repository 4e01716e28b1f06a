# SPDX-License-Identifier: Apache-2.0
"""The CPythons to test with: those on this machine, and those of Debian's other suites, fetched with apt from
the mirror that this machine is set up for, unpacked under build/pythons and run by chroot with their own C
library. An apt configuration of its own: the machine's sources and packages stay as they are.

    for python in pythons.all():
        python.label, python.version, python.kind, python.start("print(1)", ...)
    pythons.unavailable()  # {label: why}

A suite that cannot be reached is told by unavailable(), never passed over."""

import dataclasses
import fcntl
import functools
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "build/pythons"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = ("bullseye", "bookworm", "trixie", "testing", "sid", "experimental")
WANTED = r"^(python3\.[0-9]+(-minimal|-nogil)|pypy3)$"
# Large, so of two suites only.
EXTRA = {"bookworm": ("python3.11-dbg",), "trixie": ("python3.13-dbg",)}
NOT_OF = {"bookworm": ("python3.11-minimal", "pypy3"), "testing": ("pypy3",), "sid": ("pypy3",), "experimental": ("pypy3",)}
MERGED = ("bin", "sbin", "lib", "lib64")


@dataclasses.dataclass(frozen=True)
class Python:
    label: str
    version: str  # as it tells it: '3.13.5'
    kind: str  # cpython, debug, threadfree, other
    build: str
    program: str  # inside root
    root: pathlib.Path | None
    library: str | None  # libpython, where it is shared

    def minor(self):
        return int(self.version.split(".")[1])

    def argv(self, *args, program=None):
        argv = [program or self.program, *map(str, args)]
        return ["chroot", str(self.root), *argv] if self.root else argv

    def path(self, inside):
        """Where a path of its own is for us."""
        return pathlib.Path(f"{self.root}{inside}") if self.root else pathlib.Path(inside)


ASK = ("import sys; v = sys.version_info; print('%d.%d.%d%s' % (v[0], v[1], v[2], '' if v[3] == 'final' else v[3][0] + str(v[4])),"
       "'other' if sys.implementation.name != 'cpython' else 'debug' if hasattr(sys, 'gettotalrefcount') else "
       "'threadfree' if 't' in getattr(sys, 'abiflags', '') else 'cpython')")


def ask(label, build, program, root):
    """A Python, or why it does not run."""
    argv = [program, "-S", "-c", ASK]
    r = subprocess.run(["chroot", str(root), *argv] if root else argv, capture_output=True, text=True, timeout=60,
                       env=clean_environment(), check=False)
    if r.returncode != 0:
        return f"does not run: {r.stderr.strip()[-200:]}"
    version, kind = r.stdout.split()
    return Python(label, version, kind, build, program, root, None if root else shared_library(program))


def clean_environment():
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LD_"))}, "LC_ALL": "C"}


def shared_library(program):
    r = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    found = re.search(r"libpython3\.\S+ => (\S+)", r.stdout)
    return found.group(1) if found else None


# ---- on this machine ----

def local():
    """/usr, /usr/local, /opt and pyenv's."""
    places = [*pathlib.Path("/usr/bin").glob("python3.*"), *pathlib.Path("/usr/local/bin").glob("python3.*"),
              *pathlib.Path.home().glob(".pyenv/versions/*/bin/python3.*"), *pathlib.Path("/opt").glob("*/bin/python3.*")]
    seen = {p.resolve() for p in places if re.fullmatch(r"python3\.[0-9]+t?", p.name) and os.access(p, os.X_OK)}
    for path in sorted(seen):
        python = ask(f"local {path}", f"this machine, {'shared' if shared_library(str(path)) else 'static'}", str(path), None)
        if isinstance(python, Python):
            yield dataclasses.replace(python, label=f"local-{python.version}")


# ---- of Debian's suites ----

class Apt:
    """apt for one suite, with a folder of its own and nothing installed."""

    def __init__(self, suite):
        self.suite = suite
        self.dir = HOME / "apt" / suite
        self.options = ["-o", f"Dir={self.dir}", "-o", f"Dir::Etc={self.dir}/etc", "-o", f"Dir::State={self.dir}/state",
                        "-o", f"Dir::State::status={self.dir}/status", "-o", f"Dir::Cache={self.dir}/cache",
                        "-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=0", "-o", "Acquire::Retries=2",
                        "-o", "Acquire::http::Timeout=20", "-o", "Debug::NoLocking=1"]

    def run(self, *argv, seconds=300):
        r = subprocess.run([argv[0], *self.options, "-q", *argv[1:]], capture_output=True, text=True, timeout=seconds,
                           check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
        if r.returncode != 0:
            raise OSError(re.sub(r"https?://\S+", "(mirror)", (r.stderr or r.stdout).strip().splitlines()[-1])[:200])
        return r.stdout

    def update(self):
        for d in ("etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"):
            (self.dir / d).mkdir(parents=True, exist_ok=True)
        (self.dir / "status").write_text("")
        suites = ["sid", "experimental"] if self.suite == "experimental" else [self.suite]
        (self.dir / "etc/sources.list").write_text("".join(f"deb [signed-by={KEYS}] {mirror()} {s} main\n" for s in suites))
        self.run("apt-get", "-o", "APT::Update::Error-Mode=any", "update")

    def packages(self):
        """Those wanted whose newest version is of this suite."""
        names = [line.split()[0] for line in self.run("apt-cache", "search", "--names-only", WANTED).splitlines()]
        if self.suite == "experimental":
            names = [n for n in names if f"{self.suite}/main" in self.candidate(n)]
        return [n for n in (*names, *EXTRA.get(self.suite, ())) if n not in NOT_OF.get(self.suite, ())]

    def candidate(self, package):
        """Where its newest version is from."""
        said = self.run("apt-cache", "madison", package).splitlines()
        return said[0].split("|")[2] if said else ""

    def unpack(self, package, root):
        """It and what it depends on; beside a minimal one the modules of its standard library."""
        archives = self.dir / "cache/archives"
        shutil.rmtree(archives, ignore_errors=True)
        (archives / "partial").mkdir(parents=True)
        release = ["-t", "experimental"] if self.suite == "experimental" else []
        more = [f"lib{package.removesuffix('-minimal')}-stdlib"] if package.endswith("-minimal") else []
        self.run("apt-get", *release, "install", "--yes", "--download-only", package, *more, seconds=600)
        half = root.with_name(root.name + ".half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        for deb in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", deb, half], check=True)
        merge_usr(half)
        (half / "tmp").mkdir(exist_ok=True)
        shutil.rmtree(archives)
        half.rename(root)


@functools.cache
def mirror():
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
                          capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        uri, *of = line.split()
        if len(of) == 3 and of[0] == "Debian" and "-" not in of[1] and of[2] == "main":
            return uri
    raise OSError("this machine's apt has no mirror of Debian")


def merge_usr(root):
    """/lib and the like into /usr, as Debian's programs expect it since bookworm."""
    for name in MERGED:
        old, new = root / name, root / "usr" / name
        new.mkdir(parents=True, exist_ok=True)
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if not old.is_symlink():
            old.symlink_to(f"usr/{name}")


def program_of(root, package):
    name = package.removesuffix("-minimal")
    for path in (f"/usr/bin/{name}", f"/usr/bin/{name.removesuffix('-nogil')}t"):
        if (root / path[1:]).exists():
            return path
    raise OSError(f"{package} has no program")


def packages_of(suite):
    """(package, root) of what is unpacked, fetched before where it was not."""
    listed = HOME / f"{suite}.packages"
    if listed.exists():
        return [(p, HOME / f"{suite}-{p}") for p in listed.read_text().split()]
    apt = Apt(suite)
    apt.update()
    got = []
    for package in apt.packages():
        root = HOME / f"{suite}-{package}"
        try:
            if not root.exists():
                apt.unpack(package, root)
            got.append((package, root))
        except OSError as e:
            _absent[f"{suite} {package}"] = str(e)
    listed.write_text("\n".join(p for p, _ in got))
    return got


def of_suite(suite):
    for package, root in packages_of(suite):
        label = f"{suite}-{package}"
        python = ask(label, f"Debian {suite}, static", program_of(root, package), root)
        if isinstance(python, Python):
            build = f"{package}, Debian {suite}" if python.kind != "cpython" else python.build
            yield dataclasses.replace(python, label=f"{suite}-{package.removesuffix('-minimal')}", build=build)
        else:
            _absent[label] = python


_absent = {}


@functools.cache
def all():  # noqa: A001
    """Every one there is, by version; with the same build in two suites only the first."""
    found = list(local())
    if os.geteuid() != 0:
        _absent.update({s: "chroot needs root" for s in SUITES})
        return sorted(found, key=order)
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs may fetch at once
        for suite in SUITES:
            try:
                found += [p for p in of_suite(suite) if not any(q.root and (q.version, q.kind) == (p.version, p.kind) for q in found)]
            except (OSError, subprocess.SubprocessError) as e:
                _absent[suite] = str(e)
    return sorted(found, key=order)


def order(python):
    return python.kind, [int(n) for n in re.findall(r"[0-9]+", python.version)], python.label


def unavailable():
    all()
    return dict(_absent)


if __name__ == "__main__":
    for one in all():
        print(f"{one.label:34} {one.version:10} {one.kind:10} {one.build:24} {one.program}")
    for what, reason in unavailable().items():
        print(f"{what:34} not available: {reason}")
