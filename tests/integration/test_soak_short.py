# SPDX-License-Identifier: Apache-2.0
"""Some hours of the gathering process's rounds in some seconds; 'make check-soak' has a day of them."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import soak  # noqa: E402

# The flight ring still fills its hour: some 100 KiB.
GROWS_KIB = 256


def test_rounds_leave_nothing_behind():
    figures = soak.rounds(1000, 500, 120)
    assert figures["descriptors_least"] == figures["descriptors_most"]
    if not soak.SANITIZED:
        assert int(figures["rss_most_kib"]) - int(figures["rss_first_kib"]) < GROWS_KIB
