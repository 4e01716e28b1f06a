#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The main path under faults: agents, collector and PostgreSQL are killed at random moments and at named
ones (common/failpoint.h), and an oracle that knows what was produced judges what is stored.

As a module: run(...) starts itself in a PID namespace of its own, so that no process of one run can live on
into the next, and returns what the run found. As a program: faults.py '{"kills": 20, ...}'."""
import glob
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULT = ROOT / "build/fault-gcc"
DRIVERS = ROOT / os.environ.get("B", "build/release-gcc") / "drivers"
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/support")]
import inbox  # noqa: E402
from crowd import Crowd  # noqa: E402
from stack import BIN, Program, Stack, agent_user, free_port, wait_for  # noqa: E402

FACTOR, TICK_EACH = 2654435761, 5  # drivers/numbered.c
GAP = 3
UNCLEAN = 2
EINPROGRESS = 115
# Each edge at which the collector is killed; those of a start and of retention by their own ways there.
EDGES = ("ingest.begin", "ingest.rows", "ingest.commit", "ingest.committed", "ingest.acked", "seal.rows",
         "seal.commit", "seal.committed", "replay.page", "replay.end", "retain.detached", "retain.drop",
         "retain.dropped")
LINK_EDGES = ("link.kept", "link.send", "link.acked")
# Of the agent's disk spool: made, appended, synced while the collector is away, emptied and removed as it acknowledges.
SPOOL_EDGES = ("spool.created", "spool.headed", "spool.append", "spool.appended", "spool.sync", "spool.synced",
               "spool.cut", "spool.was_cut", "spool.remove", "spool.removed", "spool.aside")
CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE)
QUERY = (ROOT / "sql/queries/stream_account.sql").read_text()


# ---- a PostgreSQL that can be killed ----

class Cluster:
    def __init__(self, folder):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.folder = folder
        self.port = free_port()
        self.process = None
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        folder.mkdir()
        os.chown(folder, *self.owner())
        self.as_owner("initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "--no-sync")

    @staticmethod
    def owner():
        import pwd
        user = pwd.getpwnam("postgres")
        return user.pw_uid, user.pw_gid

    def as_owner(self, program, *argv):
        subprocess.run([f"{self.bin}/{program}", *map(str, argv)], check=True, stdout=subprocess.DEVNULL,
                       user="postgres", group="postgres", extra_groups=[], cwd=self.folder)

    def start(self):
        # TCP only: a socket file's lock would outlive a kill.
        argv = [f"{self.bin}/postgres", "-D", self.folder / "data", "-p", self.port, "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=", "-c", "shared_buffers=32MB", "-c", "max_connections=40"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            user="postgres", group="postgres", extra_groups=[], cwd=self.folder,
                                            start_new_session=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """The postmaster; its children notice and go, and it is reaped, or a next one would refuse to start."""
        self.process.kill()
        self.process.wait()

    def answers(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False,
                              stdout=subprocess.DEVNULL).returncode == 0

    def up(self, seconds=60):
        """Started again as often as it takes: while children of the one before hold its memory it refuses."""
        def ready():
            if not self.alive():
                self.start()
            return self.answers()
        wait_for("PostgreSQL", ready, seconds, 0.05)

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()


# ---- agents ----

class Agent:
    """A real agent, or one whose sense numbers what it produces (drivers/numbered.c)."""

    def __init__(self, stack, name, rate=0, processes=5, options=None):
        self.stack, self.name, self.rate, self.processes = stack, name, rate, processes
        self.options = options or {}
        self.program = None
        self.produced = stack.path(f"{name}.produced")
        self.host_id = None
        self.starts = 0

    def enroll(self):
        stack = self.stack
        known = {h for h, in stack.sql("SELECT host_id FROM host")}
        token = json.loads(stack.cli("enroll-token", "create", "--ttl", "10min", "--json"))["token"]
        stack.write(f"{self.name}.token", token + "\n", 0o600)
        for folder in (self.name, f"{self.name}.root"):
            stack.path(folder).mkdir()
        options = {"collector": f"127.0.0.1:{stack.stream}", "state_dir": stack.path(self.name),
                   "trust_dir": stack.path(f"{self.name}.root"), "interval": "1s", "window": stack.window,
                   "user": agent_user(), "actd_socket": stack.path("none.sock"), "reconnect_base": "100ms",
                   "reconnect_cap": "1s", "reconnect_first": "100ms", "python": "no", **self.options}
        conf = stack.conf(f"{self.name}.conf", "agent", options)
        subprocess.run([BIN / "memherd-agent", "enroll", "-c", conf, "--token-file", stack.path(f"{self.name}.token")],
                       check=True, stdout=subprocess.DEVNULL)
        (self.host_id,), = [(h,) for h, in stack.sql("SELECT host_id FROM host") if h not in known]
        self.produced.touch()
        os.chmod(self.produced, 0o666)

    def start(self, env=None):
        conf = self.stack.path(f"{self.name}.conf")
        argv = ([DRIVERS / "numbered", conf, self.produced, self.rate, self.processes] if self.rate
                else [BIN / "memherd-agent", "run", "-c", conf])
        self.program = Program(self.name, argv, self.stack.path(f"{self.name}.log"), env=dict(os.environ, **(env or {})))
        self.starts += 1

    def child(self, role):
        """Its own word for which of its processes runs as what."""
        log = self.stack.path(f"{self.name}.log").read_text(errors="replace")
        pids = re.findall(rf"child={role} pid=(\d+) started", log)
        if not pids:
            return None
        try:
            stat = pathlib.Path(f"/proc/{pids[-1]}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return int(pids[-1]) if int(fields[1]) == self.program.pid and fields[0] != "Z" else None

    def numbers(self):
        """Numbers that were produced for sure, and the last that was begun."""
        sure, last = [], 0
        for line in self.produced.read_text().split():
            if line == "+":
                sure.append(last)
            else:
                assert int(line) == last + 1
                last = int(line)
        return sure, last

    def log(self):
        return self.stack.path(f"{self.name}.log").read_text(errors="replace")


# ---- what is judged ----

class Oracle:
    """What must hold, as a list of what does not; empty = nothing was lost, doubled or made up."""

    def __init__(self, stack):
        self.sql, self.agents, self.crowd, self.faults = stack.sql, stack.agents, stack.crowd, []

    def expect(self, holds, text):
        if not holds and len(self.faults) < 50:
            self.faults.append(text)

    def account(self):
        """The operator's query: produced = stored + gapped, of each stream."""
        names = ("host", "epoch", "produced", "first", "stored", "gapped", "dead", "waiting", "missing", "twice",
                 "beyond", "lost", "unclean", "ok")
        rows = [dict(zip(names, r)) for r in self.sql(QUERY)]
        for r in rows:
            self.expect(r["ok"] and not r["dead"], f"account: {r}")
            whole = r["first"] - 1 + r["stored"] + r["gapped"] + r["dead"] + r["waiting"] + r["missing"]
            self.expect(whole == r["produced"] and r["first"] == 1, f"account does not add up: {r}")
        return rows

    def payloads(self):
        """Each number of a batch's range is a record in its bytes or told as a gap, and nothing else is in them."""
        gaps = {}
        for h, e, first, last, reason in self.sql("SELECT host_id, epoch, from_seq, to_seq, reason FROM gap"):
            if reason != UNCLEAN:
                gaps.setdefault((h, e), set()).update(range(first, last + 1))
        count = 0
        for h, e, first, last, codec, d in self.sql("SELECT host_id, epoch, seq, last, codec, d FROM inbox"):
            there = [seq for seq, kind, _ in inbox.records(inbox.batch(codec, d)) if kind != GAP]
            want = set(range(first, last + 1)) - gaps.get((h, e), set())
            self.expect(len(there) == len(set(there)) and set(there) == want,
                        f"batch {h}/{e} {first}..{last}: records {sorted(set(there) ^ want)[:9]} differ")
            count += len(there)
        return count

    def numbered(self, agent, finished):
        """Every number once; what is not there fell out where a stream ended uncleanly or lies in a gap."""
        sure, last = agent.numbers()
        rows = self.sql("SELECT epoch, seq, doc->>'text' FROM event WHERE host_id = %s AND kind = 'memory' "
                        "ORDER BY epoch, seq, idx", agent.host_id)
        where = {}
        for epoch, seq, text in rows:
            n = int(re.fullmatch(r"n=(\d+) c=\d+", text)[1])
            self.expect(text == f"n={n} c={n * FACTOR % 2 ** 32}" and 1 <= n <= last, f"{agent.name}: never produced: {text}")
            self.expect(n not in where, f"{agent.name}: number {n} twice")
            where[n] = (epoch, seq)
        gaps = {}
        for e, first, to, reason in self.sql("SELECT epoch, from_seq, to_seq, reason FROM gap WHERE host_id = %s", agent.host_id):
            if reason != UNCLEAN:
                gaps.setdefault(e, []).append((first, to))
        stored = sorted(where)
        gone = 0
        for before, after in zip([0, *stored], [*stored, last + 1]):
            absent = [n for n in sure if before < n < after] if after - before > 1 else []
            gone += len(absent)
            if not absent:
                continue
            if not finished and after > last:
                continue
            (e1, s1), (e2, s2) = where.get(before, (None, 0)), where.get(after, (None, 0))
            room = sum(min(to, s2 - 1) - max(first, s1 + 1) + 1 for first, to in gaps.get(e1, [])
                       if min(to, s2 - 1) >= max(first, s1 + 1))
            explained = (e1 != e2 and after <= last) or room >= len(absent)
            self.expect(explained, f"{agent.name}: {len(absent)} numbers {absent[0]}.. lost without a word")
        return len(sure), len(stored), gone

    def samples(self):
        twice = self.sql("SELECT host_id, proc_id, t, count(*) FROM sample_rss GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT 3")
        self.expect(not twice, f"a sample twice in the chunks: {twice}")
        lacks, ticks = inbox.unsealed(self.sql, {a.host_id: a.processes if a.rate else len(self.crowd) for a in self.agents})
        for lack in lacks:
            self.expect(False, lack)
        for a in self.agents:
            if a.rate:
                self.values(a)
        return ticks

    def values(self, agent):
        """The memory of each numbered process is the number of its tick."""
        _, last = agent.numbers()
        before = {}
        for process, n in self.sql("SELECT proc_id, rss_kib FROM sample_rss WHERE host_id = %s ORDER BY proc_id, t", agent.host_id):
            self.expect(before.get(process, 0) < n <= last and n % TICK_EACH == 0,
                        f"{agent.name}: process {process} has {n} after {before.get(process)}, of {last}")
            before[process] = n

    def logs(self, finished):
        for a in self.agents:
            ends = re.findall(r"ends lane=(\w+) produced=(\d+) stored=(\d+)", a.log())[-2:]
            if finished:
                self.expect(len(ends) == 2 and all(made == stored for _, made, stored in ends),
                            f"{a.name}: ended with {ends}")
            self.expect("collector went back" not in a.log(), f"{a.name}: was told that is stored what was not")

    def judge(self, finished=True):
        rows = self.account()
        stored = self.payloads()
        figures = {a.name: self.numbered(a, finished) for a in self.agents if a.rate}
        sealed = self.samples()
        self.logs(finished)
        return {"streams": len(rows), "produced": sum(r["produced"] for r in rows), "stored": sum(r["stored"] for r in rows),
                "gapped": sum(r["gapped"] for r in rows), "waiting": sum(r["waiting"] for r in rows),
                "records": stored, "sealed": sealed, "numbered": figures, "faults": self.faults}


# ---- the run ----

class Faults(Stack):
    def __init__(self, drivers=2, real=1, mutant="", points="", collector=None, rules=None, rate=20, processes=5):
        super().__init__(window="10s", rules=rules)
        self.mutant, self.points = mutant, points
        self.cluster = None
        self.crowd = Crowd()
        self.options = collector or {}
        self.agents = [Agent(self, f"numbered{i}", rate, processes) for i in range(drivers)]
        self.agents += [Agent(self, f"real{i}") for i in range(real)]

    def sql(self, statement, *params):
        import psycopg2

        connection = psycopg2.connect(self.cluster.url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, params or None)
                return cursor.fetchall()
        finally:
            connection.close()

    def environment(self, points=None):
        return dict(os.environ, MEMHERD_MUTANT=self.mutant, MEMHERD_FAILPOINTS=self.points if points is None else points)

    def launch(self, points=None):
        """The collector, without waiting for it."""
        self.programs.pop("collector", None)
        self.start("collector", BIN / "memherd-collector", "run", "-c", self.path("collector.conf"),
                   env=self.environment(points))

    def up(self):
        self.cluster = Cluster(self.path("db"))
        self.cluster.up()
        self.collector_options = {"database": self.cluster.url, **self.options}
        os.environ.update(MEMHERD_FAILPOINTS="", MEMHERD_MUTANT="")
        self.start_sink()
        self.start_collector()  # makes the schema and the token
        for a in self.agents:
            a.enroll()
            a.start()
        wait_for("the first records", lambda: self.fresh(time.time() - 60), 60)
        return self

    def fresh(self, since):
        """Every agent's records of after since are stored."""
        try:
            rows = self.sql("SELECT host_id, max(rcv) > to_timestamp(%s) FROM inbox GROUP BY 1", since)
        except Exception:  # noqa: BLE001 - whatever the driver says: it is away
            return False
        return {h for h, ok in rows if ok} == {a.host_id for a in self.agents}

    def close(self):
        faults = []
        self.crowd.end()
        for a in self.agents:
            if a.program:
                faults += self.end(a.program)
        try:
            super().close()
        finally:
            if self.cluster:
                self.cluster.stop()
        if faults:
            raise RuntimeError("\n".join(faults))

    def finish(self):
        """The agents end as an operator ends them: they send what they hold."""
        for a in self.agents:
            code = a.program.stop()
            if code != 0:
                raise RuntimeError(f"{a.name} ended with {code}:\n{a.program.tail()}")
        self.programs["collector"].stop()


class Run:
    def __init__(self, seed, kills, mutant="", only="", points="", edges=True, until=""):
        """until: a column of the account; the kills end when it is not 0 of some stream."""
        self.random = random.Random(seed)
        self.kills, self.only, self.points, self.until = kills, only, points, until
        self.stack = Faults(mutant=mutant)
        self.todo = list(EDGES) if edges else []
        self.link_todo = list(LINK_EDGES) if edges else []
        self.done = {}
        self.at = {}
        self.longest = 0.0
        self.armed = None

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    @property
    def n(self):
        return sum(self.done.values())

    def collector_points(self):
        """Of each start others: slow edges, replies that get lost, and now and then a death at one."""
        if self.points:
            return self.points
        items = [f"{e}=sleep({self.random.choice((5, 20, 60))})@{self.random.choice((5, 20))}%"
                 for e in self.random.sample(EDGES, 3)]
        items += [f"ingest.reply=error({EINPROGRESS})@3%", f"seal.reply=error({EINPROGRESS})@20%"]
        edge = self.todo[0] if self.todo and self.random.random() < 0.7 else None
        edge = edge or (self.random.choice(EDGES) if self.random.random() < 0.3 else None)
        self.armed = edge
        if edge:
            times = 1 if edge.split(".")[0] in ("replay", "retain", "seal") else self.random.randint(1, 12)
            items = [i for i in items if not i.startswith(edge + "=")] + [f"{edge}=kill@{times}"]
        return ";".join(items)

    def agent_env(self):
        items = [f"{e}=sleep({self.random.choice((1, 5, 20))})@5%" for e in self.random.sample(LINK_EDGES, 1)]
        if self.link_todo:
            edge = self.link_todo[0]
            items = [i for i in items if not i.startswith(edge)] + [f"{edge}=kill@{self.random.randint(20, 60)}"]
        return {"MEMHERD_FAILPOINTS": "" if self.points else ";".join(items)}

    # ---- keeping things up ----

    def mend(self):
        """What is dead is started again, as whoever supervises it would."""
        s = self.stack
        if not s.cluster.alive():
            s.cluster.start()
        collector = s.programs["collector"]
        code = collector.process.poll()
        if code is not None:
            if code in CRASHES:
                raise RuntimeError(f"the collector ended with {code}:\n{collector.tail(40)}")
            self.note_edges(collector, self.todo)
            collector.file.close()
            s.launch(self.collector_points())
        for a in s.agents:
            self.note_edges(a.program, self.link_todo)
            if not a.program.alive():
                a.program.file.close()
                a.start(self.agent_env())

    def note_edges(self, program, todo):
        found = re.findall(r"failpoint=(\S+) kill", program.log.read_text(errors="replace"))
        for edge in set(found):
            more = found.count(edge) - self.at.get((program.name, edge), 0)
            self.at[program.name, edge] = found.count(edge)
            for _ in range(more):
                self.count(f"at {edge}")
            if edge in todo:
                todo.remove(edge)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.mend()
            time.sleep(0.05)

    def wait_for_edge(self):
        """Retention begins some seconds after a start: a collector that is to die there is let live so long."""
        edge, self.armed = self.armed, None
        if not edge or not edge.startswith("retain."):
            return
        wait_for("PostgreSQL", self.stack.cluster.answers, 30)
        self.old_leaves()
        end = time.monotonic() + 12
        while edge in self.todo and time.monotonic() < end:
            self.wait(0.1)

    # ---- killing ----

    def victims(self):
        s = self.stack
        a = self.random.choice(s.agents)
        return {
            "collector": lambda: s.programs["collector"].process.kill(),
            "postgres": s.cluster.kill,
            "collector and postgres": lambda: (s.programs["collector"].process.kill(), s.cluster.kill()),
            "link": lambda: self.kill_pid(a.child("link")),
            "sense": lambda: self.kill_pid(a.child("sense")),
            "agent": a.program.process.kill,
        }

    @staticmethod
    def kill_pid(pid):
        if pid:
            os.kill(pid, signal.SIGKILL)
        return bool(pid)

    def strike(self):
        victims = self.victims()
        names = self.only.split(",") if self.only else ["collector"] * 6 + ["postgres"] * 6 + [
            "collector and postgres", "link", "link", "sense", "agent", "agent", "agent"]
        name = self.random.choice(names)
        try:
            hit = victims[name]()
        except ProcessLookupError:
            return
        if hit is not False:
            self.count(name)

    def settle(self):
        """I4: within a minute after the faults a fresh sample of every agent is stored."""
        at = time.time()
        end = at + 60
        while not self.stack.fresh(at):
            if time.time() > end:
                raise RuntimeError("no fresh sample within 60 s\n" + "\n".join(
                    p.tail(25) for p in [self.stack.programs["collector"], *[a.program for a in self.stack.agents]]))
            self.mend()
            time.sleep(0.1)
        self.longest = max(self.longest, time.time() - at)

    def disarm(self):
        """An agent's link that is to die at its n-th record would do so again, at the end, with what it holds."""
        for a in self.stack.agents:
            self.note_edges(a.program, self.link_todo)
            a.program.process.kill()
            a.program.process.wait()

    def old_leaves(self):
        """So that retention has something to drop during a run."""
        for hours in range(10, 16):
            self.stack.sql("SELECT mh_make_leaf('inbox', date_trunc('hour', now()) - %s * interval '1 hour', "
                           "date_trunc('hour', now()) - %s * interval '1 hour')", hours, hours - 1)

    def caught(self):
        try:
            return any(r[self.until] for r in Oracle(self.stack).account())
        except Exception:  # noqa: BLE001 - the database is away: nothing is known
            return False

    def go(self):
        s = self.stack
        began = time.monotonic()
        settled = 0
        s.up()
        try:
            s.programs["collector"].process.kill()
            caught = False
            while self.n < self.kills and not caught:
                self.wait(self.random.uniform(0.2, 2.2))
                self.wait_for_edge()
                self.strike()
                if self.n >= settled + 12:
                    settled = self.n
                    self.settle()
                if self.until and self.n % 3 == 0:
                    self.wait(1.5)
                    caught = self.caught()
            never = self.todo + self.link_todo
            self.points, self.todo, self.link_todo = "none=sleep(0)", [], []
            self.disarm()
            self.settle()
            s.programs["collector"].process.kill()
            s.programs["collector"].process.wait()
            s.launch("")
            self.settle_plain()
            s.finish()
            result = Oracle(s).judge()
        finally:
            s.close()
        result.update(kills=self.n, done=self.done, seconds=round(time.monotonic() - began),
                      longest=round(self.longest, 1), never=never)
        return result

    def settle_plain(self):
        s = self.stack
        s.wait_ready()
        at = time.time()
        wait_for("a fresh sample", lambda: s.fresh(at), 60)


class SpoolRun:
    """One agent, killed at each edge of its disk spool while the collector is there and while it is not."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.stack = Faults(drivers=1, real=0)
        self.hit = {}

    def damage(self):
        """A byte of the largest file of the spool turns over, so that it is set aside when it is drained."""
        files = sorted(self.stack.path(self.agent.name).glob("spool/*.seg"), key=lambda f: f.stat().st_size)
        if files and files[-1].stat().st_size > 200:
            at = files[-1].stat().st_size // 2
            with open(files[-1], "r+b") as f:
                f.seek(at)
                byte = f.read(1)[0]
                f.seek(at)
                f.write(bytes([byte ^ 0x40]))

    def died(self, edge):
        return len(re.findall(rf"failpoint={re.escape(edge)} kill", self.agent.log()))

    def strike(self, edge, there):
        s, a = self.stack, self.agent
        collector = s.programs["collector"]
        if there and not collector.alive():
            s.launch("")
            s.wait_ready()
        elif not there and collector.alive():
            collector.process.kill()
            collector.process.wait()
        if edge == "spool.aside" and there:
            self.damage()
        once = edge in ("spool.created", "spool.headed", "spool.remove", "spool.removed", "spool.aside")
        before = self.died(edge)
        a.program.file.close()
        a.start({"MEMHERD_FAILPOINTS": f"{edge}=kill@{1 if once else self.random.randint(1, 5)}"})
        end = time.monotonic() + 8
        while self.died(edge) == before and time.monotonic() < end:
            time.sleep(0.05)
        if self.died(edge) > before:
            self.hit.setdefault("there" if there else "away", []).append(edge)
        a.program.process.kill()
        a.program.process.wait()
        time.sleep(0.3)  # its children follow

    def go(self):
        s = self.stack
        s.up()
        self.agent, = s.agents
        try:
            time.sleep(2)
            self.agent.program.process.kill()
            self.agent.program.process.wait()
            for edge in SPOOL_EDGES:
                for there in (False, True):
                    self.strike(edge, there)
            if not s.programs["collector"].alive():
                s.launch("")
            s.wait_ready()
            self.agent.program.file.close()
            self.agent.start()
            at = time.time()
            wait_for("a fresh sample", lambda: s.fresh(at), 60)
            wait_for("the old streams to be drained", lambda: len(list(
                s.path(self.agent.name).glob("spool/*.seg"))) <= 2, 60)
            s.finish()
            result = Oracle(s).judge()
        finally:
            s.close()
        result.update(hit=self.hit)
        return result


def run(seconds=900, **options):
    """A run in a PID namespace of its own, of the build that has failpoints: what it found."""
    env = dict(os.environ, BIN=str(FAULT), B=str(FAULT))
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, __file__, json.dumps(options)]
    r = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, timeout=seconds, check=False)
    if r.returncode:
        raise AssertionError(f"the run ended with {r.returncode}: {options}")
    return json.loads(r.stdout.splitlines()[-1])


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps((SpoolRun if asked.pop("spool", False) else Run)(**asked).go()))
