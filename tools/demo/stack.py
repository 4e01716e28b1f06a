# SPDX-License-Identifier: Apache-2.0
"""The whole product on this machine, in one temporary folder: collector with a private PostgreSQL,
agent, root helper and a mail sink, on free loopback ports. The demo and the integration tests run
it; nothing of it is left when close() returns."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from ports import free_port  # noqa: E402

BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build"))


def agent_user():
    """Who the agent's two processes run as; the product's own user where it is installed."""
    for name in ("memherd", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("neither user memherd nor nobody exists")


def wait_for(what, check, seconds=30.0, step=0.1):
    """check()'s first true value, or a TimeoutError that names what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(step)


REPORTS = ("ERROR: AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def sanitizer_report(log, most=20000):
    """What a sanitizer said in a log from its first line on, "" if nothing. Children write there too:
    they inherit the descriptor, so giving up root does not silence them."""
    text = pathlib.Path(log).read_text(errors="replace")
    starts = [text.find(mark) for mark in REPORTS if mark in text]
    return text[min(starts):][:most] if starts else ""


class Program:
    """One of ours, with its log; stopped by pid. prefix: a command that becomes argv by exec."""

    def __init__(self, name, argv, log, env=None, user=None, prefix=()):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = pathlib.Path(log)
        self.file = open(log, "ab")
        # A session of its own: Ctrl-C reaches whoever started us, who then stops things in order.
        self.process = subprocess.Popen([*map(str, prefix), *self.argv], stdin=subprocess.DEVNULL,
                                        stdout=self.file, stderr=self.file, env=env, user=user,
                                        start_new_session=True)

    @property
    def ours(self):
        return pathlib.Path(self.argv[0]).parent == BIN

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.alive():
            self.process.send_signal(sig)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.file.close()
        return code

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Stack:
    def __init__(self, window="30min", interval="1s", rules=None, policy=None, collector=None, agent=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="memherd-"))
        os.chmod(self.dir, 0o755)
        self.window = window
        self.interval = interval
        self.rules = rules or ""
        self.policy = policy or "deny *\n"
        self.collector_options = collector or {}
        self.agent_options = agent or {}
        self.http = free_port()
        self.stream = free_port()
        self.enroll = free_port()
        self.smtp = free_port()
        self.mails = self.dir / "mail"
        self.programs = {}
        self.token = None

    # ---- files ----

    def path(self, *parts):
        return self.dir.joinpath(*parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chmod(path, mode)
        return path

    def conf(self, name, section, options):
        return self.write(name, f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in options.items()))

    # ---- programs ----

    def start(self, name, *argv, env=None, user=None, prefix=()):
        program = Program(name, argv, self.path(f"{name}.log"), env=env, user=user, prefix=prefix)
        self.programs[name] = program
        return program

    def start_sink(self):
        self.mails.mkdir(exist_ok=True)
        self.start("sink", sys.executable, ROOT / "tests/support/smtp_sink.py", "--port", self.smtp,
                   self.mails)
        wait_for("the mail sink", lambda: self.listening(self.smtp), 20)

    def start_collector(self):
        self.path("rules.d").mkdir(exist_ok=True)
        self.write("rules.d/demo.rules", self.rules)
        options = {
            "state_dir": self.path("collector"),
            "database": f"embedded:{self.path('pg')}",
            "listen_stream": f"127.0.0.1:{self.stream}",
            "listen_enroll": f"127.0.0.1:{self.enroll}",
            "listen_http": f"127.0.0.1:{self.http}",
            "public_address": "127.0.0.1",
            "window": self.window,
            "rules_dir": self.path("rules.d"),
            "smtp_url": f"smtp://127.0.0.1:{self.smtp}",
            "smtp_tls": "none",
            "mail_from": "memherd@demo.example",
            "mail_to": "ops@demo.example",
        }
        options.update(self.collector_options)
        self.conf("collector.conf", "collector", options)
        self.start("collector", BIN / "memherd-collector", "run", "-c", self.path("collector.conf"))
        self.wait_ready()
        self.token = self.path("collector", "admin.token").read_text().strip()

    def wait_ready(self, seconds=60):
        def ready():
            if not self.programs["collector"].alive():
                raise RuntimeError("collector ended:\n" + self.programs["collector"].tail())
            try:
                return self.get("/readyz", token=False, raw=True) is not None
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False
        wait_for("the collector", ready, seconds)

    def enroll_agent(self):
        token = self.cli("enroll-token", "create", "--ttl", "10min", "--json")
        self.write("token", json.loads(token)["token"] + "\n", 0o600)
        self.path("agent").mkdir(exist_ok=True)
        options = {
            "collector": f"127.0.0.1:{self.stream}",
            "state_dir": self.path("agent"),
            "trust_dir": self.path("root"),
            "interval": self.interval,
            "window": self.window,
            "user": agent_user(),
            "actd_socket": self.path("actd.sock"),
            "reconnect_base": "200ms",
            "reconnect_cap": "2s",
            "reconnect_first": "500ms",
        }
        options.update(self.agent_options)
        self.conf("agent.conf", "agent", options)
        subprocess.run([BIN / "memherd-agent", "enroll", "-c", self.path("agent.conf"), "--token-file",
                        self.path("token")], check=True, stdout=subprocess.DEVNULL)

    def start_actd(self):
        self.write("root/policy", self.policy, 0o600)
        os.chmod(self.path("root"), 0o755)
        self.conf("actd.conf", "actd", {
            "socket": self.path("actd.sock"),
            "policy": self.path("root", "policy"),
            "command_key": self.path("root", "command.pub"),
            "host_uuid_file": self.path("root", "host_uuid"),
            "journal": self.path("root", "journal"),
            "operators": self.path("root", "operators"),
            "stop_file": self.path("root", "stop"),
            "maintenance_file": self.path("root", "maintenance"),
            "client_user": agent_user(),
        })
        self.start("actd", BIN / "memherd-actd", "run", "-c", self.path("actd.conf"))
        wait_for("memherd-actd", lambda: self.path("actd.sock").exists(), 10)

    def start_agent(self, prefix=()):
        self.start("agent", BIN / "memherd-agent", "run", "-c", self.path("agent.conf"), prefix=prefix)

    def up(self):
        self.start_sink()
        self.start_collector()
        self.enroll_agent()
        self.start_actd()
        self.start_agent()
        return self

    def close(self):
        """Stops what was started, the newest first, and removes the folder. Raises when one of memherd's
        own programs did not end well, or when a sanitizer found something in it or in its children."""
        faults = []
        for name in reversed(list(self.programs)):
            faults += self.end(self.programs[name])
        self.programs.clear()
        shutil.rmtree(self.dir, ignore_errors=True)
        if faults:
            raise RuntimeError("\n".join(faults))

    @staticmethod
    def end(program):
        """Stops one; what was wrong with it, as a list. A test may have ended it before in its own way:
        then only its log counts."""
        was_alive = program.alive()
        code = program.stop()
        if not program.ours:
            return []
        report = sanitizer_report(program.log)
        if report:
            return [f"{program.name}: {report}"]
        if was_alive and code != 0:
            return [f"{program.name} ended with {code} on SIGTERM:\n{program.tail()}"]
        return []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- asking ----

    @staticmethod
    def listening(port):
        with socket.socket() as s:
            s.settimeout(0.5)
            return s.connect_ex(("127.0.0.1", port)) == 0

    def url(self, path):
        return f"http://127.0.0.1:{self.http}{path}"

    def request(self, method, path, body=None, headers=None, token=True):
        """(status, headers, bytes); an HTTP error is an answer like any other."""
        request = urllib.request.Request(self.url(path), method=method)
        if token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        for k, v in (headers or {}).items():
            request.add_header(k, v)
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                return r.status, dict(r.headers), r.read()
        except urllib.error.HTTPError as e:
            return e.code, dict(e.headers), e.read()

    def get(self, path, token=True, raw=False):
        status, _, body = self.request("GET", path, token=token)
        if status != 200:
            return None
        return body if raw else json.loads(body)

    def items(self, path):
        answer = self.get("/api/v1" + path)
        return answer["items"] if answer else []

    def cli(self, *argv, check=True):
        env = dict(os.environ, MEMHERD_URL=self.url(""), MEMHERD_TOKEN=self.token)
        r = subprocess.run([str(BIN / "memherd"), *map(str, argv)], env=env, capture_output=True, text=True,
                           check=False)
        if check and r.returncode:
            raise RuntimeError(f"memherd {' '.join(map(str, argv))}: exit {r.returncode}: {r.stderr.strip()}")
        return r.stdout

    def sql(self, statement, *params):
        """Rows straight from the private PostgreSQL."""
        import psycopg2

        connection = psycopg2.connect(host=str(self.path("pg")), dbname="postgres", user="memherd")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, params)
                return cursor.fetchall()
        finally:
            connection.close()

    def messages(self):
        import email
        import email.policy

        return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default)
                for p in sorted(self.mails.glob("*.eml"), key=lambda p: int(p.stem))]
