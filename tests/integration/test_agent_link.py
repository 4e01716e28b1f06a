# SPDX-License-Identifier: Apache-2.0
"""memherd-agent as a program: real sense, real link, mutual TLS, against a collector written here
(so that it shares no code with ours). What is killed comes back; what was acked is never sent
again, what was not is never lost."""
import base64
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import psutil
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import sanitizer_report  # noqa: E402

BIN = os.environ.get("BIN", "build")
AGENT = os.path.join(BIN, "memherd-agent")
HELLO, HELLO_ACK, BATCH, ACK, HEARTBEAT = 1, 2, 3, 4, 5
URGENT, SAMPLES = 0, 1
TICK, EVENT, GAP = 1, 2, 3


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def fields(data):
    """The (number, value) pairs of a protobuf message; bytes for length-delimited ones."""
    at = 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 1:
            yield key >> 3, struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif key & 7 == 2:
            size = number()
            yield key >> 3, data[at:at + size]
            at += size
        else:
            raise AssertionError(f"wire type {key & 7}")


def field(number, n):
    return varint(number << 3) + varint(n)


def packed(number, numbers):
    data = b"".join(map(varint, numbers))
    return varint(number << 3 | 2) + varint(len(data)) + data


def unpacked(data):
    return [n for _, n in fields(b"".join(b"\x08" + part for part in varints(data)))]


def varints(data):
    at = 0
    for i, byte in enumerate(data):
        if byte < 0x80:
            yield data[at:i + 1]
            at = i + 1


class Collector:
    """Commits what comes in order; streams: {epoch: last number}; hellos: the epochs of what is urgent
    and of samples, and those of the link before."""

    def __init__(self, folder):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_verify_locations(f"{folder}/ca.pem")
        self.tls.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.streams, self.trouble, self.hellos, self.kinds = {}, [], [], {}
        self.conn = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            try:
                raw.settimeout(30)
                self.conn = self.tls.wrap_socket(raw, server_side=True)
                self.serve(self.conn)
            except (OSError, EOFError):
                pass
            except Exception as e:  # pylint: disable=broad-except
                self.trouble.append(repr(e))
            finally:
                raw.close()

    @staticmethod
    def exactly(conn, n):
        data = b""
        while len(data) < n:
            part = conn.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    @staticmethod
    def send(conn, kind, payload):
        conn.sendall(struct.pack(">IBB", len(payload), kind, 0) + payload)

    def serve(self, conn):
        while True:
            size, kind, flags = struct.unpack(">IBB", self.exactly(conn, 6))
            assert flags == 0 and size <= 256 * 1024
            payload = self.exactly(conn, size)
            if kind == HELLO:
                self.hello(conn, payload)
            elif kind == BATCH:
                self.batch(conn, payload)
            elif kind == HEARTBEAT:
                self.send(conn, HEARTBEAT, payload)

    def hello(self, conn, payload):
        h = list(fields(payload))
        epochs = unpacked(next(v for k, v in h if k == 15))
        prev = [next((v for k, v in h if k == n), 0) for n in (20, 18)]
        self.hellos.append((epochs, prev))
        last = [self.streams.setdefault(e, 0) for e in epochs]
        self.send(conn, HELLO_ACK, field(1, 1) + field(3, 1000) + field(4, 256 * 1024) +
                  field(5, 512 * 1024) + field(6, 4) + packed(7, epochs) + packed(8, last))

    def batch(self, conn, payload):
        parts = list(fields(payload))
        epoch = next(v for k, v in parts if k == 1)
        for k, record in parts:
            if k != 2:
                continue
            r = dict(fields(record))
            if r[1] != self.streams[epoch] + 1:
                self.trouble.append(f"number {r[1]} after {self.streams[epoch]}")
            if r[2] != GAP and (r[2] == TICK) != (epoch == self.hellos[-1][0][SAMPLES]):
                self.trouble.append(f"a record of kind {r[2]} in the wrong stream")
            self.streams[epoch] = r[1]
            self.kinds[r[2]] = self.kinds.get(r[2], 0) + 1
        self.send(conn, ACK, b"\x09" + struct.pack("<Q", epoch) + field(2, self.streams[epoch]))

    def close(self):
        self.listener.close()
        if self.conn:
            self.conn.close()


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_identity(folder):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-days", "2", "-subj", "/CN=ca",
            "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, usage, san in (("server", "serverAuth", "DNS:memherd-collector"),
                             ("host", "clientAuth",
                              "URI:memherd://host/00000000-0000-4000-8000-000000000001")):
        with open(f"{folder}/ext", "w") as f:
            f.write(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                    f"extendedKeyUsage={usage}\nsubjectAltName={san}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{folder}/csr", "-CA", f"{folder}/ca.pem",
                "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{folder}/ext", "-out", f"{folder}/{name}.pem")
    os.chmod(f"{folder}/host.key", 0o600)
    if os.geteuid() == 0:
        shutil.chown(f"{folder}/host.key", "nobody")


def wait_for(what, seconds, condition):
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class World:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="memherd-link-")
        os.chmod(self.folder, 0o755)
        make_identity(self.folder)
        self.collector = Collector(self.folder)
        self.agent = None

    def start(self):
        self.log = open(f"{self.folder}/log", "wb")
        self.agent = subprocess.Popen(
            [AGENT, "run", "-c", "/dev/null", "-o", "user=nobody", "-o", "interval=1s",
             "-o", f"state_dir={self.folder}", "-o", f"collector=127.0.0.1:{self.collector.port}",
             "-o", "reconnect_base=100ms", "-o", "reconnect_cap=500ms",
             "-o", "reconnect_first=200ms", "-o", f"actd_socket={self.folder}/actd.sock"],
            stderr=self.log)

    def child(self, name):
        for p in psutil.Process(self.agent.pid).children():
            if p.name() == name:
                return p
        return None

    def said(self):
        with open(f"{self.folder}/log", errors="replace") as f:
            return f.read()

    def last(self):
        return self.collector.streams[self.collector.hellos[-1][0][SAMPLES]]

    def flows(self, seconds=10):
        """Waits for three more records on the newest stream."""
        wait_for("a stream", seconds, lambda: self.collector.hellos)
        epoch, before = self.collector.hellos[-1][0], self.last()
        wait_for("records", seconds, lambda: self.collector.hellos[-1][0] != epoch or
                 self.last() >= before + 3)

    def close(self):
        code, report = 0, ""
        if self.agent:
            self.agent.terminate()
            try:
                code = self.agent.wait(20)
            except subprocess.TimeoutExpired:
                self.agent.kill()
                code = self.agent.wait()
            report = sanitizer_report(f"{self.folder}/log")
        self.collector.close()
        shutil.rmtree(self.folder)
        assert not report, report
        assert code == 0


@pytest.fixture
def world():
    w = World()
    try:
        yield w
        assert w.collector.trouble == []
    finally:
        if w.agent:
            print(w.said())
        w.close()


def test_killed_link_and_sense_come_back(world):
    world.start()
    world.flows()
    first = world.collector.hellos[-1][0]

    world.child("memherd-sense").kill()
    wait_for("a new sense", 5, lambda: world.child("memherd-sense"))
    world.flows()
    assert world.collector.hellos[-1][0] == first  # the same link, the same streams

    world.child("memherd-link").kill()
    wait_for("new streams", 6, lambda: not set(world.collector.hellos[-1][0]) & set(first))
    assert world.collector.hellos[-1][1] == first
    world.flows()
    assert TICK in world.collector.kinds and EVENT in world.collector.kinds
    assert GAP not in world.collector.kinds  # nothing was dropped

    children = psutil.Process(world.agent.pid).children()
    assert len(children) == 2  # and no zombie among them
    world.agent.send_signal(signal.SIGTERM)
    assert world.agent.wait(10) == 0
    for p in children:
        assert not p.is_running()
    assert world.said().count(" left=0") == 2  # both streams of the last link


def test_the_collector_goes_and_comes_back(world):
    world.start()
    world.flows()
    epoch = world.collector.hellos[-1][0]
    for _ in range(3):
        n = len(world.collector.hellos)
        world.collector.conn.shutdown(socket.SHUT_RDWR)
        wait_for("a new session", 5, lambda: len(world.collector.hellos) > n)
        world.flows()
    assert all(e == epoch for e, _ in world.collector.hellos)


def test_processes_have_what_they_need_and_no_more(world):
    world.start()
    world.flows()
    for name, caps in (("memherd-link", 0), ("memherd-sense", 1 << 19 | 1 << 34)):
        p = world.child(name)
        status = dict(line.split(":\t", 1) for line in
                      open(f"/proc/{p.pid}/status").read().splitlines() if ":\t" in line)
        if os.geteuid() == 0:
            assert status["Uid"].split()[1] != "0"
        assert int(status["CapEff"], 16) & ~caps == 0
        assert int(status["CapPrm"], 16) & ~caps == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
    assert [c for c in world.child("memherd-sense").connections() if c.raddr] == []


@pytest.mark.parametrize("args, text, says, code", [
    (["check-config"], "[agent]\ninterval = soon\n", ":2: interval = 'soon': expected a duration", 2),
    (["check-config"], "[agent]\nfoo = 1\n", ":2: unknown option 'foo'", 2),
    (["run"], "[agent]\ncollector = here\n", ":2: collector = 'here': expected host:port", 2),
    (["check-config", "-o", "interval=9999h"], "[agent]\n", "-o: interval", 2),
    (["nonsense"], "", "unknown command 'nonsense'", 2),
    (["enroll", "mh1.abcdef"], "[agent]\n", "does not belong on the command line", 2),
    (["run", "-o", "state_dir=/nonexistent"], "[agent]\n", "not enrolled", 1),
])
def test_mistakes_are_named(tmp_path, args, text, says, code):
    conf = tmp_path / "agent.conf"
    conf.write_text(text)
    r = subprocess.run([AGENT, "-c", str(conf), *args], capture_output=True, text=True, timeout=20)
    assert says in r.stderr
    assert r.returncode == code


@pytest.mark.parametrize("token, says", [
    ("", "no token"),
    ("\n", "token is empty"),
    ("hunter2\n", "begin with 'mh1.'"),
    ("mh1.AQ\n", "cut short"),
    ("mh1." + "A" * 5000 + "\n", "too long"),
])
def test_bad_tokens_are_named(tmp_path, token, says):
    r = subprocess.run([AGENT, "enroll", "-c", "/dev/null", "-o", f"state_dir={tmp_path}/s"],
                       input=token, capture_output=True, text=True, timeout=20)
    assert says in r.stderr
    assert r.returncode == 1
    assert not (tmp_path / "s").exists()


def test_a_second_agent_of_a_host_is_told_so(tmp_path):
    host = b"127.0.0.1"
    raw = bytes([1, len(host)]) + host + (1).to_bytes(2, "big") + bytes(64)
    token = tmp_path / "token"
    token.write_text("mh1." + base64.urlsafe_b64encode(raw).decode().rstrip("="))
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "host_uuid").write_text("another\n")
    r = subprocess.run([AGENT, "enroll", "-c", "/dev/null", "-o", f"state_dir={tmp_path}/s", "-o",
                        f"trust_dir={trust}", "-o", "user=nobody", "--token-file", str(token)],
                       capture_output=True, text=True, timeout=20)
    assert r.returncode == 1 and f"'{trust}/host_uuid' is there already" in r.stderr
    assert (trust / "host_uuid").read_text() == "another\n"


def enrol_token(port):
    raw = bytes([1, 9]) + b"127.0.0.1" + port.to_bytes(2, "big") + bytes(64)
    return "mh1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_a_collector_that_closes_unheard_is_asked_again(tmp_path):
    """It lets so many enrol in a second; the others, of a fleet that is set up at once, are closed before TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls = []

        def refuse():
            while len(calls) < 4:
                with server.accept()[0]:
                    calls.append(time.monotonic())

        refuser = threading.Thread(target=refuse, daemon=True)
        refuser.start()
        r = subprocess.run([AGENT, "enroll", "-c", "/dev/null", "-o", f"state_dir={tmp_path}/s", "-o", "trust_dir=", "-o",
                            "user=nobody"], input=enrol_token(server.getsockname()[1]), capture_output=True, text=True, timeout=60)
        refuser.join(5)
    assert r.returncode == 1 and "cannot enrol with '127.0.0.1' port" in r.stderr
    assert len(calls) == 4
    assert all(later - earlier > 0.4 for earlier, later in zip(calls, calls[1:]))
    assert not (tmp_path / "s/agent.key").exists()
