# SPDX-License-Identifier: Apache-2.0
"""Every statement against the migrated database, and the SQL decoder against known chunks."""
import glob
import os
import re
import sys

import psycopg2
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from pg_private import Postgres  # noqa: E402


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


def statements():
    for path in sorted(glob.glob(f"{ROOT}/sql/queries/*.sql")):
        with open(path) as f:
            yield os.path.basename(path)[:-4], f.read()


def utility(sql):
    """COPY and what takes names of tables cannot be prepared."""
    body = re.sub(r"^\s*--.*$", "", sql, flags=re.M).strip()
    return body.startswith(("COPY", "ALTER", "CREATE", "DROP", "LISTEN", "LOCK", "NOTIFY", "TRUNCATE"))


@pytest.mark.parametrize("name,sql", [s for s in statements() if not utility(s[1])])
def test_statement_prepares(pg, name, sql):
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        cur.execute(f"PREPARE q AS {sql}")
    c.close()


@pytest.mark.parametrize("name,sql", [s for s in statements() if utility(s[1]) and "COPY" in s[1]])
def test_copy_names_columns(pg, name, sql):
    table, columns = re.search(r"COPY (\w+) \(([^)]*)\)", sql).groups()
    there = {r[0] for r in pg.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)}
    assert {c.strip() for c in columns.split(",")} <= there


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    return varint(v << 1 if v >= 0 else (-v << 1) - 1)


def column(body):
    return varint(len(body)) + body


def test_decoder_follows_the_format(pg):
    """A chunk written by hand from the description in chunk.h."""
    rss = varint(4 << 1) + zigzag(1000) + zigzag(1) + b"\0" + varint(1) + zigzag(-2)
    holes = varint(0 << 1 | 1) + varint(1) + varint(3) + varint(1) + zigzag(7)
    chunk = (b"\1" + varint(5) + zigzag(250) + varint(10000) +
             column(b"\0" + varint(1) + zigzag(500) + b"\0" + varint(0)) +
             varint(3) + column(rss) + column(b"") + column(holes))
    d = psycopg2.Binary(chunk)
    assert pg.query("SELECT mh_col(%s, 0, 5)", d)[0][0] == [1000, 1004, 1004, 1004, 996]
    assert pg.query("SELECT mh_col(%s, 1, 5)", d)[0][0] == [None] * 5
    assert pg.query("SELECT mh_col(%s, 2, 5)", d)[0][0] == [7, None, None, None, 7]
    assert pg.query("SELECT mh_col(%s, 17, 5)", d)[0][0] == [None] * 5
    assert pg.query("SELECT mh_col(%s, -1, 5)", d)[0][0] == [250, 10250, 20250, 30750, 40750]
    with pytest.raises(psycopg2.Error):
        pg.query("SELECT mh_col(%s, 0, 5)", psycopg2.Binary(b"\2"))


def test_leaves_are_made_once(pg):
    sql = "SELECT mh_make_leaf('chunk', '2026-11-23T00:00Z', '2026-11-24T00:00Z')"
    assert pg.query(sql) == pg.query(sql) == [("chunk_p20261123",)]
    storage = pg.query("SELECT attstorage FROM pg_attribute WHERE attrelid = 'chunk_p20261123'::regclass "
                       "AND attname = 'd'")
    assert storage == [("e",)]
