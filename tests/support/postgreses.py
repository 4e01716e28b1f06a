# SPDX-License-Identifier: Apache-2.0
"""The newest PostgreSQL of Debian's suites, unpacked under build/postgres as pythons.py does with interpreters, for
'make check-pg': prints NAME and ROOT of what could be had, a line a suite, or why not."""
import pathlib
import re
import shutil
import sys

import pythons

HOME = pathlib.Path(pythons.ROOT) / "build/postgres"
SUITES = ("trixie", "sid")


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


if __name__ == "__main__":
    for suite in sys.argv[1:] or SUITES:
        try:
            print(suite, *get(suite))
        except (OSError, ValueError) as e:
            print(f"SKIP {suite}: {re.sub(r'https?://[^ ]+', '(mirror)', str(e))}", file=sys.stderr)
