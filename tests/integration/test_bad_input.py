# SPDX-License-Identifier: Apache-2.0
"""What is wrong is named and does no harm: configuration, tokens, certificates, frames, rules, names
of processes, and a database that stops, is of another version or has no room."""
import datetime
import html
import json
import os
import pathlib
import signal
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time

import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import BIN, Stack, agent_user, free_port, wait_for  # noqa: E402

HELLO, BATCH, ENROLL = 1, 3, 9
RULES = """
rule odd on process where cmdline ~ "*hostile-argument*" {
    why "it has an odd name";
    warmup 1s;
    level mail when rss > 1MiB for 1s;
}
"""


def run(program, *argv, stdin="", timeout=30, **kwargs):
    return subprocess.run([str(BIN / program), *map(str, argv)], input=stdin, capture_output=True, text=True,
                          timeout=timeout, check=False, **kwargs)


# ---- configuration ----

COMMON = {
    "unknown option": ("[{s}]\nfoo = 1\n", ":2: unknown option 'foo'"),
    "bad section": ("[other]\nlog_level = info\n", ":2: unknown section [other], expected [{s}]"),
    "no equals sign": ("[{s}]\nlog_level\n", ":2: expected 'key = value'"),
    "section not closed": ("[{s}\nlog_level = info\n", ":1: expected 'key = value'"),
    "unknown word": ("[{s}]\n\nlog_level = loud\n", ":3: log_level = 'loud': expected error, warn, info or debug"),
    "empty word": ("[{s}]\nlog_format =\n", ":2: log_format = '': expected text or json"),
}
OWN = {
    "memherd-agent": {
        "not a duration": ("interval = soon", "interval = 'soon': expected a duration such as"),
        "out of range": ("interval = 1h", "interval = '1h': expected 1s to 5min"),
        "negative": ("interval = -5s", "interval = '-5s': expected"),
        "not a number": ("max_processes = many", "max_processes = 'many': expected a whole number"),
        "too large for 64 bits": ("max_processes = 99999999999999999999", "max_processes = '9999"),
        "not a size": ("spool_memory = 4 parsecs", "spool_memory = '4 parsecs': expected a size"),
        "not an address": ("collector = here", "collector = 'here': expected host:port"),
        "relative path": ("state_dir = here", "state_dir = 'here': expected an absolute path"),
    },
    "memherd-actd": {},
    "memherd-collector": {
        "not a duration": ("window = soon", "window = 'soon': expected a duration such as"),
        "out of range": ("window = 1s", "window = '1s': expected 10s to 1h"),
        "not yes or no": ("remediation = perhaps", "remediation = 'perhaps': expected yes or no"),
        "not an address": ("listen_stream = nonsense", "listen_stream = 'nonsense': expected address:port"),
        "not a port": ("listen_http = 127.0.0.1:99999", "listen_http = '127.0.0.1:99999': expected address:port"),
        "another database": ("database = mysql://x", "database = 'mysql://x': expected embedded:/FOLDER"),
        "relative folder": ("database = embedded:here", "database = 'embedded:here': expected embedded:/FOLDER or postgresql://..."),
        "another mail protocol": ("smtp_url = gopher://x", "smtp_url = 'gopher://x': expected smtp://"),
        "another kind of TLS": ("smtp_tls = maybe", "smtp_tls = 'maybe': expected starttls, implicit or none"),
    },
}
SECTIONS = {"memherd-agent": "agent", "memherd-actd": "actd", "memherd-collector": "collector"}
CASES = [(p, name, *case) for p in OWN for name, case in COMMON.items()]
CASES += [(p, name, "[{s}]\n" + line + "\n", ":2: " + says) for p, own in OWN.items() for name, (line, says) in own.items()]


@pytest.mark.parametrize("program,name,text,says", CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_configuration_names_what_is_wrong(tmp_path, program, name, text, says):
    conf = tmp_path / "x.conf"
    section = SECTIONS[program]
    conf.write_text(text.format(s=section))
    r = run(program, "run", "-c", conf)
    assert r.returncode == 2, r
    assert f"{conf}{says.format(s=section)}" in r.stderr
    assert r.stderr.startswith(program + ": ") and len(r.stderr.splitlines()) == 1 and not r.stdout
    assert os.listdir(tmp_path) == ["x.conf"], "nothing was started"


@pytest.mark.parametrize("program", OWN)
def test_configuration_that_cannot_be_read(tmp_path, program):
    for path in (tmp_path / "missing", tmp_path):  # a folder opens and does not read
        r = run(program, "run", "-c", path)
        assert r.returncode == 2 and str(path) in r.stderr, r
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 64)
    r = run(program, "run", "-c", binary)
    assert r.returncode == 2 and f"{binary}:" in r.stderr, r


@pytest.mark.parametrize("argv,code,says", [
    (["--frob"], 2, "--frob"), (["frob"], 2, "no command 'frob'"), (["trim"], 2, "usage: memherd trim"), ([], 2, "usage"),
    (["--token-file", "/nonexistent", "hosts"], 2, "'/nonexistent'"),
    (["--url", "http://127.0.0.1:1", "hosts"], 5, "cannot reach 'http://127.0.0.1:1'"),
    (["--url", "nonsense://x", "hosts"], 5, "cannot reach 'nonsense://x'"),
])
def test_operators_command_names_what_is_wrong(argv, code, says):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MEMHERD_")}
    r = run("memherd", *argv, env=env)
    assert r.returncode == code and says in r.stderr and not r.stdout, r


# ---- a collector and an agent for all that follows ----

@pytest.fixture(scope="module")
def stack():
    s = Stack(window="10s", interval="1s", rules=RULES)
    try:
        yield s.up()
    finally:
        s.close()


@pytest.fixture(autouse=True)
def unharmed(request):
    """After each test with the stack the path works: a sample taken since is stored."""
    yield
    if "stack" not in request.fixturenames:
        return
    s = request.getfixturevalue("stack")
    assert s.programs["collector"].alive() and s.programs["agent"].alive()
    wait_for("fresh samples", lambda: stored_since(s, time.time()), 45)


def stored_since(stack, start):
    first = newest(stack)
    end = time.monotonic() + 3
    while time.monotonic() < end and time.time() - start < 60:
        if first is not None and (newest(stack) or 0) > first:
            return True
        time.sleep(0.2)
    return False


def newest(stack):
    try:
        (n,), = stack.sql("SELECT coalesce(sum(last_seq), 0) FROM agent_stream WHERE host_id = 1")
        return n
    except psycopg2.OperationalError:
        return None


def assert_no_hole(stack):
    """Every record that was numbered is stored once."""
    end = {}
    for e, first, last in stack.sql("SELECT epoch, seq, last FROM inbox WHERE host_id = 1 ORDER BY 1, 2"):
        assert first == end.get(e, 0) + 1
        end[e] = last
    assert end == dict(stack.sql("SELECT epoch, last_seq FROM agent_stream WHERE host_id = 1 AND last_seq > 0"))
    assert stack.sql("SELECT * FROM gap") == []


def log_after(stack, mark, name="collector"):
    return stack.path(f"{name}.log").read_text()[mark:]


def log_mark(stack, name="collector"):
    return len(stack.path(f"{name}.log").read_text())


def memory_mib(pid):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return int(status["VmRSS"].split()[0]) / 1024


# ---- enrolment ----

def new_token(stack, *argv):
    return json.loads(stack.cli("enroll-token", "create", "--json", *argv))["token"]


def enroll(stack, tmp_path, token):
    folder = tmp_path / "agent"
    folder.mkdir(exist_ok=True)
    conf = tmp_path / "agent.conf"
    conf.write_text(f"[agent]\nstate_dir = {folder}\nuser = {agent_user()}\n"
                    f"collector = 127.0.0.1:{stack.stream}\n"
                    f"trust_dir = {tmp_path}/trust\n")
    r = run("memherd-agent", "enroll", "-c", conf, stdin=token + "\n")
    if r.returncode:
        assert not (folder / "host.pem").exists() and not (tmp_path / "trust" / "host_uuid").exists()
    return r


def test_tokens_that_are_no_good(stack, tmp_path):
    hosts = stack.items("/hosts")
    good = new_token(stack, "--ttl", "10min")
    changed = good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:]
    for token in ("garbage", "", "x" * 5000, changed, good[:-4], good + "AAAA"):
        r = enroll(stack, tmp_path, token)
        assert r.returncode == 1 and r.stderr.startswith("memherd-agent: "), (token, r)
        assert good not in r.stderr
    late = new_token(stack, "--ttl", "10min")
    stack.sql("UPDATE enroll_token SET expires = now() - interval '1 second' WHERE token_id = "
              "(SELECT max(token_id) FROM enroll_token) RETURNING 1")
    r = enroll(stack, tmp_path, late)
    assert r.returncode == 1 and "expired" in r.stderr
    once = new_token(stack, "--uses", "1")
    assert enroll(stack, tmp_path / "..", once).returncode in (0, 1)
    r = enroll(stack, tmp_path, once)
    assert r.returncode == 1 and "used up" in r.stderr
    assert len(stack.items("/hosts")) <= len(hosts) + 1
    assert "this token is unknown, used up or expired" in log_after(stack, 0)


# ---- the stream's port ----

class Forger:
    """Host certificates as the collector's CA makes them, but for what a test wants wrong."""

    def __init__(self, folder, ca_folder=None):
        self.folder = folder
        if ca_folder:
            self.ca = x509.load_pem_x509_certificate((ca_folder / "ca.pem").read_bytes())
            self.ca_key = serialization.load_pem_private_key((ca_folder / "ca.key").read_bytes(), None)
        else:
            self.ca_key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another CA")])
            now = datetime.datetime.utcnow()
            self.ca = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                       .public_key(self.ca_key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=30))
                       .add_extension(x509.BasicConstraints(True, 0), True).sign(self.ca_key, hashes.SHA256()))

    def make(self, uuid, days=30, use=ExtendedKeyUsageOID.CLIENT_AUTH):
        key = ec.generate_private_key(ec.SECP256R1())
        end = datetime.datetime.utcnow() + datetime.timedelta(days=days)
        cert = (x509.CertificateBuilder()
                .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host")]))
                .issuer_name(self.ca.subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(end - datetime.timedelta(days=90)).not_valid_after(end)
                .add_extension(x509.ExtendedKeyUsage([use]), False)
                .add_extension(x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(f"memherd://host/{uuid}")]), False)
                .sign(self.ca_key, hashes.SHA256()))
        pem = self.folder / "forged.pem"
        pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return pem


def dial(stack, cert=None, key=None, port=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(stack.path("collector/ca.pem"))
    if cert:
        context.load_cert_chain(cert, key)
    raw = socket.create_connection(("127.0.0.1", port or stack.stream), timeout=10)
    return context.wrap_socket(raw, server_hostname="memherd-collector")


def until_closed(conn):
    """What came before the other side ended it."""
    data = b""
    try:
        while True:
            part = conn.recv(65536)
            if not part:
                return data
            data += part
    except (ConnectionError, ssl.SSLError):
        return data
    finally:
        conn.close()


def frame(kind, payload, size=None, flags=0):
    return struct.pack(">IBB", len(payload) if size is None else size, kind, flags) + payload


def own_uuid(stack):
    return stack.items("/hosts")[0]["uuid"]


CERTIFICATES = {
    "expired": (True, {"days": -1}, "expired"),
    "not valid yet": (True, {"days": 365}, "not yet valid"),
    "of a foreign CA": (False, {}, "unable to get local issuer certificate"),
    "for a server": (True, {"use": ExtendedKeyUsageOID.SERVER_AUTH}, "unsuitable certificate purpose"),
    "of an unknown host": (True, {"uuid": "11111111-2222-4333-8444-555555555555"}, "names no enrolled host"),
    "of no host": (True, {"uuid": "nobody"}, "names no enrolled host"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_that_are_refused(stack, tmp_path, name):
    ours, how, says = CERTIFICATES[name]
    how = {"uuid": own_uuid(stack), **how}
    pem = Forger(tmp_path, stack.path("collector") if ours else None).make(**how)
    mark = log_mark(stack)
    try:
        conn = dial(stack, pem)
        conn.sendall(frame(HELLO, b""))
        answer = until_closed(conn)
    except (ssl.SSLError, ConnectionError):
        answer = b""
    assert not answer or answer[4] == 8, "nothing but a GoAway"
    wait_for("a word in the log", lambda: says in log_after(stack, mark), 5)


def test_no_certificate_is_refused(stack):
    mark = log_mark(stack)
    try:
        assert until_closed(dial(stack)) == b""
    except (ssl.SSLError, ConnectionError):
        pass
    wait_for("a word in the log", lambda: "did not return a certificate" in log_after(stack, mark), 5)


@pytest.mark.parametrize("port", ["stream", "enroll", "http"])
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 5000, bytes(range(256)) * 500, b"\x16\x03\x01\xff\xff"],
                         ids=["http", "zeros", "bytes", "hello cut short"])
def test_garbage_before_any_handshake(stack, port, data):
    with socket.create_connection(("127.0.0.1", getattr(stack, port)), timeout=10) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        until_closed(s)
    assert memory_mib(stack.programs["collector"].pid) < 500


def forged_host(stack, tmp_path):
    """The files of a host of its own, so that the real agent keeps its connection."""
    folder = tmp_path / "agent"
    if not (folder / "host.pem").exists():
        r = enroll(stack, tmp_path, new_token(stack, "--uses", "1"))
        assert r.returncode == 0, r
    return folder


HELLO_OK = (b"\x08\x01\x10\x01\x22\x01x\x2a\x01x\x32\x10" + b"b" * 16 + b"\x3a\x01x\x40\x80\x20\x48\x64\x50\xe8\x07"
            b"\x7a\x01\x07\x82\x01\x01\x01\x8a\x01\x01\x00\x90\x01\x00")
FRAMES = {
    "larger than allowed": (frame(HELLO, b"", size=0xffffffff), "bytes"),
    "larger than a greeting": (frame(HELLO, b"x" * 5000), "bytes"),
    "unknown type": (frame(77, b"x"), "type"),
    "unknown flags": (frame(HELLO, b"", flags=9), "flags"),
    "not a greeting": (frame(BATCH, b""), "expected a greeting"),
    "malformed greeting": (frame(HELLO, b"\xff" * 40), "refused"),
    "empty greeting": (frame(HELLO, b""), "refused"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_are_refused(stack, tmp_path, name):
    data, says = FRAMES[name]
    folder = forged_host(stack, tmp_path)
    mark = log_mark(stack)
    conn = dial(stack, folder / "host.pem", folder / "host.key")
    conn.sendall(data)
    until_closed(conn)
    line = wait_for("the reason in the log", lambda: [x for x in log_after(stack, mark).splitlines()
                                                      if "host=1 " not in x and says in x], 5)
    assert "why=" in line[0] or "reason=" in line[0], line


def test_malformed_batch_after_a_greeting(stack, tmp_path):
    folder = forged_host(stack, tmp_path)
    mark = log_mark(stack)
    conn = dial(stack, folder / "host.pem", folder / "host.key")
    conn.sendall(frame(HELLO, HELLO_OK))
    head = conn.recv(6)
    assert head[4] == 2, f"no HelloAck: {log_after(stack, mark)}"
    conn.sendall(frame(BATCH, b"\x09" + b"\x07" + b"\0" * 7 + b"\x12\x7f\xff\xff"))
    until_closed(conn)
    wait_for("the reason", lambda: "refused reason=" in log_after(stack, mark), 5)


def test_oversized_enrolment_is_refused(stack):
    conn = dial(stack, port=stack.enroll)
    conn.sendall(frame(ENROLL, b"", size=1 << 30))
    until_closed(conn)
    assert memory_mib(stack.programs["collector"].pid) < 500


# ---- keys ----

def test_keys_that_others_can_read(stack, tmp_path):
    folder = forged_host(stack, tmp_path)
    os.chmod(folder / "host.key", 0o644)
    # Its user has to reach the folder.
    place = stack.path("other")
    shutil.copytree(folder, place)
    for path in (place, *place.iterdir()):
        shutil.chown(path, agent_user())
    agent = stack.start("other-agent", BIN / "memherd-agent", "run", "-o", f"state_dir={place}", "-o",
                        f"user={agent_user()}", "-o", f"collector=127.0.0.1:{stack.stream}")
    mark = log_mark(stack)
    says = f"'{place}/host.key' can be read by others (mode 0644), expected 0600"
    try:
        wait_for("its refusal", lambda: says in agent.tail(), 10)
        assert not [x for x in log_after(stack, mark).splitlines() if " connected " in x and "host=1 " not in x]
    finally:
        agent.stop()
        del stack.programs["other-agent"]
    state = tmp_path / "state"
    shutil.copytree(stack.path("collector"), state)
    (tmp_path / "password").write_text("x")
    os.chmod(tmp_path / "password", 0o600)
    for key in ("ca.key", "command.key", "server.key", "../password"):
        os.chmod(state / key, 0o644)
        r = run("memherd-collector", "run", "-o", f"state_dir={state}", "-o", f"database=embedded:{tmp_path}/pg",
                "-o", "smtp_url=smtp://127.0.0.1:1", "-o", "mail_to=ops@demo.example", "-o",
                f"rules_dir={tmp_path}", "-o", f"smtp_password_file={tmp_path}/password", "-o", "listen_http=127.0.0.1:0")
        os.chmod(state / key, 0o600)
        assert r.returncode in (1, 2) and "can be read by others (mode 0644), expected 0600" in r.stderr, (key, r)
        assert os.path.basename(key) in r.stderr
    assert not (tmp_path / "pg").exists(), "nothing was started"


# ---- rules ----

@pytest.mark.parametrize("text,says", [
    ("rule x on process {", "bad.rules:1:"), ("nonsense", "bad.rules:1:1:"),
    ("\nrule x on process {\n  level mail when rss > 5s;\n}\n", "bad.rules:3:"),
    ("rule x on process {\n  level mail when nosuch > 5;\n}\n", "bad.rules:2:19:"),
    ("(" * 100000, "bad.rules:1:"), ("rule \xff\x00", "bad.rules:1:"),
])
def test_rules_that_do_not_parse(tmp_path, text, says):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "bad.rules").write_bytes(text.encode("latin-1"))
    for command in ("check-config", "run"):
        r = run("memherd-collector", command, "-o", f"rules_dir={folder}", "-o", f"state_dir={tmp_path}/s", "-o",
                f"database=embedded:{tmp_path}/pg")
        assert r.returncode == 2 and says in r.stderr, r
    assert not (tmp_path / "pg").exists()


# ---- processes ----

HOSTILE = "x) R 1 \n<script>"
ARGUMENT = "hostile-argument </td><script>alert(1)</script>\n\x1b[31m\"}'\\ \xff"


def test_hostile_names_are_inert(stack):
    program = ("import ctypes, time\nctypes.CDLL(None).prctl(15, %r, 0, 0, 0)\ntime.sleep(60)" %
               HOSTILE.encode("latin-1"))
    child = subprocess.Popen([b"</script>", b"-c", program.encode(), ARGUMENT.encode("latin-1")],
                             executable="/usr/bin/python3")
    try:
        def shown():
            return next((p for p in stack.items("/hosts/1/processes?limit=1000") if p["pid"] == child.pid
                         and p["comm"].startswith("x)")), None)
        row = wait_for("the process", shown, 15)
        assert row["ppid"] == os.getpid() and row["threads"] == 1 and row["uid"] == os.getuid()
        texts = (row["comm"], row["cmdline"], row["service"])
        assert not any(ord(c) < 32 or ord(c) == 127 for t in texts for c in t), texts
        alert = wait_for("its alert", lambda: next((a for a in stack.items("/alerts") if a["rule"] == "odd"), None), 15)
        mail = wait_for("its mail", lambda: next((m for m in stack.messages() if m["X-Memherd-Rule"] == "odd"), None), 15)
        assert "\n" not in mail["Subject"] and alert["state"] == "firing"
        page = mail.get_body(("html",)).get_content()
        assert "<script" not in page.lower() and html.escape("<script>") in page
        assert "\x1b" not in mail.get_body(("plain",)).get_content()
        metrics = stack.get("/metrics", raw=True).decode()
        for line in metrics.splitlines():
            assert line.startswith("#") or line.rpartition(" ")[2].replace(".", "").replace("-", "").replace("+", "") \
                .replace("e", "").isdigit() or line.endswith("NaN"), line
        for argv in (["ps", "1"], ["alerts"], ["proc", f"1:{child.pid}"], ["status"]):
            out = stack.cli(*argv, check=False)
            assert "\x1b" not in out and "x) R 1 \n" not in out
        assert stack.request("GET", "/api/v1/processes/" + row["id"])[1]["Content-Type"].startswith("application/json")
    finally:
        child.kill()
        child.wait()


def test_a_storm_of_short_lives(stack):
    """Processes that end between two reads of /proc: some are seen, none is a trouble."""
    agent = stack.programs["agent"]
    mark = log_mark(stack, "agent")
    end = time.monotonic() + 4
    n = 0
    while time.monotonic() < end or n < 300:
        children = [subprocess.Popen(["/bin/true"]) for _ in range(20)]
        for c in children:
            c.wait()
        n += len(children)
    assert agent.alive()
    assert "ended" not in log_after(stack, mark, "agent"), "a child of the agent died"
    assert n >= 300


# ---- ports ----

@pytest.mark.parametrize("option", ["listen_stream", "listen_enroll", "listen_http"])
def test_a_port_that_is_taken(tmp_path, option):
    os.chmod(tmp_path, 0o755)
    s = Stack()
    try:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            s.collector_options = {option: address}
            with pytest.raises(RuntimeError):
                s.start_collector()
            collector = s.programs["collector"]
            assert collector.process.returncode == 2
            assert address in collector.tail() and "in use" in collector.tail()
        assert not s.path("pg/data/postmaster.pid").exists(), "the database was stopped"
    finally:
        s.close()


# ---- the database ----

def test_database_that_is_stopped_for_a_while(stack):
    server = int(stack.path("pg/data/postmaster.pid").read_text().split()[0])
    backends = [int(p) for p in subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True,
                                               check=True).stdout.split()]
    for pid in [server, *backends]:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(5)
        assert stack.request("GET", "/healthz", token=False)[0] == 200
    finally:
        for pid in [server, *backends]:
            os.kill(pid, signal.SIGCONT)
    wait_for("samples", lambda: stored_since(stack, time.time()), 30)
    assert_no_hole(stack)


def test_database_of_another_version(tmp_path):
    s = Stack()
    try:
        s.start_collector()
        assert s.programs["collector"].stop() == 0
        version = s.path("pg/data/PG_VERSION")
        text = version.read_text()
        for wrong in ("9", "99", "garbage"):
            version.write_text(wrong + "\n")
            with pytest.raises(RuntimeError):
                s.start_collector()
            said = s.programs["collector"].tail(3)
            assert s.programs["collector"].process.returncode in (1, 2)
            assert wrong in said or "PG_VERSION" in said, said
        version.write_text(text)
        s.start_collector()
    finally:
        s.close()


def fill(path):
    """All that is free where path is."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1 << 20, 4096):
            try:
                while os.write(fd, bytes(size)) == size:
                    pass
            except OSError:
                pass
    finally:
        os.close(fd)


def test_no_room_for_the_database():
    s = Stack(window="10s")
    folder = s.path("pg")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=140m,mode=0700", "tmpfs", str(folder)], check=True)
    filler = folder / "filler"
    try:
        s.up()
        wait_for("samples", lambda: (newest(s) or 0) > 3, 20)
        fill(filler)

        def pressed():
            status, _, body = s.request("GET", "/readyz", token=False)
            metrics = s.get("/metrics", raw=True) or b""
            lag = next((float(x.split()[1]) for x in metrics.decode().splitlines()
                        if x.startswith("memherd_ingest_lag_seconds ")), 0)
            return status == 503 and body or lag > 3
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and not pressed():
            # What PostgreSQL had ready in its WAL is used up sooner so.
            try:
                s.sql("CREATE TABLE fill AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
            except psycopg2.Error:
                pass
            time.sleep(0.2)
        assert pressed(), "the lack of room is seen"
        assert s.programs["collector"].alive()
        filler.unlink()
        before = time.time()
        wait_for("samples", lambda: stored_since(s, before), 60)
        wait_for("readiness", lambda: s.request("GET", "/readyz", token=False)[0] == 200, 30)
        assert s.programs["collector"].alive()
        assert s.programs["agent"].stop() == 0
        assert_no_hole(s)
    finally:
        for p in reversed(list(s.programs.values())):
            p.stop()
        subprocess.run(["umount", str(folder)], check=False)
        s.close()


def test_no_database_program(tmp_path):
    """A folder whose PostgreSQL is not installed and a server of one's own that is not there."""
    port = free_port()
    r = run("memherd-collector", "run", "-o", f"state_dir={tmp_path}/s", "-o",
            f"database=postgresql://127.0.0.1:{port}/x?connect_timeout=2")
    assert r.returncode == 1 and str(port) in r.stderr and "refused" in r.stderr, r
