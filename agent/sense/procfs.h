/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procfs.h - what the files of /proc say, as pure functions on bytes.
 *
 * Nothing here opens a file: callers read, these judge. Bytes may be hostile (a process calls
 * itself anything) or cut short; a number is only believed when its end was seen. Formats:
 * proc_pid_stat(5), proc_pid_statm(5), proc_pid_status(5), proc_pid_cgroup(5), proc_meminfo(5).
 */
#ifndef MEMHERD_AGENT_SENSE_PROCFS_H
#define MEMHERD_AGENT_SENSE_PROCFS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "proto/metric.h"

/* Pages. */
struct procfs_statm {
	uint64_t size;
	uint64_t resident;
	uint64_t shared;
};

struct procfs_stat {
	const char *comm; /* inside the caller's bytes, raw, not terminated */
	size_t comm_len;
	char state;
	uint32_t ppid;
	uint32_t flags; /* PROCFS_KTHREAD and others */
	uint64_t minflt;
	uint64_t majflt;
	uint64_t cpu_ticks; /* utime + stime */
	uint32_t threads;
	uint64_t start_ticks;
};
#define PROCFS_KTHREAD 0x00200000u /* PF_KTHREAD of the kernel's sched.h */

/* X(NAME, key): the lines of status that are read; the first number of each. */
#define PROCFS_STATUS_LIST(X)   \
	X(UID, "Uid")           \
	X(VMSIZE, "VmSize")     \
	X(VMRSS, "VmRSS")       \
	X(RSSANON, "RssAnon")   \
	X(RSSFILE, "RssFile")   \
	X(RSSSHMEM, "RssShmem") \
	X(VMSWAP, "VmSwap")     \
	X(THREADS, "Threads")

enum procfs_status_field {
#define X(NAME, key) PROCFS_##NAME,
	PROCFS_STATUS_LIST(X)
#undef X
		PROCFS_STATUS_COUNT
};

/* X(NAME, key): the lines of smaps_rollup, in kB. */
#define PROCFS_ROLLUP_LIST(X)             \
	X(RSS, "Rss")                     \
	X(PSS, "Pss")                     \
	X(PRIVATE_CLEAN, "Private_Clean") \
	X(PRIVATE_DIRTY, "Private_Dirty") \
	X(PRIVATE_HUGETLB, "Private_Hugetlb")

enum procfs_rollup_field {
#define X(NAME, key) PROCFS_ROLLUP_##NAME,
	PROCFS_ROLLUP_LIST(X)
#undef X
		PROCFS_ROLLUP_COUNT
};

#define PROCFS_PATH_MAX 512

/* The paths of a process in the hierarchies that matter, raw and possibly cut; "" = not there. */
struct procfs_cgroup {
	char unified[PROCFS_PATH_MAX]; /* cgroup v2, or the v2 tree of a hybrid host */
	char memory[PROCFS_PATH_MAX];  /* v1 memory controller */
	char systemd[PROCFS_PATH_MAX]; /* v1 name=systemd */
};

/* Each gives 0, -EBADMSG for bytes that are not such a file, -ERANGE for a number above 2^53. */
int procfs_parse_statm(const char *s, size_t len, struct procfs_statm *ret) must_use;
/* The name may hold ')' and newlines: fields are counted from the last ')'. */
int procfs_parse_stat(const char *s, size_t len, struct procfs_stat *ret) must_use;

/* These never fail: what is not there, cut or too large stays METRIC_ABSENT. */
void procfs_parse_status(const char *s, size_t len, int64_t v[PROCFS_STATUS_COUNT]);
void procfs_parse_rollup(const char *s, size_t len, int64_t v[PROCFS_ROLLUP_COUNT]);
/* In the host metrics of proto/metric.h; HOST_METRIC_PROCESSES is left absent. */
void procfs_parse_meminfo(const char *s, size_t len, int64_t v[HOST_METRIC_COUNT]);
void procfs_parse_cgroup(const char *s, size_t len, struct procfs_cgroup *ret);
/* The one path to show: v2 unless it is the root, else the memory or systemd hierarchy's. */
const char *procfs_cgroup_path(const struct procfs_cgroup *cg);

/* A value or limit of a cgroup file in bytes: -ENODATA for 'max' and for v1's 'no limit' (any
 * number of 2^53 and above), -EBADMSG for anything else that is no number. */
int procfs_parse_limit(const char *s, size_t len, int64_t *ret) must_use;

#endif
