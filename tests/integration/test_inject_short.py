# SPDX-License-Identifier: Apache-2.0
"""Some hundred calls into processes that leave no quiet moment; 'make check-inject' has thousands, and the kills."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import injections  # noqa: E402
import pythons  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root on x86-64")
CPYTHONS = [p for p in pythons.local() if p.kind == "cpython" and p.minor() >= 8]


@pytest.mark.parametrize("mode", ["mixed", "sleep"])
@pytest.mark.parametrize("python", CPYTHONS, ids=lambda p: p.label)
def test_a_main_thread_that_wakes_while_it_is_looked_at_is_not_sent_for_the_gil(python, mode):
    """Once it was sent into PyGILState_Ensure where it ran or waited for the GIL by then: it went on without a thread
    state, or all threads waited for ever. Each version fell within 200."""
    injections.scripts(python, mode, 150)


def test_a_malloc_hammer_in_a_storm_of_signals_is_unharmed(tmp_path):
    injections.trims(injections.build_hammer(tmp_path), "storm", 150)


def test_workers_killed_at_random_moments_harm_nothing(tmp_path):
    with injections.running([injections.build_hammer(tmp_path), "forks"]) as t:
        r = injections.inject_killed("trim", t.pid, 20, 0.006, 1)
        assert r["unknown"] + r["failed"] > 0, "no worker was killed before its end: the test proves nothing"
        injections.settle(t)
        assert injections.inject("trim", t.pid, 1)["done"] == 1
        assert t.finish()["corrupt"] == 0
