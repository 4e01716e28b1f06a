# SPDX-License-Identifier: Apache-2.0
"""The mailer against a real SMTP server and a real PostgreSQL, its messages read by Python's parser."""
import html.parser
import os
import socket
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/support")

from driver import LineDriver, path  # noqa: E402
from pg_private import Postgres  # noqa: E402
from smtp_sink import Sink, free_port  # noqa: E402

FROM, TO = "memherd@example.com", "ops@example.com\nboss@example.org"


def wait_for(what, seconds=15):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


class Driver(LineDriver):
    def __init__(self, pg, url, tls="none", ca="", login=(), log=None):
        super().__init__("mail", [pg.conninfo, url, tls, FROM, TO, ca, *login], log)

    def ask(self, line):
        self.say(line)
        return self.p.stdout.readline().strip()

    def counts(self):
        return {k: int(v) for k, v in (kv.split("=") for kv in self.ask("counts").split())}


@pytest.fixture(scope="module")
def server():
    with Postgres() as p:
        yield p


@pytest.fixture
def pg(server):
    server.query("TRUNCATE mail")
    return server


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "driver.log")


def ready(pg, d):
    """The first row that is written says that the database is there."""
    wait_for(lambda: pg.query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")[0][0] > 1)


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


def test_message_is_whole_and_hostile_names_are_inert(pg, tmp_path, log):
    with Sink(str(tmp_path / "box")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        assert d.ask("firing 1 42") == "queued"
        wait_for(lambda: len(sink.messages()) == 1)
        raw, m, envelope = sink.raw()[0], sink.messages()[0], sink.envelopes()[0]
    assert envelope["from"] == FROM and envelope["to"] == TO.split("\n")
    assert m["Subject"].startswith("[memherd] web-17 x) R 1 \\x0a<script>") and m["Subject"].endswith("(INC-42)")
    assert "memory leak" in m["Subject"]
    assert m["Bcc"] is None and "example.com" in m["From"]
    assert m["To"].addresses[1].addr_spec == "boss@example.org"
    assert m["Auto-Submitted"] == "auto-generated" and "<alerts.memherd.example.com>" in m["List-Id"]
    assert (m["X-Memherd-Host"], m["X-Memherd-Rule"], m["X-Memherd-Severity"]) == ("web-17", "leak", "mail")
    assert (m["X-Memherd-Incident"], m["X-Memherd-State"]) == ("INC-42", "firing")
    assert abs(m["Date"].datetime.timestamp() - time.time()) < 60
    assert not m.defects and not any(m[h].defects for h in m.keys())
    head = raw.split(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 for line in raw.split(b"\r\n")) and b"\n" not in head.replace(b"\r\n", b"")
    assert m.get_content_type() == "multipart/alternative"
    text, page = (p.get_content() for p in m.iter_parts())
    assert [p.get_content_type() for p in m.iter_parts()] == ["text/plain", "text/html"]
    assert text.startswith("FIRING, open for ") and "▁" in text and "█" in text
    assert "512 MiB -> 380 MiB, gave back 132 MiB" in text and "+63 MiB/h (r2 0.99)" in text
    assert "größer-прокси" in text and "slope(rss, 1h) > 30MiB" in text
    assert "https://memherd.example:7420/#/alerts/42" in text
    assert len(page.encode()) < 100_000 and "größer-прокси" in page
    tags = Tags()
    tags.feed(page)
    assert not {"script", "style", "svg", "img"} & set(tags.tags)
    assert "x) R 1 \\x0a<script>" in tags.text


def test_messages_of_an_incident_are_one_thread(pg, tmp_path, log):
    with Sink(str(tmp_path / "box")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        for n, state in enumerate(["firing", "escalated", "action", "resolved"], 1):
            d.ask(f"{state} {n} 42")
        d.ask("firing 1 43")
        wait_for(lambda: len(sink.messages()) == 5)
        *thread, other = sorted(sink.messages(), key=lambda m: m["X-Memherd-Incident"])
        assert len(sink.peers) == 1, "all mails go over one connection"
    assert len({m["Subject"] for m in thread}) == 1
    assert len({m["References"] for m in thread}) == 1
    assert all(m["In-Reply-To"] == m["References"] for m in thread)
    assert len({m["Message-ID"] for m in thread}) == 4
    assert thread[0]["References"] not in {m["Message-ID"] for m in thread}
    assert other["References"] != thread[0]["References"]


def test_rows_tell_what_became_of_them(pg, tmp_path, log):
    with Sink(str(tmp_path / "box")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        ready(pg, d)
        d.ask("firing 1 42")
        wait_for(lambda: pg.query("SELECT count(*) FROM mail WHERE state = 'sent'")[0][0] == 1)
        raw = sink.raw()[0]
    row = pg.query("SELECT alert_id, sender, recipients, message, attempts, sent IS NOT NULL, last_reply FROM mail")[0]
    assert row[:3] == (42, FROM, TO) and row[4:6] == (1, True)
    assert "taken as 1" in row[6]
    assert bytes(row[3]).rstrip() == raw.rstrip(), "what was stored is what was sent"


def test_451_is_tried_again_and_550_is_not(pg, tmp_path, log):
    with Sink(str(tmp_path / "a"), retry=2) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        d.ask("firing 1 1")
        wait_for(lambda: len(sink.messages()) == 1)
        assert sink.tried == 3
        wait_for(lambda: pg.query("SELECT state, attempts FROM mail") == [("sent", 3)])
        assert d.counts() == {"sent": 1, "failed": 0, "retried": 2, "held": 0}
    pg.query("TRUNCATE mail")
    with Sink(str(tmp_path / "b"), refuse=True) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        d.ask("firing 1 2")
        wait_for(lambda: pg.query("SELECT state, attempts FROM mail") == [("failed", 1)])
        assert "550 5.7.1 not wanted here" in pg.query("SELECT last_reply FROM mail")[0][0]
        time.sleep(1)
        assert sink.tried == 1


def test_a_relay_that_is_away_gets_the_mail_when_it_is_back(pg, tmp_path, log):
    port = free_port()
    with Driver(pg, f"smtp://127.0.0.1:{port}", log=log) as d:
        d.ask("firing 1 7")
        wait_for(lambda: d.counts()["retried"] >= 1)
        wait_for(lambda: pg.query("SELECT state FROM mail") == [("queued",)])
        with Sink(str(tmp_path / "box"), port=port) as sink:
            wait_for(lambda: len(sink.messages()) == 1)
            wait_for(lambda: pg.query("SELECT state FROM mail") == [("sent",)])


def test_what_waits_is_picked_up_at_the_next_start(pg, tmp_path, log):
    dead = free_port()
    with Driver(pg, f"smtp://127.0.0.1:{dead}", log=log) as d:
        ready(pg, d)
        for n in range(20):
            d.ask(f"firing 1 {n + 1}")
        wait_for(lambda: pg.query("SELECT count(*) FROM mail WHERE state = 'queued'")[0][0] == 20)
        d.p.kill()
        d.p.wait()
        d.p.returncode = 0
    pg.query("UPDATE mail SET next_try = now()")
    with Sink(str(tmp_path / "box")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log):
        wait_for(lambda: pg.query("SELECT count(*) FROM mail WHERE state = 'sent'")[0][0] == 20)
        assert sorted(int(m["X-Memherd-Incident"][4:]) for m in sink.messages()) == list(range(1, 21))


def test_mail_goes_out_while_the_database_is_away(pg, tmp_path, log):
    with Sink(str(tmp_path / "box")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        ready(pg, d)
        pg.stop()
        time.sleep(0.3)
        assert d.ask("firing 1 9") == "queued"
        wait_for(lambda: len(sink.messages()) == 1)
        pg.start()
        wait_for(lambda: pg.query("SELECT state, alert_id FROM mail") == [("sent", 9)])
        assert len(sink.messages()) == 1 and d.counts()["held"] == 0


def test_memory_is_bounded_while_nothing_works(pg, log):
    with Driver(pg, f"smtp://127.0.0.1:{free_port()}", log=log) as d:
        ready(pg, d)
        pg.stop()
        time.sleep(0.3)
        answers = [d.ask(f"firing 1 {n + 1}") for n in range(80)]
        pg.start()
        assert answers.count("queued") == 64 and answers[-1] == "64 mails wait already"


def test_one_unknown_address_does_not_keep_it_from_the_other(pg, tmp_path, log):
    with Sink(str(tmp_path / "a"), unknown=["ops@example.com"]) as sink, \
            Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        d.ask("firing 1 1")
        wait_for(lambda: len(sink.messages()) == 1)
        assert sink.envelopes()[0]["to"] == ["boss@example.org"]
    pg.query("TRUNCATE mail")
    with Sink(str(tmp_path / "b"), unknown=TO.split("\n")) as sink, \
            Driver(pg, f"smtp://127.0.0.1:{sink.port}", log=log) as d:
        d.ask("firing 1 2")
        wait_for(lambda: pg.query("SELECT state, attempts FROM mail") == [("failed", 1)])
        assert "550 5.1.1 no such user" in pg.query("SELECT last_reply FROM mail")[0][0]


@pytest.fixture(scope="module")
def cert(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{d}/k.pem",
                    "-out", f"{d}/c.pem"], check=True, capture_output=True)
    return f"{d}/c.pem", f"{d}/k.pem"


def test_starttls_is_demanded_and_the_certificate_checked(pg, tmp_path, log, cert):
    with Sink(str(tmp_path / "a"), cert=cert[0], key=cert[1]) as sink:
        with Driver(pg, f"smtp://127.0.0.1:{sink.port}", "starttls", cert[0], log=log) as d:
            d.ask("firing 1 1")
            wait_for(lambda: len(sink.messages()) == 1)
            assert sink.envelopes()[0]["tls"]
        with Driver(pg, f"smtp://127.0.0.1:{sink.port}", "starttls", log=log) as d:
            d.ask("firing 1 2")
            wait_for(lambda: d.counts()["retried"] >= 1)
            assert len(sink.messages()) == 1, "a certificate of no known CA"
    pg.query("TRUNCATE mail")
    with Sink(str(tmp_path / "b")) as sink, Driver(pg, f"smtp://127.0.0.1:{sink.port}", "starttls", log=log) as d:
        d.ask("firing 1 3")
        wait_for(lambda: d.counts()["retried"] >= 1)
        assert sink.tried == 0, "nothing goes out in the clear"


def test_login_with_a_password_from_a_private_file(pg, tmp_path, log, cert):
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    login = ("ops", str(secret))
    with Sink(str(tmp_path / "a"), cert=cert[0], key=cert[1], login=("ops", "s3cret ß")) as sink:
        url = f"smtp://127.0.0.1:{sink.port}"
        with Driver(pg, url, "starttls", cert[0], login, log=log) as d:
            d.ask("firing 1 1")
            wait_for(lambda: d.counts()["retried"] >= 1)
            assert d.counts()["failed"] == 0 and sink.tried == 0
            secret.write_text("s3cret ß\n")  # mended: the mail goes out without a restart
            wait_for(lambda: len(sink.messages()) == 1)
    assert "s3cret" not in open(log).read()
    for mode, tls, says in ((0o640, "starttls", "password"), (0o600, "none", "in the clear")):
        secret.chmod(mode)
        r = subprocess.run([path("mail"), pg.conninfo, url, tls, FROM, TO, cert[0], *login], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
        assert r.returncode == 1 and says in r.stderr


def test_a_relay_that_says_nothing_sensible_is_tried_again(pg, log):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        with Driver(pg, f"smtp://127.0.0.1:{s.getsockname()[1]}", log=log) as d:
            d.ask("firing 1 1")
            for answer in (b"\x00\xff\x80 nonsense\r\n", b"220 hi\r\n\r\n\r\n999 what\r\n", b""):
                c, _ = s.accept()
                c.sendall(answer)
                c.close()
            wait_for(lambda: d.counts()["retried"] >= 2)
            assert d.counts()["failed"] == 0


@pytest.mark.parametrize("url,tls,says", [
    ("http://127.0.0.1:25", "none", "neither smtp://"),
    ("file:///etc/passwd", "none", "neither smtp://"),
    ("smtp://127.0.0.1:25", "implicit", "does not go with"),
    ("smtps://127.0.0.1:25", "none", "does not go with"),
    ("smtp://user@host", "none", "has a space, an '@'"),
    ("smtp://a\nb", "none", "control character"),
])
def test_a_wrong_configuration_is_named(pg, url, tls, says):
    r = subprocess.run([path("mail"), pg.conninfo, url, tls, FROM, TO], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=20)
    assert r.returncode == 1 and says in r.stderr


def test_a_wrong_address_is_named(pg):
    for sender, to, says in ((FROM, "ops@x\nevil@y>\n", "'evil@y>' is no mail address"), ("nobody", TO, "'nobody' is no"),
                             (FROM, "\n", "no recipient")):
        r = subprocess.run([path("mail"), pg.conninfo, "smtp://127.0.0.1:1", "none", sender, to], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
        assert r.returncode == 1 and says in r.stderr
