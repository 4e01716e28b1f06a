# SPDX-License-Identifier: Apache-2.0
"""A database that takes nothing: told by mail past it, readiness says why, and afterwards the account of every stream is
whole. tests/fault has the long ones: away, hanging, a full queue, kills at every edge."""
import pathlib
import re
import sys

import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
from stack import Stack, wait_for  # noqa: E402

ACCOUNT = (ROOT / "sql/queries/stream_account.sql").read_text()


@pytest.fixture(scope="module")
def stack():
    with Stack(collector={"outage_mail": "1s"}).up() as s:
        wait_for("samples", lambda: s.sql("SELECT 1 FROM agent_stream WHERE last_seq > 3"))
        yield s


def read_only(stack, on):
    """As on a standby, or as a full disk does: connections stand, nothing is taken."""
    connection = psycopg2.connect(host=str(stack.path("pg")), dbname="postgres", user="memherd")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()


def notices(stack):
    return [m for m in stack.messages() if "database is away" in m["Subject"]]


def test_what_cannot_be_stored_is_told_past_the_database(stack):
    s = stack
    read_only(s, True)
    first = wait_for("the alarm", lambda: notices(s), 25)[0]
    assert first["X-Memherd-State"] == "firing" and "read-only" in first.get_content()
    assert re.search(r"^memherd_database_away_seconds [1-9]", s.get("/metrics", raw=True).decode(), re.M)
    assert s.sql("SELECT count(*) FROM mail") == [(0,)]
    read_only(s, False)
    again = wait_for("the mail that it is back", lambda: len(notices(s)) == 2 and notices(s)[1], 15)
    assert again["X-Memherd-State"] == "resolved" and again["In-Reply-To"] == first["In-Reply-To"]


def test_the_account_sees_what_is_lost_doubled_or_made_up(stack):
    s = stack
    s.programs["agent"].stop()
    rows = s.sql(ACCOUNT)
    assert len(rows) >= 2 and all(row[-1] for row in rows), rows

    def faulty():
        return {name for row in s.sql(ACCOUNT)
                for name, n in zip(("missing", "twice", "beyond", "lost"), row[8:12], strict=True) if n}

    at = "(host_id, epoch, seq) = (SELECT host_id, epoch, seq FROM inbox WHERE seq = 1 LIMIT 1)"
    for harm, mend, shows in (
            (f"INSERT INTO inbox SELECT * FROM inbox WHERE {at} RETURNING 1",
             f"DELETE FROM inbox WHERE {at} AND ctid = (SELECT max(ctid) FROM inbox WHERE {at}) RETURNING 1", {"twice"}),
            ("UPDATE agent_stream SET last_seq = last_seq + 7 RETURNING 1",
             "UPDATE agent_stream SET last_seq = last_seq - 7 RETURNING 1", {"missing"}),
            ("UPDATE agent_stream SET last_seq = last_seq - 1 RETURNING 1",
             "UPDATE agent_stream SET last_seq = last_seq + 1 RETURNING 1", {"beyond"}),
            ("UPDATE agent_stream SET lost = 1 RETURNING 1", "UPDATE agent_stream SET lost = 0 RETURNING 1", {"lost"}),
            (f"DELETE FROM inbox WHERE {at} RETURNING 1", None, {"missing"})):
        assert s.sql(harm)
        assert faulty() == shows, harm
        if mend:
            assert s.sql(mend)
            assert faulty() == set(), mend
