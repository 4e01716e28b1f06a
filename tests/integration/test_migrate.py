# SPDX-License-Identifier: Apache-2.0
"""The schema's versions: each in one transaction, killable, never twice, never backwards."""
import glob
import os
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from pg_private import Postgres  # noqa: E402

COLLECTOR = os.path.join(os.environ.get("BIN", f"{ROOT}/build"), "memherd-collector")
FILES = sorted(glob.glob(f"{ROOT}/sql/migrations/*.sql"))
NEWEST = int(os.path.basename(FILES[-1])[:4])
MADE = {1: "host", 2: "oom_kill", 3: "census", 4: "metric"}  # by each


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def database(pg):
    """Empty, one a test."""
    pg.count = getattr(pg, "count", 0) + 1
    name = f"m{pg.count}"
    subprocess.run(["createdb", "-h", pg.dir, "-U", "postgres", "-T", "template0", name], check=True)
    return Database(pg, name)


class Database:
    def __init__(self, pg, name):
        self.pg, self.name = pg, name

    def query(self, sql):
        full = self.pg.conninfo
        self.pg.conninfo = full.replace("dbname=postgres", f"dbname={self.name}")
        try:
            return self.pg.query(sql)
        finally:
            self.pg.conninfo = full

    def start(self, command="migrate"):
        return subprocess.Popen([COLLECTOR, command, "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                                 f"database=postgresql:///{self.name}?host={self.pg.dir}&user=postgres"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def migrate(self):
        p = self.start()
        out = p.communicate(timeout=60)[0]
        return p.returncode, out

    def there(self, table):
        return self.query(f"SELECT to_regclass('{table}') IS NOT NULL")[0][0]

    def version(self):
        return int(self.query("SELECT value FROM meta WHERE key = 'schema_version'")[0][0]) if self.there("meta") else 0

    def settled(self):
        """No transaction of a killed program's is left."""
        deadline = time.monotonic() + 20
        while self.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                         "AND application_name = 'memherd-collector'")[0][0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_killed_at_any_moment_it_is_whole_or_not_at_all(database):
    """Each table or view takes 20 ms to make, so that the kills fall into the scripts."""
    database.query("CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS "
                   "'BEGIN PERFORM pg_sleep(0.02); END'")
    database.query("CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE VIEW') "
                   "EXECUTE FUNCTION slow()")
    killed, seen, delay = 0, set(), 0.0
    while database.version() < NEWEST:
        delay += 0.15
        assert delay < 20
        p = database.start()
        try:
            p.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            p.kill()
            killed += 1
        p.communicate()
        database.settled()
        seen.add(database.version())
        for version, table in MADE.items():
            assert database.there(table) == (version <= database.version()), (version, delay)
    database.query("DROP EVENT TRIGGER slow")
    assert killed > 2 and len(seen) > 1, (killed, seen)
    assert delay > 0.2  # or the trigger did not slow it
    rc, out = database.migrate()
    assert rc == 0 and f"version {NEWEST}" in out, out
    assert database.version() == NEWEST and all(database.there(t) for t in MADE.values())


def test_starters_at_the_same_time_share_the_work(database):
    starters = [database.start() for _ in range(4)]
    told = [p.communicate(timeout=60)[0] for p in starters]
    assert [p.returncode for p in starters] == [0] * 4, told
    assert sum(int(t.split(" migrations applied")[0].split()[-1]) for t in told) == len(FILES), told


@pytest.mark.parametrize("command", ["migrate", "run"])
def test_a_newer_database_is_refused(database, command, tmp_path):
    assert database.migrate()[0] == 0
    database.query(f"UPDATE meta SET value = '{NEWEST + 3}' WHERE key = 'schema_version'")
    p = subprocess.Popen([COLLECTOR, command, "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                          f"state_dir={tmp_path}/state", "-o", "listen_http=127.0.0.1:0", "-o",
                          "listen_stream=127.0.0.1:0", "-o", "listen_enroll=127.0.0.1:0", "-o",
                          f"rules_dir={tmp_path}", "-o",
                          f"database=postgresql:///{database.name}?host={database.pg.dir}&user=postgres"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out = p.communicate(timeout=30)[0]
    assert p.returncode == 1, out
    assert f"schema {NEWEST + 3}, this program knows up to {NEWEST}" in out and "upgrade this one" in out, out
    assert database.version() == NEWEST + 3


def test_a_foreign_database_is_refused(database):
    database.query("CREATE TABLE process (mine int)")
    rc, out = database.migrate()
    assert rc == 1 and "tables of something else" in out, out
    assert not database.there("meta")


def test_one_that_fails_leaves_nothing_and_is_named(database):
    """Something stands in the way of its last statement but one."""
    database.query("CREATE VIEW actions AS SELECT 1 AS mine")
    rc, out = database.migrate()
    assert rc == 1 and "migration '0004_reading'" in out and '"actions"' in out, out
    assert database.version() == 3 and not database.there("metric")
    database.query("DROP VIEW actions")
    assert database.migrate()[0] == 0 and database.version() == NEWEST


def test_a_migration_may_take_longer_than_a_statement(database):
    """The 30 s of every other statement do not hold for it: shown by what its transaction has set."""
    database.query("CREATE TABLE told (timeout text)")
    database.query("CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS "
                   "'BEGIN INSERT INTO told SELECT current_setting(''statement_timeout''); END'")
    database.query("CREATE EVENT TRIGGER tell ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION tell()")
    assert database.migrate()[0] == 0
    assert database.query("SELECT DISTINCT timeout FROM told") == [("0",)]
