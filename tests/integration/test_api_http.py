# SPDX-License-Identifier: Apache-2.0
"""The web server against clients that are hostile, slow or merely odd (docs/API.md, 'What is refused')."""
import gzip
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DRIVER = os.path.join(ROOT, os.environ.get("B", "build/release-gcc"), "drivers/api_server")
HOST = b"Host: 127.0.0.1\r\n"


class Server:
    def __init__(self, folder, *files):
        # AddressSanitizer would keep freed memory for a while, which is not what is measured here
        env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        self.p = subprocess.Popen([DRIVER, folder, *files], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.p.stdout.readline().split()
        assert line, self.p.stderr.read()
        self.port, self.login = int(line[0]), line[1]
        with open(os.path.join(folder, "admin.token")) as f:
            self.token = f.read().strip()
        assert os.stat(f.name).st_mode & 0o777 == 0o600

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, data, timeout=6):
        """What comes back until the server closes or a second passes without a byte."""
        with self.connect() as s:
            s.sendall(data)
            s.settimeout(timeout)
            out = b""
            try:
                while True:
                    b = s.recv(65536)
                    if not b:
                        return out
                    out += b
                    s.settimeout(1)
            except (TimeoutError, ConnectionResetError):
                return out

    def ask(self, path, method="GET", body=None, token=True, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        h = {k.replace("_", "-"): v for k, v in headers.items()}
        if token:
            h["Authorization"] = "Bearer " + (self.token if token is True else token)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            h.setdefault("Content-Type", "application/json")
        c.request(method, path, body, h)
        r = c.getresponse()
        r.data = r.read()
        c.close()
        return r

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        err = self.p.communicate(timeout=20)[1]
        assert self.p.returncode == 0, err


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(str(tmp_path_factory.mktemp("api")))
    yield s
    assert s.ask("/healthz", token=False).status == 200, "the server did not survive"
    s.stop()


REFUSED = {
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "two equal lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "signed length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc", 400),
    "length list": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "length and chunks": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "bare lf": (b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", 400),
    "bare cr": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\rX: y\r\n\r\n", 400),
    "folded field": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "nul": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
    "absolute target": (b"GET http://x/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "long target": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "version": (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "method": (b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "many fields": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n", 431),
    "large head": (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20000 + b"\r\n\r\n", 431),
    "large body": (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n", 413),
    "expectation": (b"POST /healthz HTTP/1.1\r\n" + HOST + b"Expect: tea\r\nContent-Length: 1\r\n\r\n", 417),
    "tls hello": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x11" * 60 + b"\n", 400),
    "foreign host": (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    "foreign host and port": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n\r\n", 421),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(server, name):
    data, status = REFUSED[name]
    out = server.raw(data)
    assert out.startswith(b"HTTP/1.1 %d " % status), out[:200]
    assert out.count(b"HTTP/1.1 ") == 1
    problem = json.loads(out.split(b"\r\n\r\n", 1)[1])
    assert problem["status"] == status and problem["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:7420", "memherd.example", "OTHER.example:8"])
def test_host_allowed(server, host):
    assert server.raw(b"GET /healthz HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_pipelining_in_order(server):
    one = b"GET /api/v1/hosts/%d HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + server.token.encode() + b"\r\n\r\n"
    out = server.raw(one % 1 + one % 2 + one % 9 + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", out) == [b"200", b"200", b"404", b"400"]


def test_96_mb_of_header_costs_nothing(server):
    before = rss(server)
    with server.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"X: ")
        with pytest.raises((ConnectionError, TimeoutError)):
            s.settimeout(5)
            for _ in range(96):
                s.sendall(b"y" * (1 << 20))
            raise TimeoutError
    assert rss(server) - before < 8 << 20


def rss(server):
    with open(f"/proc/{server.p.pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\n", b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 50\r\n\r\n"])
def test_trickle_is_cut(server, first):
    """The driver's deadlines are 2 s; a byte each 0.2 s never makes a silent gap."""
    begun = time.monotonic()
    out = b""
    with server.connect() as s:
        s.sendall(first)
        s.settimeout(0.2)
        while time.monotonic() - begun < 12:
            try:
                s.sendall(b"a" if first else b"")
                b = s.recv(1000)
                if not b:
                    break
                out += b
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert 1.5 < time.monotonic() - begun < 8
    assert not first or out.startswith(b"HTTP/1.1 408 ")


def test_connection_cap(server):
    """40 in the driver; the one too many is told so, and the others go on."""
    idle = [server.connect() for _ in range(40)]
    time.sleep(0.2)
    assert b" 503 " in server.raw(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    for s in idle:
        s.close()
    end = time.monotonic() + 10  # it learns of their ends one by one
    while (status := server.ask("/healthz", token=False).status) == 503 and time.monotonic() < end:
        time.sleep(0.05)
    assert status == 200


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_close_brings_the_whole_body(server, version):
    out = server.raw(b"GET /api/v1/openapi.json " + version + b"\r\n" + HOST + b"Connection: close\r\n\r\n")
    head, body = out.split(b"\r\n\r\n", 1)
    assert len(body) == int(re.search(rb"Content-Length: (\d+)", head)[1])
    assert json.loads(body)["openapi"].startswith("3.1")


def test_headers_of_every_answer(server):
    for path in ("/", "/nope", "/healthz", "/api/v1/hosts"):
        r = server.ask(path, token=False)
        assert "default-src 'none'" in r.headers["Content-Security-Policy"]
        assert r.headers["X-Content-Type-Options"] == "nosniff"
        assert re.fullmatch("[0-9a-f]{16}", r.headers["X-Request-Id"])


def test_actions_are_described_as_the_tables_have_them(server):
    """By the tables themselves: every action, and every parameter with its bounds."""
    described = json.loads(server.ask("/api/v1/openapi.json").data)["components"]["schemas"]["NewAction"]["properties"]
    with open(f"{ROOT}/proto/command.h") as f:
        words = re.search(r"#define COMMAND_ACTION_LIST\(X\)(.*?)\n\n", f.read(), re.S).group(1)
    assert set(described["type"]["enum"]) == set(re.findall(r'X\(\w+, \d+, "([\w-]+)"\)', words))
    with open(f"{ROOT}/proto/command_param.c") as f:
        rows = re.findall(r"\.name = \"(\w+)\",(.*?)\n\t\},", f.read(), re.S)
    params = described["params"]["properties"]
    assert len(rows) > 5 and {name for name, _ in rows} == set(params)
    for name in params:  # one of several actions has the words of all, and a default where they agree
        of_name = [row for n, row in rows if n == name]
        listed = [re.search(r'\.words = "([^"]+)"', row) for row in of_name]
        if any(listed):
            assert params[name]["enum"] == [word for one in listed for word in one.group(1).split("|")], name
        presets = [re.search(r"\.preset = (\d+)", row) for row in of_name]
        if all(presets) and len({p.group(1) for p in presets}) == 1:
            assert params[name]["default"] == int(presets[0].group(1)), name
        elif any(presets):
            assert "default" not in params[name], name


def test_gzip_and_head(server):
    plain = server.ask("/api/v1/openapi.json")
    packed = server.ask("/api/v1/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in server.ask("/api/v1/openapi.json", Accept_Encoding="gzip;q=0").headers
    head = server.ask("/api/v1/openapi.json", method="HEAD")
    assert head.data == b"" and int(head.headers["Content-Length"]) == len(plain.data)
    assert server.ask("/", If_None_Match=server.ask("/").headers["ETag"]).status == 304


def test_routes(server):
    assert server.ask("/api/v1/hosts", method="DELETE").status == 405
    assert server.ask("/api/v1/hosts", method="DELETE").headers["Allow"] == "GET, HEAD"
    assert server.ask("/api/v1/hosts/%zz").status == 400
    assert server.ask("/api/v1/hosts?limit=0").status == 400
    assert server.ask("/api/v1/hosts?limit=1&limit=2").status == 400
    assert server.ask("/api/v1/hosts/nobody").status == 404
    assert server.ask("/api/v1/hosts/" + urllib.parse.quote('x"\\<b>')).status == 200


def test_paging_visits_all(server):
    seen, cursor = [], ""
    while cursor is not None:
        page = json.loads(server.ask("/api/v1/hosts/1/processes?limit=1&sort=growth" + cursor).data)
        seen += [p["id"] for p in page["items"]]
        cursor = page["next_cursor"] and "&cursor=" + page["next_cursor"]
    assert seen == ["4611686018427387905", "12"]


def test_culprit_and_growth(server):
    h = json.loads(server.ask("/api/v1/hosts/web-1").data)
    assert h["culprit"]["process_id"] == "4611686018427387905"
    assert abs(h["culprit"]["growth_bytes_per_hour"] / (60 << 20) - 1) < 0.05
    assert h["time_to_oom_seconds"] > 0
    assert json.loads(server.ask("/api/v1/fleet").data)["hosts"] == {"total": 2, "connected": 1}


def test_tokens(server):
    assert server.ask("/api/v1/hosts", token=False).status == 401
    good = server.token
    for bad in ("x", good[:-1], good + "a", "mht_" + "A" * 43, good.swapcase()):
        assert server.ask("/api/v1/hosts", token=bad).status in (401, 429)
    for _ in range(15):
        last = server.ask("/api/v1/hosts", token="mht_" + "B" * 43)
    assert last.status == 429 and int(last.headers["Retry-After"]) > 0
    assert server.ask("/api/v1/hosts").status == 200, "a good token is never locked out"


def test_login_once_and_csrf(server):
    path = server.login.split(str(server.port), 1)[1]
    assert server.ask(path, method="HEAD", token=False).status == 403, "a prefetching HEAD must not use it up"
    r = server.ask(path, token=False)
    cookie = r.headers["Set-Cookie"]
    assert r.status == 303 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert server.ask(path, token=False).status == 403
    jar = {"Cookie": cookie.split(";")[0]}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "X_Memherd_Request": "1"}
    assert server.ask("/api/v1/hosts", token=False, **jar).status == 200
    post = lambda **h: server.ask("/api/v1/login-links", method="POST", token=False, **jar, **h).status
    assert post() == 403
    assert post(Origin=own["Origin"]) == 403
    assert post(Origin="http://evil.example", X_Memherd_Request="1") == 403
    assert post(**own) == 503, "past the guard: without a database no audit row, so no link"
    assert server.ask("/api/v1/logout", method="POST", token=False, **jar, **own).status == 204
    assert server.ask("/api/v1/hosts", token=False, **jar).status in (401, 429)


BODIES = {
    "no key": (None, {"type": "trim", "target": "web-1:100"}, 400, "Idempotency-Key"),
    "not json": ("k", "{", 400, "line 1"),
    "deep": ("k", "[" * 40 + "]" * 40, 400, "deeper"),
    "array": ("k", [], 422, "object"),
    "twice": ("k", '{"type":"trim","type":"x"}', 400, "duplicate"),
    "unknown member": ("k", {"type": "trim", "target": "web-1:100", "tpye": 1}, 422, "tpye"),
    "unknown action": ("k", {"type": "rm", "target": "web-1:100"}, 422, "rm"),
    "params": ("k", {"type": "trim", "target": "web-1:100", "params": {"a": 1}}, 422, "parameters"),
    "expiry": ("k", {"type": "trim", "target": "web-1:100", "expires_at": "2020-01-01T00:00:00Z"}, 422, "minutes"),
    "no process": ("k", {"type": "trim", "target": "web-1:99"}, 404, "web-1:99"),
    "no host": ("k", {"type": "trim", "target": "nobody/shop"}, 404, "nobody"),
    "no database": ("k", {"type": "trim", "target": "web-1/shop"}, 503, "database"),
}


@pytest.mark.parametrize("name", BODIES)
def test_action_bodies(server, name):
    key, body, status, says = BODIES[name]
    h = {"Content_Type": "application/json"}
    if key:
        h["Idempotency_Key"] = key
    r = server.ask("/api/v1/actions", method="POST", body=body, **h)
    assert (r.status, r.headers["Content-Type"]) == (status, "application/problem+json"), r.data
    problem = json.loads(r.data)
    assert says in problem["detail"]
    assert status != 422 or problem["errors"][0]["pointer"].startswith(("/", ""))


def test_without_a_database(server):
    for path in ("events", "alerts", "actions", "tokens", "audit", "enroll-tokens", "processes/77"):
        r = server.ask("/api/v1/" + path)
        assert r.status == 503 and r.headers["Retry-After"] == "5", path
    assert server.ask("/readyz").status == 503


SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[\d.]+(?:e[+-]?\d+)?)')


@pytest.mark.parametrize("openmetrics", [False, True])
def test_metrics_parse(server, openmetrics):
    r = server.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0" if openmetrics else "*/*")
    text = r.data.decode()
    assert ("openmetrics" in r.headers["Content-Type"]) == openmetrics
    assert text.endswith("# EOF\n") == openmetrics
    kinds, seen, family = {}, set(), None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in kinds, "a family stands in one piece"
            kinds[family] = kind
        elif not line.startswith("#"):
            m = SAMPLE.fullmatch(line)
            assert m, line
            assert m[1] == family or (openmetrics and kinds[family] == "counter" and m[1] == family + "_total"), line
            assert m[1].endswith("_total") == (kinds[family] == "counter"), line
            assert "pid" not in (m[2] or "")
            assert (m[1], m[2]) not in seen
            seen.add((m[1], m[2]))
    assert ("memherd_host_up", r'host="x\"\\<b>"') in seen


def test_tls_ends_with_close_notify(tmp_path):
    key, cert = str(tmp_path / "k.pem"), str(tmp_path / "c.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    os.chmod(key, 0o600)
    s = Server(str(tmp_path), cert, key)
    try:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        for _ in range(3):
            with ctx.wrap_socket(s.connect(), suppress_ragged_eofs=False) as t:
                t.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
                out = b""
                while b := t.recv(65536):
                    out += b
                assert json.loads(out.split(b"\r\n\r\n", 1)[1])
    finally:
        s.stop()
