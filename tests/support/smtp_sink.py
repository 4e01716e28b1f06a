#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real SMTP server that writes each message it takes to a folder, one file each (N.eml) with the
envelope beside it (N.json). It can ask for STARTTLS, refuse for a while (451) or for good (550).

As a program: smtp_sink.py FOLDER [--port N] [--tls CERT KEY] [--retry N] [--refuse]; prints its port.
As a module: with Sink(folder, ...) as sink: sink.port, sink.messages().
"""
import argparse
import email
import email.policy
import json
import os
import pathlib
import signal
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/demo"))
from ports import free_port  # noqa: E402


class Handler:
    def __init__(self, sink):
        self.sink = sink

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.sink.unknown:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        return self.sink.take(session, envelope)


class Sink:
    def __init__(self, folder, port=0, cert=None, key=None, retry=0, refuse=False, unknown=(), login=None):
        self.folder, self.port, self.cert, self.key = folder, port or free_port(), cert, key
        self.retry, self.refuse = retry, refuse
        self.unknown, self.login = unknown, login  # addresses; (user, password)
        self.tried = 0
        self.peers = set()  # one entry a connection
        self.lock = threading.Lock()
        os.makedirs(folder, exist_ok=True)

    def take(self, session, envelope):
        with self.lock:
            self.tried += 1
            self.peers.add(session.peer)
            if self.tried <= self.retry:
                return "451 4.3.0 come back later"
            if self.refuse:
                return "550 5.7.1 not wanted here"
            n = len([f for f in os.listdir(self.folder) if f.endswith(".eml")]) + 1
            envelope_doc = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None}
            with open(f"{self.folder}/{n}.json", "w") as f:
                json.dump(envelope_doc, f)
            with open(f"{self.folder}/{n}.part", "wb") as f:
                f.write(envelope.original_content)
            os.rename(f"{self.folder}/{n}.part", f"{self.folder}/{n}.eml")
            return f"250 2.0.0 taken as {n}"

    def authenticate(self, server, session, envelope, mechanism, data):
        ok = (data.login.decode(), data.password.decode()) == self.login
        return AuthResult(success=ok, handled=False if not ok else True)

    def start(self):
        tls = None
        if self.cert:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self.cert, self.key)
        self.controller = Controller(Handler(self), hostname="127.0.0.1", port=self.port, tls_context=tls,
                                     require_starttls=tls is not None, auth_required=self.login is not None,
                                     authenticator=self.authenticate if self.login else None)
        self.controller.start()
        return self

    def stop(self):
        self.controller.stop()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def raw(self):
        names = sorted((f for f in os.listdir(self.folder) if f.endswith(".eml")), key=lambda f: int(f[:-4]))
        return [open(f"{self.folder}/{n}", "rb").read() for n in names]

    def messages(self):
        return [email.message_from_bytes(m, policy=email.policy.default) for m in self.raw()]

    def envelopes(self):
        names = sorted((f for f in os.listdir(self.folder) if f.endswith(".json")), key=lambda f: int(f[:-5]))
        return [json.load(open(f"{self.folder}/{n}")) for n in names]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), default=(None, None))
    p.add_argument("--retry", type=int, default=0, help="answer 451 to the first N messages")
    p.add_argument("--refuse", action="store_true", help="answer 550 to each message")
    a = p.parse_args()
    with Sink(a.folder, a.port, a.tls[0], a.tls[1], a.retry, a.refuse) as sink:
        print(sink.port, flush=True)
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
    return 0


if __name__ == "__main__":
    sys.exit(main())
