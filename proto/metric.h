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
#define METRIC_LIST(X)                                                                          \
	X(RSS, rss, GAUGE, KIB, "resident set size: anon + file + shmem")                       \
	X(PSS, pss, GAUGE, KIB, "proportional set size: shared pages divided by their users")   \
	X(USS, uss, GAUGE, KIB, "unique set size: pages only this process maps")                \
	X(ANON, anon, GAUGE, KIB, "resident anonymous memory: heap, stacks, arenas")            \
	X(FILE, file, GAUGE, KIB, "resident file mappings")                                     \
	X(SHMEM, shmem, GAUGE, KIB, "resident shared memory and tmpfs mappings")                \
	X(SWAP, swap, GAUGE, KIB, "anonymous memory in swap")                                   \
	X(VSIZE, vsize, GAUGE, KIB, "virtual memory size")                                      \
	X(THREADS, threads, GAUGE, COUNT, "threads")                                            \
	X(FDS, fds, GAUGE, COUNT, "open file descriptors, where they may be counted")           \
	X(MINFLT, minflt, COUNTER, COUNT, "minor page faults")                                  \
	X(MAJFLT, majflt, COUNTER, COUNT, "major page faults")                                  \
	X(CPU, cpu, COUNTER, MS, "user and system CPU time")                                    \
	X(GC0, gc0, COUNTER, COUNT, "Python: collections of generation 0")                      \
	X(GC1, gc1, COUNTER, COUNT, "Python: collections of generation 1")                      \
	X(GC2, gc2, COUNTER, COUNT, "Python: collections of generation 2")                      \
	X(COLLECTED, collected, COUNTER, COUNT, "Python: objects freed by the cycle collector") \
	X(UNCOLLECTABLE, uncollectable, COUNTER, COUNT, "Python: objects it could not free")

/* X(NAME, name, kind, unit, help): of the host. Source: proc_meminfo(5). */
#define HOST_METRIC_LIST(X)                                                                \
	X(TOTAL, total, GAUGE, KIB, "usable memory (MemTotal)")                            \
	X(AVAILABLE, available, GAUGE, KIB, "can be had without swapping (MemAvailable)")  \
	X(FREE, free, GAUGE, KIB, "unused (MemFree)")                                      \
	X(BUFFERS, buffers, GAUGE, KIB, "block device buffers")                            \
	X(CACHED, cached, GAUGE, KIB, "page cache, shmem included")                        \
	X(SHMEM, shmem, GAUGE, KIB, "shared memory and tmpfs")                             \
	X(ANON, anon, GAUGE, KIB, "anonymous pages in memory (AnonPages)")                 \
	X(SLAB_RECLAIMABLE, slab_reclaimable, GAUGE, KIB, "reclaimable kernel slab")       \
	X(SLAB_UNRECLAIMABLE, slab_unreclaimable, GAUGE, KIB, "unreclaimable kernel slab") \
	X(PAGE_TABLES, page_tables, GAUGE, KIB, "page tables")                             \
	X(SWAP_TOTAL, swap_total, GAUGE, KIB, "swap space")                                \
	X(SWAP_FREE, swap_free, GAUGE, KIB, "swap not in use")                             \
	X(DIRTY, dirty, GAUGE, KIB, "waiting to be written back")                          \
	X(COMMITTED, committed, GAUGE, KIB, "promised to processes (Committed_AS)")        \
	X(PROCESSES, processes, GAUGE, COUNT, "processes seen by the agent")

enum metric {
#define X(NAME, name, kind, unit, help) METRIC_##NAME,
	METRIC_LIST(X)
#undef X
		METRIC_COUNT
};

enum host_metric {
#define X(NAME, name, kind, unit, help) HOST_METRIC_##NAME,
	HOST_METRIC_LIST(X)
#undef X
		HOST_METRIC_COUNT
};

extern const struct metric_info metric_infos[METRIC_COUNT];
extern const struct metric_info host_metric_infos[HOST_METRIC_COUNT];

/* The metric of that name, or -1. */
int metric_find(const char *name);
int host_metric_find(const char *name);
/* What one stored unit is in the unit that users see: bytes, seconds, ratio or a count. */
double metric_scale(enum metric_unit unit);
/* 'bytes', 'seconds', 'ratio' or 'count'. */
const char *metric_unit_name(enum metric_unit unit);

#endif
