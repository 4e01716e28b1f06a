# SPDX-License-Identifier: Apache-2.0
"""A real supervisord in a folder of its own, which runs Python programs that sleep."""
import os
import pathlib
import signal
import subprocess

from stack import wait_for

PYTHON = "/usr/bin/python3"
# 'grows': the first one is large.
SLEEP = "import pathlib, signal, sys, time\nif 'handles' in sys.argv: signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n" \
        "if 'deaf' in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\nblock = bytearray(80 << 20 if 'grows' in sys.argv and not pathlib.Path(__file__).with_name('been').exists() else 10 << 20)\n" \
        "if 'grows' in sys.argv: pathlib.Path(__file__).with_name('been').touch()\ntime.sleep(600)\n"
SOCKET = "[unix_http_server]\nfile=%(here)s/control.sock\n"
RPC = "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"


def start_of(pid):
    try:
        f = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(f[19]) if f[0] != "Z" else None


def children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [p for p in map(int, text.split()) if start_of(p)]


class Supervisord:
    """One in a folder of its own. Programs: name -> lines of its section beside the command's arguments."""

    def __init__(self, folder, programs, head=SOCKET, *, daemon=True, user=None, conf="main.conf", include=True, argv=None, wanted=None):
        self.folder = folder
        folder.mkdir()
        (folder / "sleep.py").write_text(SLEEP)
        sections = "".join(f"[program:{name}]\ncommand={PYTHON} {folder}/sleep.py {args}\nstartsecs=0\n{more}\nstdout_logfile=NONE\n"
                           f"stderr_logfile=NONE\n" for name, (args, more) in programs.items())
        text = f"{head}{RPC if head else ''}[supervisord]\nlogfile=%(here)s/log\npidfile=%(here)s/pid\nchildlogdir=%(here)s\n"
        if include:
            (folder / "conf.d").mkdir()
            (folder / "conf.d/programs.conf").write_text(sections)
            text += "[include]\nfiles = conf.d/*.conf   ; what it runs\n"
        else:
            text += sections
        (folder / conf).write_text(text)
        if user:
            subprocess.run(["chown", "-R", user, folder], check=True)
        self.log = (folder / "out").open("wb")
        self.popen = subprocess.Popen(["/usr/bin/supervisord", *(argv or ["-c", conf]), *([] if daemon else ["-n"])], cwd=folder,
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True, user=user)
        self.pid = None
        self.wanted = wanted or len(programs)
        try:
            self.begin(daemon)
        except BaseException:
            self.close()
            raise

    def begin(self, daemon):
        if daemon:
            assert self.popen.wait(30) == 0, self.said()
        self.pid = int(wait_for("supervisord", lambda: (self.folder / "pid").exists() and (self.folder / "pid").read_text(), 30))
        wait_for("its programs", lambda: len(self.ready()) == self.wanted, 30)

    def said(self):
        return "".join((self.folder / f).read_text(errors="replace") for f in ("out", "log") if (self.folder / f).exists())

    def ready(self):
        """name -> pid, of those that have run their first lines (the block is there)."""
        found = {}
        for pid in children(self.pid):
            try:
                args = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                size = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
            except (FileNotFoundError, ProcessLookupError):
                continue
            # between fork and exec it has its parent's
            if size > 10 << 20 and args[1].endswith(b"sleep.py"):
                found[args[2].decode()] = pid
        return found

    def close(self):
        """Whoever it runs goes after it, else it would start another."""
        first = self.pid or self.popen.pid
        pids = [first, *children(first)]
        for pid in pids:
            pids += [c for c in children(pid) if c not in pids]
        for pid in pids:
            if start_of(pid):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait(10)
        self.log.close()
