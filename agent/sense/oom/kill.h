/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill.h - what the kernel says about one process that it killed for memory: plain data, filled by
 * report.c, read by whoever explains, stores or sends it. (boot id, seq) is its identity.
 *
 * Numbers that the kernel did not print are METRIC_ABSENT. Names are the raw bytes that a stranger
 * chose: they go through str_safe() wherever they leave. Only 'tasks' is owned memory.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_KILL_H
#define MEMHERD_AGENT_SENSE_OOM_KILL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "proto/metric.h"

#define OOM_COMM_SIZE 64 /* 15 bytes in the kernel; workers of the kernel itself are longer */
#define OOM_PATH_SIZE 512
#define OOM_GFP_SIZE  128
#define OOM_MAX_TASKS 128

/* X(NAME, name, help): why the kernel chose to kill. */
#define OOM_SCOPE_LIST(X)                                                               \
	X(UNKNOWN, unknown, "the kernel did not say")                                   \
	X(MEMCG, memcg, "a memory cgroup reached its limit")                            \
	X(GLOBAL, global, "the whole host had no memory left")                          \
	X(CPUSET, cpuset, "the memory nodes of a cpuset had no memory left")            \
	X(MEMPOLICY, mempolicy, "the nodes of a memory policy had no memory left")      \
	X(ALLOCATING, allocating, "the host had none left; oom_kill_allocating_task=1") \
	X(SYSRQ, sysrq, "somebody asked for it: SysRq-f, or a program that writes there")

enum oom_scope {
#define X(NAME, name, help) OOM_SCOPE_##NAME,
	OOM_SCOPE_LIST(X)
#undef X
		OOM_SCOPE_COUNT
};

/* X(NAME, key): the figures of the kill line, KiB but for the last two. */
#define OOM_VICTIM_LIST(X)             \
	X(TOTAL_VM, "total-vm:")       \
	X(ANON, "anon-rss:")           \
	X(FILE, "file-rss:")           \
	X(SHMEM, "shmem-rss:")         \
	X(PGTABLES, "pgtables:")       \
	X(SCORE_ADJ, "oom_score_adj:") \
	X(UID, "UID:")

enum oom_victim_figure {
#define X(NAME, key) OOM_VICTIM_##NAME,
	OOM_VICTIM_LIST(X)
#undef X
		OOM_VICTIM_COUNT
};

enum oom_unit { OOM_PAGES, OOM_BYTES, OOM_PLAIN };

/* X(NAME, header, unit): the columns of the task table, in the kernel's words. Sizes are kept in
 * KiB whatever the kernel prints. */
#define OOM_TASK_LIST(X)                     \
	X(PID, "pid", PLAIN)                 \
	X(UID, "uid", PLAIN)                 \
	X(TGID, "tgid", PLAIN)               \
	X(TOTAL_VM, "total_vm", PAGES)       \
	X(RSS, "rss", PAGES)                 \
	X(ANON, "rss_anon", PAGES)           \
	X(FILE, "rss_file", PAGES)           \
	X(SHMEM, "rss_shmem", PAGES)         \
	X(PGTABLES, "pgtables_bytes", BYTES) \
	X(PTES, "nr_ptes", PAGES)            \
	X(SWAP, "swapents", PAGES)           \
	X(SCORE_ADJ, "oom_score_adj", PLAIN)

enum oom_task_figure {
#define X(NAME, header, unit) OOM_TASK_##NAME,
	OOM_TASK_LIST(X)
#undef X
		OOM_TASK_COUNT
};

struct oom_task {
	int64_t v[OOM_TASK_COUNT];
	char comm[16];
};

/* X(NAME, v2, v1, kb): the memory of the limiting cgroup and all below it, KiB: keys of cgroup
 * v2's memory.stat, of v1's (where total_<key> has the sum), and of the one-line form before 5.3.
 */
#define OOM_STAT_LIST(X)                                                     \
	X(ANON, "anon", "rss", "rss:")                                       \
	X(FILE, "file", "cache", "cache:")                                   \
	X(SHMEM, "shmem", "shmem", "shmem:")                                 \
	X(KERNEL, "kernel", "", "")                                          \
	X(KERNEL_STACK, "kernel_stack", "", "")                              \
	X(PAGETABLES, "pagetables", "", "")                                  \
	X(SOCK, "sock", "", "")                                              \
	X(SLAB, "slab", "", "")                                              \
	X(SLAB_RECLAIMABLE, "slab_reclaimable", "", "")                      \
	X(SLAB_UNRECLAIMABLE, "slab_unreclaimable", "", "")                  \
	X(FILE_MAPPED, "file_mapped", "mapped_file", "mapped_file:")         \
	X(FILE_DIRTY, "file_dirty", "dirty", "dirty:")                       \
	X(SWAPPED, "swap", "swap", "swap:")                                  \
	X(INACTIVE_ANON, "inactive_anon", "inactive_anon", "inactive_anon:") \
	X(ACTIVE_ANON, "active_anon", "active_anon", "active_anon:")         \
	X(INACTIVE_FILE, "inactive_file", "inactive_file", "inactive_file:") \
	X(ACTIVE_FILE, "active_file", "active_file", "active_file:")         \
	X(UNEVICTABLE, "unevictable", "unevictable", "unevictable:")

enum oom_stat {
#define X(NAME, v2, v1, kb) OOM_STAT_##NAME,
	OOM_STAT_LIST(X)
#undef X
		OOM_STAT_COUNT
};

/* X(NAME, key, unit): the host's memory in a global report, KiB. FREE_SWAP and below stand on
 * lines of their own and are found by them. */
#define OOM_HOST_LIST(X)                             \
	X(ACTIVE_ANON, "active_anon:")               \
	X(INACTIVE_ANON, "inactive_anon:")           \
	X(ACTIVE_FILE, "active_file:")               \
	X(INACTIVE_FILE, "inactive_file:")           \
	X(UNEVICTABLE, "unevictable:")               \
	X(SLAB_RECLAIMABLE, "slab_reclaimable:")     \
	X(SLAB_UNRECLAIMABLE, "slab_unreclaimable:") \
	X(MAPPED, "mapped:")                         \
	X(SHMEM, "shmem:")                           \
	X(PAGETABLES, "pagetables:")                 \
	X(FREE, "free:")

enum oom_host_figure {
#define X(NAME, key) OOM_HOST_##NAME,
	OOM_HOST_LIST(X)
#undef X
		OOM_HOST_FREE_SWAP,
	OOM_HOST_TOTAL_SWAP,
	OOM_HOST_TOTAL, /* 'pages RAM' */
	OOM_HOST_COUNT
};

/* Whoever needed memory when there was none: not the culprit, and seldom the victim. */
struct oom_trigger {
	char comm[OOM_COMM_SIZE]; /* "" when no report was seen */
	int64_t pid;              /* of the thread: init's pid namespace */
	int64_t order;            /* 2^order pages were wanted; -1 = SysRq */
	int64_t score_adj;
	char gfp[OOM_GFP_SIZE]; /* '0xcc0(GFP_KERNEL)' */
};

struct oom_kill {
	uint64_t seq; /* of the kill line */
	uint64_t usec;
	int64_t wall_us; /* when that line was received */
	int64_t pid; /* init's pid namespace; thread group leader, or its thread on old kernels */
	char comm[OOM_COMM_SIZE];
	int64_t victim[OOM_VICTIM_COUNT];
	int64_t chosen_pid; /* before 5.1: whose child this one is, if it was 'sacrificed' */
	enum oom_scope scope;
	char constraint[32];               /* 'CONSTRAINT_MEMCG'; "" before 5.0 */
	char limit_cgroup[OOM_PATH_SIZE];  /* whose limit: "" for a global kill or when not told */
	char victim_cgroup[OOM_PATH_SIZE]; /* where the victim lived */
	struct oom_trigger trigger;
	int64_t usage; /* the limiting cgroup's, KiB */
	int64_t limit;
	int64_t failcnt;
	int64_t swap_usage; /* v2: swap alone; v1: memory and swap together */
	int64_t swap_limit;
	bool swap_is_memsw;
	bool complete;     /* its report was seen, not the kill line alone */
	bool mixed;        /* another report was open at the same time: figures may be that one's */
	bool group_member; /* killed along: memory.oom.group of the cgroup is set */
	uint64_t leader_seq; /* of the kill that this one goes with (group_member) */
	int64_t stat[OOM_STAT_COUNT];
	int64_t host[OOM_HOST_COUNT];
	struct oom_task *tasks; /* the largest by rss, in the kernel's order; owned */
	size_t n_tasks;
	uint32_t tasks_seen; /* rows that the kernel printed */
};

/* 'Tasks in CGROUP are going to be killed': what follows a kill where memory.oom.group is set. */
struct oom_group {
	uint64_t leader_seq; /* of the kill that it follows; 0 = that line was lost */
	enum oom_scope scope;
	char cgroup[OOM_PATH_SIZE];       /* all below it dies; raw */
	char limit_cgroup[OOM_PATH_SIZE]; /* as in struct oom_kill */
};

/* All absent, all empty. */
void oom_kill_init(struct oom_kill *k);
/* Makes k one that goes with the group. */
void oom_kill_join(struct oom_kill *k, const struct oom_group *g);
/* Releases the table. */
void oom_kill_fini(struct oom_kill *k);
const char *oom_scope_name(enum oom_scope scope);
const char *oom_scope_help(enum oom_scope scope);
/* The victim's resident memory in KiB: the sum of what was printed; METRIC_ABSENT if nothing. */
int64_t oom_kill_rss(const struct oom_kill *k);
/* The row of a process, by pid or thread group; NULL when it was not kept. */
const struct oom_task *oom_kill_task(const struct oom_kill *k, int64_t pid);
/* The row with the largest rss; NULL without a table. */
const struct oom_task *oom_kill_largest(const struct oom_kill *k);

#endif
