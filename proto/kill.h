/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill.h - the words of a kill: what ended a process, how sure that is, and the figures that a
 * kill's record carries. One list each: wire numbers, the agent's verdicts, what the database and
 * REST say all come from here. Numbers go over the wire: rows are added at the end, none is moved.
 */
#ifndef MEMHERD_PROTO_KILL_H
#define MEMHERD_PROTO_KILL_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, word, oom, help): oom = a killer acted because memory was short. */
#define KILL_CAUSE_LIST(X)                                                                      \
	X(UNKNOWN, unknown, 0, "nothing is known of its end")                                   \
	X(KERNEL_GLOBAL, kernel_global, 1, "killed by the kernel: the host had no memory left") \
	X(KERNEL_MEMCG, kernel_memcg, 1, "killed by the kernel: a cgroup reached its limit")    \
	X(KERNEL_GROUP, kernel_group, 1,                                                        \
	  "killed by the kernel along with its cgroup (memory.oom.group)")                      \
	X(KERNEL_SYSRQ, kernel_sysrq, 1,                                                        \
	  "killed by the kernel because somebody asked for it (SysRq-f)")                       \
	X(KERNEL_OOM, kernel_oom, 1, "killed by the kernel for memory; whose limit is unknown") \
	X(SYSTEMD_OOMD, systemd_oomd, 1, "killed by systemd-oomd")                              \
	X(EARLYOOM, earlyoom, 1, "ended by earlyoom")                                           \
	X(NOHANG, nohang, 1, "ended by nohang")                                                 \
	X(OOMD, oomd, 1, "killed by oomd")                                                      \
	X(OWN_ACTION, own_action, 0, "ended by an action of memherd")                           \
	X(UNIT_STOP, unit_stop, 0, "stopped by the service manager")                            \
	X(WORKER_TIMEOUT, worker_timeout, 0, "ended by its master: it did not answer in time")  \
	X(PARENT_DIED, parent_died, 0, "ended with its parent")                                 \
	X(KILLED, killed, 0, "killed with SIGKILL; the sender is not known")                    \
	X(TERMINATED, terminated, 0, "ended by another signal; the sender is not known")        \
	X(CRASH, crash, 0, "crashed")                                                           \
	X(MEMORY_ERROR, memory_error, 0, "probably out of memory by its own limit")             \
	X(EXIT_CODE, exit_code, 0, "ended by itself with an error")                             \
	X(CLEAN_EXIT, clean_exit, 0, "ended by itself without an error")

enum kill_cause {
#define X(NAME, word, oom, help) KILL_CAUSE_##NAME,
	KILL_CAUSE_LIST(X)
#undef X
		KILL_CAUSE_COUNT
};

#define KILL_CONFIDENCE_LIST(X) \
	X(GUESS, guess)         \
	X(LIKELY, likely)       \
	X(CERTAIN, certain)

enum kill_confidence {
#define X(NAME, word) KILL_CONFIDENCE_##NAME,
	KILL_CONFIDENCE_LIST(X)
#undef X
		KILL_CONFIDENCE_COUNT
};

/* X(NAME, name): of one process in a kill's record. Memory in KiB; growth may be negative. */
#define KILL_FIGURE_LIST(X)         \
	X(RSS, rss)                 \
	X(ANON, anon)               \
	X(FILE, file)               \
	X(SHMEM, shmem)             \
	X(SWAP, swap)               \
	X(VSIZE, vsize)             \
	X(PAGE_TABLES, page_tables) \
	X(GROWN_1M, grown_1m)       \
	X(GROWN_10M, grown_10m)     \
	X(GROWN_60M, grown_60m)     \
	X(OOM_SCORE_ADJ, oom_score_adj) /* a count, not KiB */

enum kill_figure {
#define X(NAME, name) KILL_FIGURE_##NAME,
	KILL_FIGURE_LIST(X)
#undef X
		KILL_FIGURE_COUNT
};

/* X(NAME, name, is_kib): of the kill as a whole. limit and usage are the limiting cgroup's. */
#define KILL_TOTAL_LIST(X)                        \
	X(USAGE, usage, true)                     \
	X(LIMIT, limit, true)                     \
	X(FAILCNT, failcnt, false)                \
	X(SWAP_USAGE, swap_usage, true)           \
	X(SWAP_LIMIT, swap_limit, true)           \
	X(CG_ANON, cgroup_anon, true)             \
	X(CG_FILE, cgroup_file, true)             \
	X(CG_SHMEM, cgroup_shmem, true)           \
	X(CG_KERNEL, cgroup_kernel, true)         \
	X(HOST_TOTAL, host_total, true)           \
	X(HOST_AVAILABLE, host_available, true)   \
	X(HOST_SWAP_TOTAL, host_swap_total, true) \
	X(HOST_SWAP_FREE, host_swap_free, true)   \
	X(ORDER, order, false)                    \
	X(KILLS_SO_FAR, kills_so_far, false)

enum kill_total {
#define X(NAME, name, is_kib) KILL_TOTAL_##NAME,
	KILL_TOTAL_LIST(X)
#undef X
		KILL_TOTAL_COUNT
};

/* A figure that was not had. */
#define KILL_ABSENT INT64_MIN

/* The word of a cause, confidence or figure; NULL for a number that is none. */
const char *kill_cause_word(unsigned cause);
const char *kill_cause_help(unsigned cause);
/* Did a killer act because memory was short? */
bool kill_cause_is_oom(unsigned cause);
/* The cause of that word, or -1. */
int kill_cause_find(const char *word);
const char *kill_confidence_word(unsigned confidence);
const char *kill_figure_name(unsigned figure);
const char *kill_total_name(unsigned total);
bool kill_total_is_kib(unsigned total);

#endif
