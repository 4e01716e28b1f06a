# SPDX-License-Identifier: Apache-2.0
"""sql/scale-out/citus.sql: what can be known of it on a plain PostgreSQL, and, where the extension is installed, that
it distributes the schema and may be run again."""
import pathlib
import re
import sys

import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from pg_private import Postgres  # noqa: E402

SCRIPT = (ROOT / "sql/scale-out/citus.sql").read_text()
TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1
"""
# Tables with a primary key or a unique index that lacks host_id.
BAD_KEYS = """
SELECT c.relname, i.relname
  FROM pg_index AS x
  JOIN pg_class AS c ON c.oid = x.indrelid
  JOIN pg_class AS i ON i.oid = x.indexrelid
 WHERE x.indisunique AND c.relname = ANY (%s) AND c.relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'host_id'
                    AND a.attnum = ANY (x.indkey::int2[]))
"""


def names(array):
    """Of one of the script's arrays."""
    return re.findall(r"'(\w+)'", re.search(rf"\b{array} constant text\[\] := ARRAY\[(.*?)\]", SCRIPT, re.S).group(1))


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


def test_every_table_is_named_once(pg):
    named = names("by_host") + names("everywhere") + names("here")
    assert sorted(named) == [t for t, in pg.query(TABLES)]


def test_the_key_of_each_that_is_distributed_holds_the_host(pg):
    by_host = names("by_host")
    assert len(by_host) > 10
    assert pg.query(BAD_KEYS, by_host) == []
    for table in by_host:
        assert pg.query("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass "
                        "AND attname = 'host_id' AND attnotnull", table) == [("integer",)], table
    # The query finds one that has none.
    assert ("alert", "alert_pkey") in pg.query(BAD_KEYS, ["alert"])


def test_no_key_refers_to_another_table(pg):
    """A foreign key from a distributed table must hold its distribution column, too: there are none."""
    assert pg.query("SELECT conname FROM pg_constraint WHERE contype = 'f'") == []


def test_without_the_extension_it_says_so_and_changes_nothing(pg):
    if pg.query("SELECT FROM pg_extension WHERE extname = 'citus'"):
        pytest.skip("the extension is here")
    before = pg.query("SELECT count(*), sum(relnatts) FROM pg_class")
    with pytest.raises(psycopg2.Error, match="the extension citus is not in this database"):
        pg.query(SCRIPT)
    assert pg.query("SELECT count(*), sum(relnatts) FROM pg_class") == before


def test_a_table_that_it_does_not_name_stops_it(pg):
    """As far as it can be run here: with functions in the extension's place, which do nothing."""
    with psycopg2.connect(pg.conninfo) as c, c.cursor() as cur:
        cur.execute("CREATE TABLE citus_tables (table_name regclass, citus_table_type text);"
                    "CREATE FUNCTION create_reference_table(t text) RETURNS void LANGUAGE sql AS "
                    "$$ INSERT INTO citus_tables VALUES (t::regclass, 'reference') $$;"
                    "CREATE FUNCTION create_distributed_table(t text, col text, colocate_with text) RETURNS void "
                    "LANGUAGE sql AS $$ INSERT INTO citus_tables VALUES (t::regclass, 'distributed') $$")
        script = SCRIPT.replace("extname = 'citus'", "extname = 'plpgsql'")
        with pytest.raises(psycopg2.Error, match="it does not name citus_tables"):
            cur.execute(script)
        c.rollback()


def test_it_distributes_the_schema_and_may_be_run_again():
    with Postgres() as server:
        if not server.query("SELECT FROM pg_available_extensions WHERE name = 'citus'"):
            pytest.skip("extension citus is not installed for this PostgreSQL")
        server.stop()
        with open(f"{server.dir}/data/postgresql.auto.conf", "a", encoding="utf-8") as f:
            f.write("shared_preload_libraries = 'citus'\n")
        server.start()
        server.query("CREATE EXTENSION citus")
        server.query("SELECT citus_set_coordinator_host('localhost')")
        for _ in range(2):
            server.query(SCRIPT)
        rows = dict(server.query("SELECT table_name::text, citus_table_type FROM citus_tables"))
        assert all(rows[t] == "distributed" for t in names("by_host"))
        assert all(rows[t] == "reference" for t in names("everywhere"))
        assert len({c for c, in server.query("SELECT colocation_id FROM citus_tables WHERE citus_table_type = 'distributed'")}) == 1
        server.query("INSERT INTO agent_stream (host_id, epoch) VALUES (1, 1), (2, 1)")
        assert server.query("SELECT count(*) FROM agent_stream") == [(2,)]
