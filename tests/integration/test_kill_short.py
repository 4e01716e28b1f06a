# SPDX-License-Identifier: Apache-2.0
"""One kill -9 of each part of the path; tests/fault does it many times at random."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import kills  # noqa: E402


def test_each_part_is_killed_once():
    kills.run(1, 6, ["collector", "postmaster", "sense", "link", "collector and postmaster", "postmaster"])
