# SPDX-License-Identifier: Apache-2.0
"""The agent dies at each edge of its disk spool, while the collector is there and while it is not: what it produced is
stored or told as a gap. SEED repeats the order of numbers."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import faults  # noqa: E402

# Files are emptied, removed and set aside as acknowledgements come; synced is while nobody acknowledges.
THERE = {"spool.created", "spool.headed", "spool.append", "spool.appended", "spool.cut", "spool.was_cut", "spool.remove",
         "spool.removed", "spool.aside"}
AWAY = {"spool.created", "spool.headed", "spool.append", "spool.appended", "spool.sync", "spool.synced"}


def test_a_death_at_any_edge_of_the_spool_loses_nothing_untold():
    seed = int(os.environ.get("SEED") or time.time())
    print(f"SEED={seed}", flush=True)
    found = faults.run(seed=seed, spool=True)
    print(found, flush=True)
    assert found["faults"] == []
    assert found["produced"] == found["stored"] + found["gapped"] + found["waiting"] > 100
    assert found["records"] == found["stored"]
    assert THERE <= set(found["hit"]["there"]), "edges at which nothing died"
    assert AWAY <= set(found["hit"]["away"]), "edges at which nothing died"
