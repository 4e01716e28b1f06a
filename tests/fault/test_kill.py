# SPDX-License-Identifier: Apache-2.0
"""kill -9 of everything, KILLS times at random moments; SEED repeats a run."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import kills  # noqa: E402


def test_what_is_killed_comes_back_and_nothing_is_lost():
    seed = int(os.environ.get("SEED") or time.time())
    print(f"SEED={seed}")
    kills.run(seed, int(os.environ.get("KILLS") or 30))
