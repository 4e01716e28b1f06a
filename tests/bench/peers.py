# SPDX-License-Identifier: Apache-2.0
"""The monitors that 'make bench-agent' measures beside ours: how each is started, with the least that
makes it read every process once a second, on loopback or with no network at all. All are Debian's.

A peer that samples only when it is asked has 'ask', which asks once and returns what it said."""

import pathlib
import socket
import struct
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/demo"))
from ports import free_port  # noqa: E402

APPS_PLUGIN = "/usr/lib/netdata/plugins.d/apps.plugin"
PSUTIL_LOOP = """
import psutil, sys, time
while True:
    for p in psutil.process_iter():
        try:
            {call}
        except psutil.Error:
            pass
    time.sleep(1)
"""


class Peer:
    """name: of its figures; package: Debian's; gives: what one learns of each process from it."""

    def __init__(self, name, package, program, arguments, gives, ask=None, files=None, env=None):
        self.name = name
        self.package = package
        self.program = program
        self.arguments = arguments  # (folder, port) -> list
        self.gives = gives
        self.port_ask = ask  # port -> bytes
        self.files = files or (lambda folder, port: {})
        self.env = env or {}
        self.port = None

    def prepare(self, folder):
        """Writes its files; its command line."""
        self.port = free_port()
        for name, text in self.files(folder, self.port).items():
            path = folder / name
            path.write_text(text)
            path.chmod(0o600)
        return [self.program, *map(str, self.arguments(folder, self.port))]

    def ask(self):
        return self.port_ask(self.port)


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as r:
        return r.read()


def zabbix_ask(port):
    key = b"proc.mem[,,,,rss]"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(b"ZBXD\1" + struct.pack("<Q", len(key)) + key)
        said = b""
        while chunk := s.recv(4096):
            said += chunk
    if not said.startswith(b"ZBXD") or not said[13:].isdigit():
        raise RuntimeError(f"zabbix_agentd said {said!r}")
    return said


def zabbix_files(folder, port):
    return {"zabbix.conf": f"LogFile={folder}/log\nPidFile={folder}/pid\nServer=127.0.0.1\nListenIP=127.0.0.1\n"
                           f"ListenPort={port}\nStartAgents=1\nAllowRoot=1\nTimeout=20\n"}


def collectd_files(folder, _):
    return {"collectd.conf": f'BaseDir "{folder}"\nPIDFile "{folder}/pid"\nInterval 1\nLoadPlugin processes\n'
                             '<Plugin processes>\n  ProcessMatch "all" ".*"\n</Plugin>\n'}


def monit_files(folder, _):
    return {"monitrc": f"set daemon 1\nset idfile {folder}/id\nset statefile {folder}/state\nset pidfile {folder}/pid\n"
                       'check process sleepers matching "agent_cycle"\n'}


def process_exporter(name, gives, *more):
    return Peer(name, "prometheus-process-exporter", "prometheus-process-exporter",
                lambda folder, port: ["-config.path", folder / "names.yml", "-web.listen-address", f"127.0.0.1:{port}",
                                      *more], gives, ask=scrape,
                files=lambda folder, port: {"names.yml": 'process_names:\n  - name: "{{.PID}}"\n    cmdline: [".+"]\n'})


def psutil_loop(name, call, gives):
    return Peer(name, "python3-psutil", sys.executable, lambda *_: ["-c", PSUTIL_LOOP.format(call=call)], gives)


PEERS = [
    Peer("zabbix_agentd", "zabbix-agent", "zabbix_agentd", lambda folder, _: ["-f", "-c", folder / "zabbix.conf"],
         "one sum of RSS", ask=zabbix_ask, files=zabbix_files),
    Peer("apps_plugin", "netdata-core", APPS_PLUGIN, lambda *_: ["1"], "sums of groups",
         env={"NETDATA_USER_CONFIG_DIR": "/etc/netdata", "NETDATA_STOCK_CONFIG_DIR": "/usr/lib/netdata/conf.d"}),
    Peer("apps_plugin_lean", "netdata-core", APPS_PLUGIN, lambda *_: ["1", "without-files"],
         "sums of groups, no descriptors",
         env={"NETDATA_USER_CONFIG_DIR": "/etc/netdata", "NETDATA_STOCK_CONFIG_DIR": "/usr/lib/netdata/conf.d"}),
    Peer("collectd", "collectd-core", "collectd", lambda folder, _: ["-f", "-C", folder / "collectd.conf"],
         "sums of a match", files=collectd_files),
    Peer("atop", "atop", "atop", lambda folder, _: ["-w", folder / "raw", "1"], "each process, to a file"),
    Peer("atop_full", "atop", "atop", lambda folder, _: ["-R", "-w", folder / "raw", "1"],
         "each process with PSS, to a file"),
    Peer("monit", "monit", "monit", lambda folder, _: ["-I", "-c", folder / "monitrc"], "one named check",
         files=monit_files),
    process_exporter("process_exporter", "each process with PSS"),
    process_exporter("process_exporter_lean", "each process", "-gather-smaps=false", "-threads=false"),
    Peer("node_exporter", "prometheus-node-exporter", "prometheus-node-exporter",
         lambda _, port: ["--collector.disable-defaults", "--collector.processes",
                          f"--web.listen-address=127.0.0.1:{port}"], "counts of states only", ask=scrape),
    Peer("top", "procps", "top", lambda *_: ["-b", "-d", "1"], "each process"),
    psutil_loop("psutil", "p.memory_info().rss", "each process, RSS"),
    psutil_loop("psutil_full", "p.memory_full_info()", "each process with PSS"),
]
