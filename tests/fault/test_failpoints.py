# SPDX-License-Identifier: Apache-2.0
"""kill -9 of agents, collector and PostgreSQL, KILLS times, at random moments and at each named edge of commit, ack,
seal, replay and retention; then an oracle that knows what was produced judges what is stored. Programs that are
broken on purpose must be caught by that same oracle. SEED repeats the order of kills."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import faults  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("memherd-agent", "memherd-collector", "memherd-actd", "memherd")


def accounts(found, column):
    """Those faults that the operator's query shows, too, in that column."""
    return [f for f in found["faults"] if f.startswith("account:") and f"'{column}': 0" not in f]


def test_nothing_is_lost_doubled_or_made_up():
    seed = int(os.environ.get("SEED") or time.time())
    kills = int(os.environ.get("KILLS") or 100)
    print(f"SEED={seed}", flush=True)
    found = faults.run(seed=seed, kills=kills)
    print(found, flush=True)
    assert found["faults"] == []
    assert found["kills"] >= kills
    assert found["produced"] == found["stored"] + found["gapped"] + found["waiting"] > 10 * kills
    assert found["records"] == found["stored"]
    for produced, stored, gone in found["numbered"].values():
        assert stored > kills and produced <= stored + gone
    if kills >= 100:
        assert found["never"] == [], "edges at which nothing died"
        assert found["sealed"] > kills


def test_a_collector_that_acknowledges_first_is_caught():
    found = faults.run(seed=1, kills=60, mutant="ack_first", only="collector", points="ingest.rows=sleep(80)@50%",
                       edges=False, until="lost")
    assert accounts(found, "lost"), found


def test_a_collector_that_stores_again_is_caught():
    """An event's primary key refuses it a second time, so a batch that has one becomes a dead letter; the next batch
    without is stored twice."""
    found = faults.run(seed=1, kills=60, mutant="no_dedupe", points=f"ingest.reply=error({faults.EINPROGRESS})@10%",
                       edges=False, until="twice")
    assert accounts(found, "twice"), found


def test_the_same_faults_harm_none_that_is_whole():
    """What catches the broken ones finds nothing where nothing is broken."""
    for points in ("ingest.rows=sleep(80)@50%", f"ingest.reply=error({faults.EINPROGRESS})@10%"):
        found = faults.run(seed=1, kills=9, only="collector", points=points, edges=False)
        assert found["faults"] == [] and found["kills"] >= 9


def test_only_that_build_can_be_broken():
    for name in PROGRAMS:
        plain = (ROOT / "build/release-gcc" / name).read_bytes()
        assert b"MEMHERD_FAILPOINTS" not in plain and b"MEMHERD_MUTANT" not in plain and b"ack_first" not in plain
    broken = (faults.FAULT / "memherd-collector").read_bytes()
    assert b"MEMHERD_FAILPOINTS" in broken and b"ack_first" in broken and b"no_dedupe" in broken
