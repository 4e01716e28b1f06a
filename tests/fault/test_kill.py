# SPDX-License-Identifier: Apache-2.0
"""kill -9 of everything, RECOVERIES times at random moments; SEED repeats a run."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import kills  # noqa: E402


def test_a_missing_sample_is_seen():
    shown = {1.000: 5, 2.000: 5, 2.008: 5, 3.000: 6}
    assert kills.missing(shown, shown) == {}
    assert kills.missing(shown, {1.000: 5, 1.995: 5, 2.009: 5, 3.040: 6, 4.0: 6}) == {}  # sealed since
    assert kills.missing(shown, {1.000: 5, 2.009: 5, 3.000: 6}) == {2.008: 5}  # one cannot stand for two
    assert kills.missing(shown, {1.000: 5, 2.000: 5, 2.008: 5, 3.000: 5}) == {3.000: 6}  # its value is another
    assert kills.missing(shown, {1.000: 5, 2.000: 5, 2.008: 5, 3.102: 6}) == {3.000: 6}
    assert kills.missing(shown, {}) == shown


def test_what_is_killed_comes_back_and_nothing_is_lost():
    seed = int(os.environ.get("SEED") or time.time())
    print(f"SEED={seed}")
    kills.run(seed, int(os.environ.get("RECOVERIES") or 12))
