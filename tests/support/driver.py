# SPDX-License-Identifier: Apache-2.0
"""A driver of tests/integration/drivers that is told what to do by lines on its stdin (lines.h)."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def path(name):
    return os.path.join(ROOT, os.environ.get("B", "build/release-gcc"), "drivers", name)


class LineDriver:
    """Its stderr goes to the file log; its end is checked, and the log told when it was a bad one."""

    def __init__(self, name, args, log):
        self.log = open(log, "a+")
        self.p = subprocess.Popen([path(name), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                  bufsize=1)

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        try:
            code = self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            code = self.p.wait()
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        self.p.stdout.close()
        assert code == 0, text
