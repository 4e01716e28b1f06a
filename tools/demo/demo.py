# SPDX-License-Identifier: Apache-2.0
"""memherd on this machine: a program leaks and the mail names it, another one's heap is fragmented and
gives its memory back, a third one is killed at the limit of its cgroup and the dossier says why. DEMO_SECONDS=N bounds it; it then exits 0 only when every step was seen in the
database and in the mail that came."""

import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memcg import Memcg, Unusable  # noqa: E402
from stack import HERE, Stack  # noqa: E402

MIB = 1024 * 1024


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def mib(n):
    return f"{n / MIB:.0f} MiB"


class Story:
    """The steps, each looked for where it must be: database, REST, mail."""

    def __init__(self, stack, leak_pid, fragment_pid, hog_pid):
        self.stack = stack
        self.leak_pid = leak_pid
        self.fragment_pid = fragment_pid
        self.hog_pid = hog_pid
        self.seen = {}
        self.steps = [
            ("samples of this host's processes stored", self.samples),
            ("the leak is an alert that names the culprit", self.alert),
            ("the alert's mail came and names the culprit", self.mail),
            ("a trim gave memory back", self.trim),
            ("a mail tells what the trim gained", self.trim_mail),
        ]
        if hog_pid:
            self.steps += [("an OOM kill has a dossier with its limit and who had grown", self.kill),
                           ("the kill's mail came and names the victim", self.kill_mail)]

    def samples(self):
        (stored,), = self.stack.sql("SELECT coalesce(sum(last_seq), 0) FROM agent_stream")
        (processes,), = self.stack.sql("SELECT count(*) FROM process")
        return stored >= 5 and processes >= 3 and f"{stored} records, {processes} processes"

    def alert(self):
        rows = self.stack.sql("SELECT a.title, p.pid FROM alert a JOIN process p USING (host_id, proc_id) "
                              "WHERE a.rule = 'leak' AND a.level = 'mail'")
        return next((title for title, pid in rows if pid == self.leak_pid), None)

    def mail(self):
        for m in self.stack.messages():
            if m["X-Memherd-Rule"] == "leak" and str(self.leak_pid) in m.get_body(("plain",)).get_content():
                return f"'{m['Subject']}'"
        return None

    def trim(self):
        rows = self.stack.sql("SELECT rss_before, rss_after, held_us FROM command WHERE action = 'trim' "
                              "AND state = 'done' AND pid = %s", self.fragment_pid)
        for before, after, held in rows:
            if before - after > 50 * MIB:
                return f"{mib(before)} -> {mib(after)}, the program was held for {held / 1000:.1f} ms"
        return None

    def trim_mail(self):
        for m in self.stack.messages():
            if m["X-Memherd-Rule"] == "fragmented" and "gave back" in m.get_body(("plain",)).get_content():
                return f"'{m['Subject']}'"
        return None

    def kill(self):
        rows = self.stack.sql("SELECT verdict, doc FROM oom_kill WHERE pid = %s AND cause = 'kernel_memcg'", self.hog_pid)
        for verdict, doc in rows:
            if doc["limit_bytes"] and any(g["pid"] == self.hog_pid for g in doc["growers"]):
                return verdict
        return None

    def kill_mail(self):
        for m in self.stack.messages():
            if m["X-Memherd-Rule"] == "oom_kill" and f"pid {self.hog_pid}" in m.get_body(("plain",)).get_content():
                return f"'{m['Subject']}'"
        return None

    def look(self):
        for name, check in self.steps:
            if name in self.seen:
                continue
            found = check()
            if found:
                self.seen[name] = found
                say(f"seen: {name}: {found}")

    def missing(self):
        return [name for name, _ in self.steps if name not in self.seen]


def account(stack):
    """One line of what a person would see on the page."""
    for h in stack.items("/hosts"):
        if h["available_bytes"] is None:
            continue
        culprit = h.get("culprit")
        text = f"{h['processes']} processes, {mib(h['available_bytes'])} of {mib(h['total_bytes'])} available"
        if culprit:
            text += (f"; fastest growing: {culprit['comm']} (pid {culprit['pid']}) "
                     f"{culprit['growth_bytes_per_hour'] / MIB:+.0f} MiB/h")
        say(text)


def start_hog(stack, box):
    """The program that its cgroup will kill; 0 where no cgroup can be made."""
    if not box:
        return 0
    stack.write("hog.py", (HERE / "hog.py").read_text())
    return box.run(["/usr/bin/python3", stack.path("hog.py")]).pid


def run(stack, seconds, box):
    end = time.monotonic() + seconds if seconds else None
    say("starting a private PostgreSQL and the collector")
    stack.start_sink()
    stack.start_collector()
    say("enrolling this host, starting the agent and the root helper")
    stack.enroll_agent()
    stack.start_actd()
    stack.start_agent()
    # Where user nobody can read them: the checkout may be in a private home.
    for name in ("leak.py", "fragment.py"):
        stack.write(name, (HERE / name).read_text())
    leak = stack.start("leak", "/usr/bin/python3", stack.path("leak.py"), 1, user="nobody")
    fragment = stack.start("fragment", "/usr/bin/python3", stack.path("fragment.py"), 200, user="nobody")
    say(f"dashboard: {stack.cli('login-link').strip()}")
    hog = start_hog(stack, box)
    say(f"a leaking program runs as pid {leak.pid}, one with a fragmented heap as pid {fragment.pid}"
        + (f", and pid {hog} will outgrow its cgroup of {mib(box.limit)}" if hog else ""))
    story = Story(stack, leak.pid, fragment.pid, hog)
    told = 0.0
    while end is None or time.monotonic() < end:
        story.look()
        # A bounded run has shown all it can once the story is whole.
        if end and not story.missing():
            break
        if time.monotonic() - told > 10:
            account(stack)
            told = time.monotonic()
        for p in stack.programs.values():
            if not p.alive():
                raise RuntimeError(f"{p.name} ended:\n{p.tail()}")
        time.sleep(0.5)
    return story


@contextlib.contextmanager
def cgroup():
    """A cgroup for the kill, or None where none can be made or the kernel's log may not be read."""
    try:
        open("/dev/kmsg", "rb").close()
        box = Memcg(48 * MIB, name="memherd-demo").__enter__()
    except (Unusable, OSError) as e:
        say(f"no OOM kill will be shown: {e}")
        yield None
        return
    try:
        yield box
    finally:
        box.__exit__()


def main():
    seconds = int(os.environ.get("DEMO_SECONDS") or 0)
    if os.geteuid() != 0:
        sys.exit("demo: run it as root: sudo make demo")
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(143))
    rules = (HERE / "demo.rules").read_text()
    policy = "allow trim uid>=1000 exe=/usr/bin/python3* max=6/h cooldown=10s\ndeny *\n"
    stack = Stack(window="1min", interval="1s", policy=policy)
    # This demo's programs, not those of another one on this machine.
    stack.rules = rules.replace('"*/', f'"*{stack.dir}/')
    try:
        with cgroup() as box:
            story = run(stack, seconds, box)
    except KeyboardInterrupt:
        say("stopping")
        return 0
    except (RuntimeError, TimeoutError) as e:
        print(f"demo: {e}", file=sys.stderr)
        for p in stack.programs.values():
            print(f"---- {p.name}\n{p.tail()}", file=sys.stderr)
        return 1
    finally:
        stack.close()
    if story.missing():
        for name in story.missing():
            say(f"NOT seen within {seconds} s: {name}")
        return 1
    say("the whole story was seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
