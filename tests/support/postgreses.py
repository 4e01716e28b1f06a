# SPDX-License-Identifier: Apache-2.0
"""PostgreSQLs for 'make check-pg', under build/postgres: the newest one of Debian's suites, unpacked as pythons.py does
with interpreters, and those of versions that no suite has, from packages that npm-postgres/package-lock.json pins. Prints
NAME, the folder of its programs and, for one that must be run in a root of its own, ROOT, a line each, or why not."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pythons

HOME = pathlib.Path(pythons.ROOT) / "build/postgres"
SUITES = ("trixie", "sid")
PACKAGES = ("postgresql-14", "postgresql-16")


def newest(apt):
    names = [line.split()[0] for line in apt.run("apt-cache", "search", "--names-only", r"^postgresql-[0-9]+$").splitlines()]
    if not names:
        raise OSError("the suite has no PostgreSQL")
    return max(names, key=lambda n: int(n.rsplit("-", 1)[1]))


def complete(root):
    """What a server wants of a system: who its user is, a shell to start it by, and a /dev/null."""
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/dash", root / "bin/sh")
    for name in "passwd", "group":
        (root / "etc").mkdir(exist_ok=True)
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev/null").touch()
    (root / "dev/null").chmod(0o666)
    (root / "tmp").chmod(0o1777)


def get(suite):
    """Its root, where it can be had."""
    root = HOME / suite
    if not root.exists():
        apt = pythons.Apt(suite)
        apt.update()
        HOME.mkdir(parents=True, exist_ok=True)
        apt.unpack(newest(apt), root)
    complete(root)
    program, = root.glob("usr/lib/postgresql/*/bin/postgres")
    return program.parent, root


def get_package(name):
    """The folder of its programs. The links among its libraries, which no package can hold, are made here."""
    root = pathlib.Path(pythons.ROOT)
    home = HOME / "npm"
    if not (home / "node_modules" / name).exists():
        r = subprocess.run([root / "tools/npm-install", root / "tests/support/npm-postgres", home], capture_output=True,
                           text=True, check=False)
        if r.returncode:
            raise OSError((r.stderr or r.stdout).strip().splitlines()[-1][:200])
    folder = home / "node_modules" / name
    for link in json.loads((folder / "native/pg-symlinks.json").read_text()):
        at = folder / link["target"]
        if not at.is_symlink():
            at.symlink_to(pathlib.Path(link["source"]).name)
    for program in (folder / "native/bin").iterdir():
        program.chmod(0o755)
    return folder / "native/bin"


if __name__ == "__main__":
    for suite in sys.argv[1:] or (*SUITES, *PACKAGES):
        try:
            print(suite, *([get_package(suite)] if suite in PACKAGES else get(suite)))
        except (OSError, ValueError) as e:
            print(f"SKIP {suite}: {re.sub(r'https?://[^ ]+', '(mirror)', str(e))}", file=sys.stderr)
