# SPDX-License-Identifier: Apache-2.0
"""Where the kernel says that tasks wait for memory the agent looks each second, and calms down afterwards."""

import datetime
import time

import pytest
from guest import AGENT_CONF, ETC, PythonUnit, events, get, run, swap_file, wait_until

BASE = 5
# More than its memory.high allows, and so little that the host's memory does not shrink by it.
THRASH = """
room = bytearray(40 << 20)
ready()
while True:
    for i in range(0, len(room), 4096):
        room[i] = (room[i] + 1) & 255
"""


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def gaps(seconds):
    """How far samples lie apart, as they come in within that time."""
    seen, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        at = get("/hosts/1")
        if not seen or seen[-1] != at["last_seen"]:
            seen.append(at["last_seen"])
        time.sleep(0.2)
    times = [datetime.datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp() for t in seen]
    return [b - a for a, b in zip(times, times[1:])]


@pytest.fixture
def slow_agent(product):
    """Samples every 5 s, as long as there is peace."""
    conf = ETC / "agent.conf"
    conf.write_text(AGENT_CONF.replace("interval = 1s", f"interval = {BASE}s"))
    run("systemctl", "restart", "memherd-agent")
    wait_until("the slow agent", lambda: get("/hosts/1")["interval_seconds"] == BASE, 60)
    yield
    conf.write_text(AGENT_CONF)
    run("systemctl", "restart", "memherd-agent")
    wait_until("the agent as before", lambda: get("/hosts/1")["interval_seconds"] == 1, 60)


def median(of):
    return sorted(of)[len(of) // 2]


def is_calm():
    return median(gaps(BASE * 4)) > BASE - 1


def test_pressure_makes_it_look_each_second(slow_agent):
    with swap_file(128):
        wait_until("peace", is_calm, 120)  # the file itself took memory
        begin = now()

        def told():
            return [e for e in events("pressure") if e["time"] > begin]
        with PythonUnit(THRASH, MemoryHigh="12M", wait=False):
            event = wait_until("the event", told, 120)[-1]
            print(f"\n{event['details']['text']}")
            assert "pressure trigger" in event["details"]["text"]
            assert median(gaps(15)) < 2.5
            assert get("/hosts/1")["psi_some_seconds"] > 0
        wait_until("peace again", is_calm, 180)
