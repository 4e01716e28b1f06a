# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL on a Unix socket for one test module: started, migrated, stopped, removed."""
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# A server unpacked in a root of its own (support/postgreses.py), which it is run in.
FOREIGN = os.environ.get("PG_ROOT", "")


def newest_bin():
    """PG_BIN, where it is set; else of the servers installed, or of those in FOREIGN."""
    if os.environ.get("PG_BIN"):
        return os.environ["PG_BIN"]
    return max(glob.glob(f"{FOREIGN}/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[-2]))


class Postgres:
    MIGRATED = True

    def __init__(self):
        self.bin = newest_bin()
        self.dir = tempfile.mkdtemp(prefix="mh-pg-", dir=f"{FOREIGN}/tmp" if FOREIGN else None)
        self.conninfo = f"host={self.dir} dbname=postgres user=postgres"

    def run(self, *argv):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if FOREIGN:
            prefix = ["chroot", f"--userspec={pwd.getpwnam('postgres').pw_uid}:{pwd.getpwnam('postgres').pw_gid}", FOREIGN]
            argv = [a.replace(FOREIGN, "") for a in argv]
        subprocess.run([*prefix, *argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       cwd=self.dir)

    def start(self):
        options = f"-k {self.dir} -c listen_addresses= -c fsync=off"
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
        if not self.MIGRATED:
            return
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
