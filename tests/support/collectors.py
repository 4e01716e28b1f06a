# SPDX-License-Identifier: Apache-2.0
"""Two collectors on one PostgreSQL, an agent and a root helper at each, one mail server: what happens
when the leader is killed or stopped, and the proof that only one leads at a time."""
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
import inbox  # noqa: E402
from crowd import Crowd  # noqa: E402
from pg_private import Postgres  # noqa: E402
from stack import Stack, wait_for  # noqa: E402

LEASE = 1
RULES = """rule big on process where cmdline ~ "*FOLDER/target*" {
    why "a test wants it";
    warmup 1s;
    level mail when rss > 1MiB for 1s;
}
"""
POLICY = "allow trim uid>=0 exe=/usr/bin/python3* max=500/h cooldown=1s\ndeny *\n"
# agent/act/journal.c
JOURNAL_MAGIC = b"MHJ2"
JOURNAL_STARTED = 1
SHARED = ("ca.key", "ca.pem", "command.key")
# Every write of a leader, in the order of the leaders' locks on the lease's row.
PROOF = """
CREATE TABLE proof (n int8 GENERATED ALWAYS AS IDENTITY, t timestamptz DEFAULT clock_timestamp(), what text,
                    fence int8, holder text);
CREATE FUNCTION prove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO proof (what, fence, holder)
    SELECT TG_TABLE_NAME, NEW.fence, holder || ':' || fence FROM lease;
    RETURN NULL;
END $$;
CREATE TRIGGER prove AFTER INSERT OR UPDATE ON alert FOR EACH ROW WHEN (NEW.fence IS NOT NULL) EXECUTE FUNCTION prove();
CREATE TRIGGER prove AFTER INSERT ON mail FOR EACH ROW EXECUTE FUNCTION prove();
CREATE TRIGGER prove AFTER INSERT ON command FOR EACH ROW WHEN (NEW.actor LIKE 'rule:%') EXECUTE FUNCTION prove();
"""

GRACE = 30  # of sealing: collector/store/store.c
# How often a process was seen, by the chunks: points of its RSS, each time once.
SEEN = """
SELECT t, count(*) FROM (
    SELECT c.t0 + ms * interval '1 ms' AS t
      FROM chunk AS c, LATERAL unnest(mh_col(c.d, -1, c.n)) AS ms
     WHERE c.host_id = %s AND c.proc_id = %s) AS s
 GROUP BY t ORDER BY t
"""
# What of a writer's batches is in no chunk.
UNSEALED = """
SELECT count(*) FROM inbox AS i LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
 WHERE i.writer = %s AND (a.done IS NULL OR i.rcv > a.done)
"""


def process_of(stack, host_id, pid):
    """As this collector shows it, or None."""
    rows = stack.items(f"/hosts/{host_id}/processes?limit=1000")
    return next((p for p in rows if p["pid"] == pid), None)


class Server(Postgres):
    """Empty, and as safe as a real one: the collectors make their tables."""

    def start(self):
        options = f"-k {self.dir} -c listen_addresses='' -c log_min_messages=fatal"
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-w", "-o", options, "-l", f"{self.dir}/log", "start")

    def set_up(self):
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        self.run(f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()

    @property
    def url(self):
        return f"postgresql://postgres@/postgres?host={self.dir}"


class Pair:
    def __init__(self, lease=LEASE, window="1min", options=None):
        self.pg = Server()
        self.stacks = []
        self.window = window
        self.lease = lease
        self.options = options or {}
        self.targets = []
        self.crowd = Crowd()

    def make(self, n):
        first = self.stacks[0] if self.stacks else None
        s = Stack(window=self.window, interval="1s", policy=POLICY, collector={
            "database": self.pg.url, "lease": f"{self.lease}s", "flush_interval": "50ms",
            **self.options})
        s.rules = RULES.replace("FOLDER", str(first.dir if first else s.dir))
        if first:
            s.collector_options["smtp_url"] = f"smtp://127.0.0.1:{first.smtp}"
            s.path("collector").mkdir(mode=0o700)
            for name in SHARED:
                shutil.copy2(first.path("collector", name), s.path("collector", name))
        else:
            s.start_sink()
        self.stacks.append(s)
        s.start_collector()
        return s

    def __enter__(self):
        try:
            self.pg.set_up()
            a, b = self.make(0), self.make(1)
            self.pg.query(PROOF)
            for s, other in ((a, b), (b, a)):
                s.agent_options["collector"] = f"127.0.0.1:{s.stream}, 127.0.0.1:{other.stream}"
                s.agent_options["host_name"] = "first" if s is a else "second"
                s.enroll_agent()
                s.start_actd()
                s.start_agent()
            wait_for("both agents at both collectors", lambda: all(
                [h["connected"] for h in s.items("/hosts")] == [True, True] for s in self.stacks), 20)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.crowd.end()
        for s in self.stacks:
            collector = s.programs.get("collector")
            if collector and collector.alive():
                os.kill(collector.pid, signal.SIGCONT)
        try:
            for s in reversed(self.stacks):
                s.close()
        finally:
            self.pg.__exit__()

    # ---- looking ----

    def sql(self, statement, *args):
        return self.pg.query(statement, *args)

    def leader(self):
        """(index of the collector whose lease runs, its fence), or None."""
        rows = self.sql("SELECT c.name, l.fence FROM lease AS l JOIN collector AS c ON c.collector_id::text = l.holder "
                        "WHERE l.expires > clock_timestamp()")
        if not rows:
            return None
        port = int(rows[0][0].rpartition(":")[2])
        return next(i for i, s in enumerate(self.stacks) if s.stream == port), rows[0][1]

    def wait_leader(self, above=0, seconds=20):
        def look():
            found = self.leader()
            return found if found and found[1] > above else None
        return wait_for("a leader", look, seconds, 0.05)

    # ---- what goes on meanwhile ----

    def target(self):
        """A process that an alert comes of, on both hosts."""
        s = self.stacks[0]
        name = f"target{len(self.targets)}.py"
        s.write(name, "import time\ntime.sleep(3600)\n")
        self.targets.append(s.start(name, "/usr/bin/python3", s.path(name)))
        return self.targets[-1]

    def command(self, where, host_id, pid):
        """Asked for at one collector, of a host that may be at the other: its id, None when refused."""
        status, _, body = self.stacks[where].request("POST", "/api/v1/actions", {"type": "trim", "target": f"{host_id}:{pid}"},
                                                     {"Idempotency-Key": f"{where}-{host_id}-{pid}"})
        return status, body

    # ---- killing ----

    def kill(self, how):
        """The leader is killed, or stopped until another leads; then it comes back."""
        who, fence = self.wait_leader()
        s = self.stacks[who]
        if how == "kill":
            s.programs["collector"].stop(signal.SIGKILL)
            found = self.wait_leader(fence)
            s.start_collector()
        else:
            os.kill(s.programs["collector"].pid, signal.SIGSTOP)
            try:
                found = self.wait_leader(fence)
            finally:
                os.kill(s.programs["collector"].pid, signal.SIGCONT)
        assert found[0] != who, "the other one leads"
        return found

    # ---- the proof ----

    def mails_by_alert(self):
        counts = collections.Counter()
        for m in self.stacks[0].messages():
            counts[m["X-Memherd-Incident"], m["X-Memherd-State"]] += 1
        return counts

    def journals(self):
        """(id, fence) of each action that began, by the root helpers' journals, in their order."""
        for s in self.stacks:
            data = s.path("root", "journal").read_bytes()
            for at in (m.start() for m in re.finditer(re.escape(JOURNAL_MAGIC), data)):
                kind, = struct.unpack_from("<I", data, at + 4)
                fence, = struct.unpack_from("<Q", data, at + 64)
                if kind == JOURNAL_STARTED:
                    yield data[at + 16:at + 32].hex(), fence

    def check(self, kills):
        rows = self.sql("SELECT n, what, fence, holder FROM proof ORDER BY n")
        assert rows, "leaders wrote"
        assert all(holder.endswith(f":{fence}") for _, _, fence, holder in rows), "whoever wrote held the lease"
        fences = [fence for _, _, fence, _ in rows]
        assert fences == sorted(fences), "no older leader wrote after a newer one"
        assert len({(fence, holder) for _, _, fence, holder in rows}) == len(set(fences)), "a number is one leader's"
        # Alerts: one a target and host. Mails: at least one, at most one more a kill.
        keys = self.sql("SELECT key, count(*) FROM alert WHERE rule = 'big' GROUP BY key")
        assert len(keys) == 2 * len(self.targets) and {n for _, n in keys} == {1}, keys
        mails = self.mails_by_alert()
        ids = [f"INC-{i}" for i, in self.sql("SELECT alert_id FROM alert WHERE rule = 'big'")]
        assert all(mails[i, "firing"] >= 1 for i in ids), (ids, mails)
        extra = sum(mails.values()) - len(mails)
        assert extra <= kills, f"{extra} mails twice in {kills} kills"
        assert self.sql("SELECT count(*) FROM mail WHERE state <> 'sent'") == [(0,)]
        # Commands: ended, and none carried out twice.
        assert self.sql("SELECT count(*) FROM command WHERE state IN ('queued', 'sent', 'running')") == [(0,)]
        began = collections.Counter(c for c, _ in self.journals())
        twice = {c: n for c, n in began.items() if n > 1}
        assert not twice, f"carried out twice: {twice}"
        ends = self.sql("SELECT doc ->> 'id', count(*) FROM audit WHERE action IN ('command.end', 'command.expire') "
                        "GROUP BY 1 HAVING count(*) > 1")
        assert not ends, f"ended twice: {ends}"
        return {"fences": len(set(fences)), "alerts": len(keys), "mails": sum(mails.values()),
                "mails twice": extra, "carried out": len(began)}


def run(seed, kills):
    rng = random.Random(seed)
    with Pair() as p:
        commands, refused = 0, []
        for n in range(kills):
            target = p.target()
            how = ("kill", "stop")[n % 2] if kills < 4 else rng.choice(("kill", "stop"))
            time.sleep(rng.uniform(0, 2.5))
            p.kill(how)
            time.sleep(rng.uniform(0, 1))
            status, body = p.command(rng.randrange(2), rng.randrange(2) + 1, target.pid)
            commands += status in (200, 201, 202)
            refused += [] if status < 300 else [(status, body[:300])]
        wait_for("the alerts and their mails", lambda: p.sql(
            "SELECT count(*) FROM alert WHERE rule = 'big'") == [(2 * kills,)] and not p.sql(
            "SELECT 1 FROM mail WHERE state = 'queued'") and len({k[0] for k in p.mails_by_alert()}) >= 2 * kills, 40, 0.3)
        wait_for("the commands' ends", lambda: not p.sql(
            "SELECT 1 FROM command WHERE state IN ('queued', 'sent', 'running')"), 40, 0.3)
        found = p.check(kills)
        print(f"SEED={seed} kills={kills} commands={commands} {found}")
        assert commands, refused
        return found


# ---- what is in chunks ----


def started(pair):
    """The process that is watched, and its ids by host."""
    pid = pair.target().pid
    a = pair.stacks[0]
    return pid, {h: int(wait_for("the process", lambda h=h: process_of(a, h, pid), 60)["id"].split("-")[-1])
                 for h in (1, 2)}


OPEN = """
SELECT i.t0::text, i.writer, i.host_id, i.epoch, i.seq, i.last, i.rcv::text, a.done::text, now()::text
  FROM inbox AS i LEFT JOIN compaction AS a ON a.t0 = i.t0 AND a.shard = i.writer
 WHERE i.rcv < to_timestamp(%s) AND (a.done IS NULL OR i.rcv > a.done) ORDER BY i.rcv
"""


def seal_everything(pair, until):
    """Every batch received before that time is in chunks."""
    try:
        wait_for("all of it in chunks", lambda: not pair.sql(OPEN, until), GRACE + 70, 0.5)
    except TimeoutError as e:
        logs = [s.programs["collector"].log.read_text()[-3000:] for s in pair.stacks]
        raise TimeoutError("\n".join([str(e), *map(str, pair.sql(OPEN, until)), *logs])) from None


def check(pair, proc, host_id, since, until):
    """A sample a second, each once, no hole."""
    rows = [(t.timestamp(), n) for t, n in pair.sql(SEEN, host_id, proc)]
    assert rows and {n for _, n in rows} == {1}, [r for r in rows if r[1] != 1]
    times = [t for t, _ in rows if since <= t < until]
    assert len(times) > (until - since) * 0.8, (len(times), until - since)
    holes = [(x, y) for x, y in zip(times, times[1:]) if y - x > 4]
    assert not holes and times[0] - since < 4 and until - times[-1] < 4, holes
    bad = pair.sql("SELECT * FROM stream_account WHERE NOT ok")
    assert not bad, bad
    lacks, ticks = inbox.unsealed(pair.sql, {1: len(pair.crowd), 2: len(pair.crowd)})
    assert not lacks and ticks, lacks
    # Rollups count what the chunks hold.
    assert pair.sql("SELECT sum(n) FROM rollups WHERE host_id = %s AND proc_id = %s", host_id, proc) == pair.sql(
        "SELECT sum(n) FROM chunk WHERE host_id = %s AND proc_id = %s", host_id, proc)
