# SPDX-License-Identifier: Apache-2.0
"""Two collectors on one database, the leader killed or stopped LEADER_KILLS times at random moments; SEED
repeats a run."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import collectors  # noqa: E402

WINDOW = 10


def test_one_leads_at_a_time():
    seed = int(os.environ.get("SEED") or time.time())
    print(f"SEED={seed}")
    collectors.run(seed, int(os.environ.get("LEADER_KILLS") or 50))


def test_each_seals_what_it_received():
    with collectors.Pair(window=f"{WINDOW}s") as pair:
        pid = pair.target().pid
        collectors.wait_for("the process", lambda: collectors.process_of(pair.stacks[0], 2, pid), 20)
        look(pair, pid)


def look(pair, pid):
    collectors.wait_for("windows sealed by both", lambda: len(pair.sql(
        "SELECT shard FROM compaction WHERE shard >= 0 GROUP BY shard HAVING count(*) > 1")) == 2, 90)
    assert not pair.sql("SELECT 1 FROM chunk AS c JOIN host AS h USING (host_id) WHERE h.holder IS NULL")
    hosts = pair.sql("SELECT DISTINCT host_id FROM chunk ORDER BY 1")
    assert hosts == [(1,), (2,)]
    # Nothing twice: of a process and window one chunk, and points in order.
    points = pair.stacks[0].get(f"/api/v1/processes/{collectors.process_of(pair.stacks[0], 2, pid)['id']}/series?from=-5min")
    times = [t for t, _ in points["points"]]
    assert times == sorted(set(times)) and len(times) > WINDOW
    assert all(y - x < 3.5 for x, y in zip(times, times[1:])), "no hole"
