# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL on a Unix socket for one test module: started, migrated, stopped, removed."""
import glob
import os
import shutil
import subprocess
import tempfile

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Postgres:
    def __init__(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.dir = tempfile.mkdtemp(prefix="memherd-pg-")
        self.conninfo = f"host={self.dir} dbname=postgres user=postgres"

    def run(self, *argv):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run([*prefix, *argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       cwd=self.dir)

    def start(self):
        options = f"-k {self.dir} -c listen_addresses='' -c fsync=off"
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-w", "-o", options, "-l", f"{self.dir}/log", "start")

    def stop(self):
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-w", "-m", "immediate", "stop")

    def query(self, sql, *args):
        with psycopg2.connect(self.conninfo) as c, c.cursor() as cur:
            cur.execute(sql, args or None)
            rows = cur.fetchall() if cur.description else None
        c.close()
        return rows

    def set_up(self):
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres")
        self.run(f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()
        for f in sorted(glob.glob(f"{ROOT}/sql/migrations/*.sql")):
            self.query(open(f).read())

    def __enter__(self):
        try:
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        except subprocess.CalledProcessError:
            pass  # a test had stopped it
        shutil.rmtree(self.dir, ignore_errors=True)
