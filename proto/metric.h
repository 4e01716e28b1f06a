/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric.h - every figure that is sampled, once: the wire numbers, the stored columns, the
 * names in rules, REST and the CLI all come from these lists.
 *
 * A metric's number is its place in the list and goes over the wire and into stored chunks:
 * new ones are added at the end, none is ever removed or moved.
 * Memory is in KiB (the kernel counts pages, /proc prints kB), CPU time in milliseconds.
 * A value that could not be had is METRIC_ABSENT, never 0.
 */
#ifndef MEMHERD_PROTO_METRIC_H
#define MEMHERD_PROTO_METRIC_H

#include <stdint.h>

#define METRIC_ABSENT INT64_MIN

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };
enum metric_unit { UNIT_KIB, UNIT_COUNT, UNIT_MS, UNIT_PER_10000 };

struct metric_info {
	const char *name;
	enum metric_kind kind;
	enum metric_unit unit;
	const char *help;
};

/* X(NAME, name, kind, unit, help): of one process. Sources: proc_pid_statm(5), _status, _stat. */
#define METRIC_LIST(X)                                                                             \
	X(RSS, rss, GAUGE, KIB, "resident set size: anon + file + shmem")                          \
	X(PSS, pss, GAUGE, KIB, "proportional set size: shared pages divided by their users")      \
	X(USS, uss, GAUGE, KIB, "unique set size: pages only this process maps")                   \
	X(ANON, anon, GAUGE, KIB, "resident anonymous memory: heap, stacks, arenas")               \
	X(FILE, file, GAUGE, KIB, "resident file mappings")                                        \
	X(SHMEM, shmem, GAUGE, KIB, "resident shared memory and tmpfs mappings")                   \
	X(SWAP, swap, GAUGE, KIB, "anonymous memory in swap")                                      \
	X(VSIZE, vsize, GAUGE, KIB, "virtual memory size")                                         \
	X(THREADS, threads, GAUGE, COUNT, "threads")                                               \
	X(FDS, fds, GAUGE, COUNT, "open file descriptors, where they may be counted")              \
	X(MINFLT, minflt, COUNTER, COUNT, "minor page faults")                                     \
	X(MAJFLT, majflt, COUNTER, COUNT, "major page faults")                                     \
	X(CPU, cpu, COUNTER, MS, "user and system CPU time")                                       \
	X(GC0, gc0, COUNTER, COUNT, "Python: collections of generation 0")                         \
	X(GC1, gc1, COUNTER, COUNT, "Python: collections of generation 1")                         \
	X(GC2, gc2, COUNTER, COUNT, "Python: collections of generation 2")                         \
	X(COLLECTED, collected, COUNTER, COUNT, "Python: objects freed by the cycle collector")    \
	X(UNCOLLECTABLE, uncollectable, COUNTER, COUNT, "Python: objects it could not free")       \
	X(PYTHON_VERSION, python_version, GAUGE, COUNT, "Python: its version, as PY_VERSION_HEX")  \
	X(PYTHON_STATE, python_state, GAUGE, COUNT, "Python: can it be read (proto/python.h)")     \
	X(INTERPRETERS, interpreters, GAUGE, COUNT, "Python: interpreters in the process")         \
	X(GC_ENABLED, gc_enabled, GAUGE, COUNT, "Python: 1 = automatic collection is on")          \
	X(GC_COUNT0, gc_count0, GAUGE, COUNT, "Python: gc.get_count()[0] of the main interpreter") \
	X(GC_COUNT1, gc_count1, GAUGE, COUNT, "Python: gc.get_count()[1]")                         \
	X(GC_COUNT2, gc_count2, GAUGE, COUNT, "Python: gc.get_count()[2]")                         \
	X(GC_THRESHOLD0, gc_threshold0, GAUGE, COUNT,                                              \
	  "Python: gc.get_threshold()[0] of the main interpreter")                                 \
	X(GC_THRESHOLD1, gc_threshold1, GAUGE, COUNT, "Python: gc.get_threshold()[1]")             \
	X(GC_THRESHOLD2, gc_threshold2, GAUGE, COUNT, "Python: gc.get_threshold()[2]")             \
	X(GC_FROZEN, gc_frozen, GAUGE, COUNT, "Python: objects that gc.freeze() put aside")        \
	X(GC_TIME, gc_time, COUNTER, MS, "Python: time in collections (from 3.15)")                \
	X(COLLECTED0, collected0, COUNTER, COUNT, "Python: of collected, by generation 0")         \
	X(COLLECTED1, collected1, COUNTER, COUNT, "Python: of collected, by generation 1")         \
	X(UNCOLLECTABLE0, uncollectable0, COUNTER, COUNT,                                          \
	  "Python: of uncollectable, in generation 0")                                             \
	X(UNCOLLECTABLE1, uncollectable1, COUNTER, COUNT,                                          \
	  "Python: of uncollectable, in generation 1")                                             \
	X(GC_COLLECTING, gc_collecting, GAUGE, COUNT, "Python: 1 = a collection ran just then")

/* X(NAME, name, kind, unit, help): of the host. Sources: proc_meminfo(5), /proc/pressure/memory,
 * /proc/vmstat, /sys/block/zramN/mm_stat, /proc/sys/vm; the last ones are the agent's own cost. */
#define HOST_METRIC_LIST(X)                                                                      \
	X(TOTAL, total, GAUGE, KIB, "usable memory (MemTotal)")                                  \
	X(AVAILABLE, available, GAUGE, KIB, "can be had without swapping (MemAvailable)")        \
	X(FREE, free, GAUGE, KIB, "unused (MemFree)")                                            \
	X(BUFFERS, buffers, GAUGE, KIB, "block device buffers")                                  \
	X(CACHED, cached, GAUGE, KIB, "page cache, shmem included")                              \
	X(SHMEM, shmem, GAUGE, KIB, "shared memory and tmpfs")                                   \
	X(ANON, anon, GAUGE, KIB, "anonymous pages in memory (AnonPages)")                       \
	X(SLAB_RECLAIMABLE, slab_reclaimable, GAUGE, KIB, "reclaimable kernel slab")             \
	X(SLAB_UNRECLAIMABLE, slab_unreclaimable, GAUGE, KIB, "unreclaimable kernel slab")       \
	X(PAGE_TABLES, page_tables, GAUGE, KIB, "page tables")                                   \
	X(SWAP_TOTAL, swap_total, GAUGE, KIB, "swap space")                                      \
	X(SWAP_FREE, swap_free, GAUGE, KIB, "swap not in use")                                   \
	X(DIRTY, dirty, GAUGE, KIB, "waiting to be written back")                                \
	X(COMMITTED, committed, GAUGE, KIB, "promised to processes (Committed_AS)")              \
	X(PROCESSES, processes, GAUGE, COUNT, "processes seen by the agent")                     \
	X(SWAP_CACHED, swap_cached, GAUGE, KIB, "in swap and in memory (SwapCached)")            \
	X(COMMIT_LIMIT, commit_limit, GAUGE, KIB, "what may be promised (CommitLimit)")          \
	X(ZRAM_DATA, zram_data, GAUGE, KIB, "what zram devices hold, uncompressed")              \
	X(ZRAM_USED, zram_used, GAUGE, KIB, "memory that zram devices take for it")              \
	X(PSI_SOME10, psi_some10, GAUGE, PER_10000,                                              \
	  "share of 10 s in which a task waited for memory")                                     \
	X(PSI_FULL10, psi_full10, GAUGE, PER_10000, "share of 10 s in which all tasks waited")   \
	X(PSI_SOME, psi_some, COUNTER, MS, "time in which a task waited for memory")             \
	X(PSI_FULL, psi_full, COUNTER, MS, "time in which all tasks waited for memory")          \
	X(SCAN_KSWAPD, scan_kswapd, COUNTER, COUNT, "pages scanned by kswapd")                   \
	X(SCAN_DIRECT, scan_direct, COUNTER, COUNT, "pages scanned by tasks that needed memory") \
	X(STEAL_KSWAPD, steal_kswapd, COUNTER, COUNT, "pages reclaimed by kswapd")               \
	X(STEAL_DIRECT, steal_direct, COUNTER, COUNT,                                            \
	  "pages reclaimed by tasks that needed memory")                                         \
	X(SWAP_IN, swap_in, COUNTER, COUNT, "pages read from swap")                              \
	X(SWAP_OUT, swap_out, COUNTER, COUNT, "pages written to swap")                           \
	X(OOM_KILLS, oom_kills, COUNTER, COUNT, "processes killed by the kernel's OOM killer")   \
	X(ALLOC_STALLS, alloc_stalls, COUNTER, COUNT, "allocations that had to reclaim first")   \
	X(MAJFLT, majflt, COUNTER, COUNT, "major page faults")                                   \
	X(REFAULTS, refaults, COUNTER, COUNT, "pages read back soon after they were reclaimed")  \
	X(SWAPPINESS, swappiness, GAUGE, COUNT, "vm.swappiness")                                 \
	X(OVERCOMMIT, overcommit, GAUGE, COUNT, "vm.overcommit_memory")                          \
	X(SKIPPED, skipped, GAUGE, COUNT, "processes not sampled in this round")                 \
	X(AGENT_RSS, agent_rss, GAUGE, KIB, "resident memory of the gathering process")          \
	X(AGENT_CPU, agent_cpu, COUNTER, MS, "CPU time of the gathering process")                \
	X(PSS_CPU, pss_cpu, COUNTER, MS, "CPU time spent reading PSS, part of agent_cpu")        \
	X(PSS_READS, pss_reads, COUNTER, COUNT, "processes whose PSS was read")                  \
	X(PSS_AGE, pss_age, GAUGE, COUNT, "age of the oldest PSS in use, seconds")               \
	X(RING, ring, GAUGE, KIB, "memory of the flight ring")                                   \
	X(PYTHONS, pythons, GAUGE, COUNT, "Python processes whose collector is read")            \
	X(PYTHON_CPU, python_cpu, COUNTER, MS, "CPU time spent on them, part of agent_cpu")

/*
 * X(NAME, name, kind, unit, help): of one memory cgroup. Sources: memory.current, .stat, .max,
 * .high, .events, .pressure (cgroup v2) or memory.usage_in_bytes, .stat, .limit_in_bytes,
 * .oom_control (v1).
 */
#define CGROUP_METRIC_LIST(X)                                                               \
	X(USAGE, usage, GAUGE, KIB, "all memory charged to the cgroup")                     \
	X(WORKING_SET, working_set, GAUGE, KIB,                                             \
	  "usage without inactive page cache, as container tools print it")                 \
	X(ANON, anon, GAUGE, KIB, "anonymous memory")                                       \
	X(FILE, file, GAUGE, KIB, "page cache, shmem included")                             \
	X(SHMEM, shmem, GAUGE, KIB, "shared memory and tmpfs")                              \
	X(KERNEL, kernel, GAUGE, KIB, "kernel memory: stacks, page tables, slab")           \
	X(SWAP, swap, GAUGE, KIB, "swap in use")                                            \
	X(LIMIT, limit, GAUGE, KIB, "the smallest limit of it, its ancestors and the host") \
	X(OWN_LIMIT, own_limit, GAUGE, KIB, "its own limit; absent = none")                 \
	X(HIGH, high, GAUGE, KIB, "where throttling begins (memory.high); absent = none")   \
	X(SWAP_LIMIT, swap_limit, GAUGE, KIB, "limit of swap; absent = none")               \
	X(EVENTS_HIGH, events_high, COUNTER, COUNT, "throttled at memory.high")             \
	X(EVENTS_MAX, events_max, COUNTER, COUNT, "times the limit was hit (v1: failcnt)")  \
	X(EVENTS_OOM, events_oom, COUNTER, COUNT,                                           \
	  "times reclaim could not keep it below the limit")                                \
	X(OOM_KILLS, oom_kills, COUNTER, COUNT, "processes of it that an OOM killer ended") \
	X(PSI_SOME10, psi_some10, GAUGE, PER_10000,                                         \
	  "share of 10 s in which a task of it waited for memory")                          \
	X(PSI_FULL10, psi_full10, GAUGE, PER_10000,                                         \
	  "share of 10 s in which all tasks of it waited")                                  \
	X(PSI_SOME, psi_some, COUNTER, MS, "time in which a task of it waited for memory")  \
	X(PROCESSES, processes, GAUGE, COUNT, "processes in it and below that are sampled")

/*
 * X(NAME, name, kind, unit, help): of one interpreter of a process that has more than one. Source:
 * the interpreter's collector in the process's memory (agent/python/gcstat.h).
 */
#define INTERPRETER_METRIC_LIST(X)                                                      \
	X(GC0, gc0, COUNTER, COUNT, "collections of generation 0")                      \
	X(GC1, gc1, COUNTER, COUNT, "collections of generation 1")                      \
	X(GC2, gc2, COUNTER, COUNT, "collections of generation 2")                      \
	X(COLLECTED0, collected0, COUNTER, COUNT, "objects freed in generation 0")      \
	X(COLLECTED1, collected1, COUNTER, COUNT, "objects freed in generation 1")      \
	X(COLLECTED2, collected2, COUNTER, COUNT, "objects freed in generation 2")      \
	X(UNCOLLECTABLE0, uncollectable0, COUNTER, COUNT,                               \
	  "objects that could not be freed, generation 0")                              \
	X(UNCOLLECTABLE1, uncollectable1, COUNTER, COUNT, "the same of generation 1")   \
	X(UNCOLLECTABLE2, uncollectable2, COUNTER, COUNT, "the same of generation 2")   \
	X(GC_COUNT0, gc_count0, GAUGE, COUNT, "gc.get_count()[0]")                      \
	X(GC_COUNT1, gc_count1, GAUGE, COUNT, "gc.get_count()[1]")                      \
	X(GC_COUNT2, gc_count2, GAUGE, COUNT, "gc.get_count()[2]")                      \
	X(GC_THRESHOLD0, gc_threshold0, GAUGE, COUNT, "gc.get_threshold()[0]")          \
	X(GC_THRESHOLD1, gc_threshold1, GAUGE, COUNT, "gc.get_threshold()[1]")          \
	X(GC_THRESHOLD2, gc_threshold2, GAUGE, COUNT, "gc.get_threshold()[2]")          \
	X(GC_ENABLED, gc_enabled, GAUGE, COUNT, "1 = automatic collection is on")       \
	X(GC_COLLECTING, gc_collecting, GAUGE, COUNT, "1 = a collection ran just then") \
	X(GC_FROZEN, gc_frozen, GAUGE, COUNT, "objects that gc.freeze() put aside")     \
	X(GC_TIME, gc_time, COUNTER, MS, "time in collections (from 3.15)")

enum metric {
#define X(NAME, name, kind, unit, help) METRIC_##NAME,
	METRIC_LIST(X)
#undef X
		METRIC_COUNT
};

/* From here on, what only Python processes have: most have none of it, and those who keep the
 * values of many processes need not make room for them. */
#define METRIC_PYTHON_FIRST METRIC_GC0
#define METRIC_PYTHON_COUNT (METRIC_COUNT - METRIC_PYTHON_FIRST)

enum host_metric {
#define X(NAME, name, kind, unit, help) HOST_METRIC_##NAME,
	HOST_METRIC_LIST(X)
#undef X
		HOST_METRIC_COUNT
};

enum cgroup_metric {
#define X(NAME, name, kind, unit, help) CGROUP_METRIC_##NAME,
	CGROUP_METRIC_LIST(X)
#undef X
		CGROUP_METRIC_COUNT
};

enum interpreter_metric {
#define X(NAME, name, kind, unit, help) INTERPRETER_METRIC_##NAME,
	INTERPRETER_METRIC_LIST(X)
#undef X
		INTERPRETER_METRIC_COUNT
};

extern const struct metric_info metric_infos[METRIC_COUNT];
extern const struct metric_info host_metric_infos[HOST_METRIC_COUNT];
extern const struct metric_info cgroup_metric_infos[CGROUP_METRIC_COUNT];
extern const struct metric_info interpreter_metric_infos[INTERPRETER_METRIC_COUNT];

/* The metric of that name, or -1. */
int metric_find(const char *name);
int host_metric_find(const char *name);
int cgroup_metric_find(const char *name);
int interpreter_metric_find(const char *name);
/* What one stored unit is in the unit that users see: bytes, seconds, ratio or a count. */
double metric_scale(enum metric_unit unit);
/* 'bytes', 'seconds', 'ratio' or 'count'. */
const char *metric_unit_name(enum metric_unit unit);

#endif
