# SPDX-License-Identifier: Apache-2.0
"""Two collectors on one database, the leader killed or stopped LEADER_KILLS times at random moments; SEED
repeats a run."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402


def test_one_leads_at_a_time():
    seed = int(os.environ.get("SEED") or time.time())
    print(f"SEED={seed}")
    collectors.run(seed, int(os.environ.get("LEADER_KILLS") or 50))
