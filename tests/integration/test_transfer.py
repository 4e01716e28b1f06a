# SPDX-License-Identifier: Apache-2.0
"""'db export' and 'db import': from one's own PostgreSQL to the private one and back, every table compared; what is
foreign, cut off, newer, in use or not empty is refused and leaves nothing."""
import os
import shutil
import stat
import subprocess
import sys

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{ROOT}/tests/integration", f"{ROOT}/tests/support"]

from pg_private import Postgres  # noqa: E402
from test_sql import COLLECTOR, chunks, fill, migrate  # noqa: E402


class Empty(Postgres):
    MIGRATED = False


@pytest.fixture(scope="module")
def pg():
    with Empty() as server:
        migrate(server)
        fill(server, chunks(11, 60))
        server.query("""INSERT INTO event SELECT now() - g * interval '1 hour', 7, 1, g, 0, 'restart', NULL, '{"a": "\u00e9\\""}'
                          FROM generate_series(1, 50) AS g RETURNING 1""")
        server.query("INSERT INTO api_token (name, hash, scopes, created_by) VALUES ('t', '\\x00ff', 'read', 'x') RETURNING 1")
        server.query("""INSERT INTO alert (key, rule, subject, level, state, opened, title, doc)
                        VALUES ('k', 'r', 's', 'mail', 'firing', now(), 't', '{}') RETURNING 1""")
        server.query("SELECT nextval('agent_conn') FROM generate_series(1, 40)")
        yield server


def url(pg, name="postgres"):
    return f"postgresql:///{name}?host={pg.dir}&user=postgres"


def db(verb, file, database, **more):
    return subprocess.run([COLLECTOR, "db", verb, str(file), "-c", "/dev/null", "-o", "database_relaxed=yes", "-o",
                           f"database={database}"], capture_output=True, timeout=120, check=False, **more)


def content(pg, name):
    """Of every table and sequence."""
    c = psycopg2.connect(pg.conninfo.replace("dbname=postgres", f"dbname={name}"))
    said = {}
    with c.cursor() as cur:
        cur.execute("SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')")
        for relation, kind in cur.fetchall():
            if kind == "v":
                said[relation] = "view"
                continue
            cur.execute(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {relation} AS t"
                        if kind != "S" else f"SELECT last_value, is_called FROM {relation}")
            said[relation] = cur.fetchone()
        cur.execute("SELECT indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid "
                    "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1")
        said["indexes"] = cur.fetchall()
        cur.execute("SELECT proname, md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1")
        said["functions"] = cur.fetchall()
    c.close()
    return said


def make(pg, name):
    subprocess.run(["createdb", "-h", pg.dir, "-U", "postgres", "-T", "template0", name], check=True)
    return url(pg, name)


@pytest.fixture(scope="module")
def exported(pg, tmp_path_factory):
    file = tmp_path_factory.mktemp("db") / "memherd.db"
    r = db("export", file, url(pg))
    assert r.returncode == 0, r.stderr
    return file


def test_there_and_back_every_table_is_the_same(pg, exported, tmp_path):
    folder = f"/tmp/memherd-transfer-{os.getpid()}"
    private = f"embedded:{folder}/pg"
    os.makedirs(folder)
    try:
        r = db("import", exported, private)
        assert r.returncode == 0, r.stderr
        again = tmp_path / "again"
        r = db("export", again, private)
        assert r.returncode == 0, r.stderr
    finally:
        shutil.rmtree(folder)
    r = db("import", again, make(pg, "back"))
    assert r.returncode == 0, r.stderr
    before, after = content(pg, "postgres"), content(pg, "back")
    assert before == after
    assert before["chunk"][0] == 24 and before["event"][0] == 50 and before["agent_conn"] == (40, True)
    c = psycopg2.connect(pg.conninfo.replace("dbname=postgres", "dbname=back"))
    with c.cursor() as cur:
        cur.execute("SET ROLE memherd_reader")
        cur.execute("SELECT count(*) FROM hosts")  # the reader's rights came back, too
        assert cur.fetchone() == (1,)
    c.close()


def test_through_a_pipe(pg):
    out = db("export", "-", url(pg))
    assert out.returncode == 0 and out.stdout.startswith(b"memherd-db 1 schema ")
    r = db("import", "-", make(pg, "piped"), input=out.stdout)
    assert r.returncode == 0, r.stderr
    assert content(pg, "piped") == content(pg, "postgres")


def test_the_file_is_ours_alone_and_never_overwritten(pg, exported):
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    r = db("export", exported, url(pg))
    assert r.returncode == 1 and b"cannot make" in r.stderr and b"exists" in r.stderr


def empty(pg, name):
    return not [k for k in content(pg, name) if k not in ("indexes", "functions")]


def test_cut_off_anywhere_nothing_is_left(pg, exported, tmp_path):
    whole = exported.read_bytes()
    target = make(pg, "cut")
    for n in (30, len(whole) // 10, len(whole) // 2, len(whole) - 70000, len(whole) - 5, len(whole) - 4, len(whole) - 1):
        file = tmp_path / "cut"
        file.write_bytes(whole[:n])
        r = db("import", file, target)
        assert r.returncode == 1 and b"cut off: nothing of it was imported" in r.stderr, (n, r.stderr)
        assert empty(pg, "cut"), n
    file.write_bytes(whole)
    assert db("import", file, target).returncode == 0  # and what is whole goes in after all that


@pytest.mark.parametrize("data,says", [(b"", b"was not made by"), (b"PGDMP\x01\x0e", b"was not made by"),
                                       (b"memherd-db 1 schema x\n", b"was not made by"),
                                       (b"memherd-db 2 schema 1\n", b"was not made by"),
                                       (b"memherd-db 1 schema 999\n", b"schema 999, this program knows up to"),
                                       (b"memherd-db 1 schema 4\n\0\0\0\5hello\0\0\0\0", b"pg_restore failed"),
                                       (b"memherd-db 1 schema 4\n\xff\0\0\0hello", b"cut off")])
def test_a_foreign_file_is_told(pg, tmp_path, data, says):
    file = tmp_path / "foreign"
    file.write_bytes(data)
    name = f"f{abs(hash(data)) % 10**9}"
    r = db("import", file, make(pg, name))
    assert r.returncode == 1 and says in r.stderr, r.stderr
    assert empty(pg, name)


def test_only_into_an_empty_one(pg, exported):
    r = db("import", exported, url(pg))
    assert r.returncode == 1 and b"is not empty" in r.stderr, r.stderr


def test_not_beside_a_collector(pg, exported):
    target = make(pg, "used")
    c = psycopg2.connect(pg.conninfo.replace("dbname=postgres", "dbname=used") + " application_name=memherd-collector")
    r = db("import", exported, target)
    c.close()
    assert r.returncode == 1 and b"a collector is using database 'used'" in r.stderr, r.stderr


def test_nothing_to_export_is_told(pg, tmp_path):
    r = db("export", tmp_path / "none", make(pg, "nothing"))
    assert r.returncode == 1 and b"holds nothing of memherd" in r.stderr
    assert not (tmp_path / "none").exists()


def test_usage(pg):
    assert db("copy", "x", url(pg)).returncode == 2
    assert subprocess.run([COLLECTOR, "db", "export", "-c", "/dev/null"], capture_output=True, check=False).returncode == 2
