# SPDX-License-Identifier: Apache-2.0
"""The guest was reset while everything ran (run --power-cut), and is up again."""

import datetime
import pathlib

from guest import events, items, kills, restart_agent, wait_until

CUT = int(pathlib.Path("/var/lib/power-cut").read_text())


def test_how_the_host_was_before_is_told(product):
    event, = wait_until("the end of the host", lambda: events("host_end"), 60)
    details = event["details"]
    seen = datetime.datetime.fromisoformat(details["last_seen"].replace("Z", "+00:00")).timestamp()
    assert -5 <= CUT - seen <= 90  # it is noted each minute
    assert details["clean"] == "false"
    assert 0 < int(details["available_bytes"]) < int(details["total_bytes"])
    assert details["largest"]
    print(f"\n{details}")


def test_it_is_told_once(product):
    restart_agent()
    assert len(events("host_end")) == 1


def test_the_host_goes_on_as_the_same(product):
    host, = items("/hosts")
    assert host["connected"] and host["processes"]
    assert not [k for k in kills() if k["replayed"]]
