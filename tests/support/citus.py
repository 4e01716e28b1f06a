# SPDX-License-Identifier: Apache-2.0
"""A Citus cluster on loopback: a coordinator and two workers, each a private server. The extension must be installed."""
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tools/demo")
from pg_private import Postgres  # noqa: E402
from ports import free_port  # noqa: E402

SETTINGS = """
shared_preload_libraries = 'citus'
max_prepared_transactions = 60
citus.shard_count = 4
# Servers of one machine. Those of several want TLS.
citus.node_conninfo = 'sslmode=disable'
"""


class Node(Postgres):
    """Found by a Unix socket, and by the other nodes on a port of 127.0.0.1; durable, which a collector asks for."""

    MIGRATED = False

    def __init__(self):
        super().__init__()
        self.port = free_port()
        self.conninfo += f" port={self.port}"
        self.url = f"postgresql://postgres@/postgres?host={self.dir}&port={self.port}"

    def start(self):
        options = f"-k {self.dir} -p {self.port} -c listen_addresses=127.0.0.1"
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-w", "-o", options, "-l", f"{self.dir}/log", "start")

    def set_up(self):
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        self.run(f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-A", "trust", "-U", "postgres", "--no-sync")
        with open(f"{self.dir}/data/postgresql.auto.conf", "a", encoding="utf-8") as f:
            f.write(SETTINGS)
        self.start()
        self.query("CREATE EXTENSION citus")


class Cluster:
    """Without our schema."""

    def __init__(self, workers=2):
        self.coordinator = Node()
        self.workers = [Node() for _ in range(workers)]

    def __enter__(self):
        try:
            for node in (self.coordinator, *self.workers):
                node.set_up()
            self.coordinator.query("SELECT citus_set_coordinator_host('127.0.0.1', %s)", self.coordinator.port)
            for w in self.workers:
                self.coordinator.query("SELECT citus_add_node('127.0.0.1', %s)", w.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in (self.coordinator, *self.workers):
            node.__exit__()
