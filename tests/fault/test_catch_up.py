# SPDX-License-Identifier: Apache-2.0
"""What an agent brings after an outage, many windows at once, is there after the next restart, too."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import kills  # noqa: E402

WINDOW = 10
OUTAGE = 25


def sleep_to(second, least):
    """Until that second of a window, at least so many from now."""
    at = time.time() + least
    at += (second - at) % WINDOW
    time.sleep(max(at - time.time(), 0))


def test_what_was_caught_up_with_outlives_a_restart():
    with kills.Kills(1) as k:
        k.stack.programs["collector"].stop(signal.SIGKILL)
        # Up in the second half of a window, so that this one, too, is full of what was held.
        sleep_to(WINDOW * 0.6, OUTAGE)
        came = time.time() // WINDOW * WINDOW
        k.stack.start_collector()
        k.wait_fresh(came)
        # Killed while of all that came at once only the last window is not sealed.
        kills.wait_for("the seal", lambda: k.sql(
            "SELECT 1 FROM compaction WHERE t0 = to_timestamp(%s)", came - WINDOW), 90, 0.05)
        held = [t for t in k.series() if came <= t < came + WINDOW * 0.6]
        assert len(held) >= 3
        k.kill("collector")
        kills.wait_for("the seal of what was held", lambda: k.sql(
            "SELECT 1 FROM compaction WHERE t0 = to_timestamp(%s)", came), 90, 0.05)
        _, ticks = k.count_chunks()
        assert ticks >= OUTAGE
