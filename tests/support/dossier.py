# SPDX-License-Identifier: Apache-2.0
"""A kill as REST tells it, with names that are made to do harm: what tests of the faces show."""
HOSTILE = "<img src=x onerror=alert(1)>"
MIB = 1 << 20


def party(pid, comm, service, rss, **more):
    return {"process_id": None, "pid": pid, "uid": 33, "comm": comm, "service": service, "container": None,
            "rss_bytes": rss, **more}


VICTIM = party(4711, HOSTILE, "shop", 100 * MIB, container="c0ffee", cmdline=f"{HOSTILE} --serve", oom_score_adj=0)
GROWER = party(4712, "python3", "shop", 300 * MIB, grown_1m_bytes=10 * MIB, grown_10m_bytes=200 * MIB,
               grown_60m_bytes=250 * MIB, cmdline="python3 leak.py")
VERDICT = f"The kernel killed {HOSTILE} (pid 4711) of shop: shop-1 reached its limit of 512 MiB; python3 (pid 4712) had grown most."
DOSSIER = {
    "verdict": VERDICT, "cause": "kernel_memcg", "confidence": "certain", "limit_cgroup": "/docker/c0ffee",
    "limit_owner": "shop-1", "limit_bytes": 512 * MIB,
    "cause_text": "killed by the kernel: a cgroup reached its limit", "victim": VICTIM,
    "trigger": party(4713, "nginx", "shop", 20 * MIB), "victim_cgroup": "/docker/c0ffee/a",
    "figures": {"usage_bytes": 512 * MIB, "limit_bytes": 512 * MIB, "failcnt": 3, "host_total_bytes": 2048 * MIB,
                "host_available_bytes": 900 * MIB},
    "tasks": [VICTIM, GROWER, party(4713, "nginx", "shop", 20 * MIB)], "tasks_total": 3, "growers": [GROWER],
    "ring_seconds": 3600, "advice": ["Raise the limit to 640 MiB, or restart python3 before it grows that far."],
    "evidence": [f"oom-kill:constraint=CONSTRAINT_MEMCG,task={HOSTILE},pid=4711"],
}
KILL = {
    "id": "4576664038735079307", "time": "2026-11-23T01:02:03.004Z", "host_id": "1", "host": "web-1", "cause": "kernel_memcg",
    "confidence": "certain", "oom": True, "complete": True, "replayed": False, "process_id": "77", "pid": 4711,
    "comm": HOSTILE, "service": "shop", "container": "c0ffee", "rss_bytes": 100 * MIB, "limit_cgroup": "/docker/c0ffee",
    "limit_owner": "shop-1", "limit_bytes": 512 * MIB, "grower": "shop", "verdict": VERDICT,
}
ONE = dict(KILL, dossier=DOSSIER, process=None, memory_before={"victim": None, "limit": None, "host": "/hosts/1/series"}, recent={
    "actions": [{"id": "a", "time": "2026-11-23T00:50:00.000Z", "type": "trim", "state": "done", "dry_run": False, "pid": 4712,
                 "comm": "python3", "service": "shop", "actor": "rule:big", "reason": "it was big"}],
    "service": {"starts": 2, "exits": 1, "kills": 0, "events": [
        {"time": "2026-11-23T00:10:00.000Z", "kind": "exit", "process_id": "76", "pid": 4700, "comm": "python3",
         "verdict": "ended by itself"}]},
    "alerts": [{"id": "9", "rule": "big", "title": "web-1 shop: big", "level": "mail", "opened": "2026-11-23T00:40:00.000Z"}],
})
