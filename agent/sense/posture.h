/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posture.h - what on this host will make an out-of-memory situation worse, or keep us from seeing
 * it: named blind spots, each with its fix. posture_judge() is pure and driven by one table;
 * posture_gather() (posture_gather.c) reads the facts.
 */
#ifndef MEMHERD_AGENT_SENSE_POSTURE_H
#define MEMHERD_AGENT_SENSE_POSTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/hoststat.h"
#include "common/check.h"

/* A fact that could not be found out. No finding rests on it. */
#define POSTURE_UNKNOWN METRIC_ABSENT

/* X(name): KiB, counts, settings as the kernel has them, or 0/1. The first part is gathered, the
 * second the caller's. */
#define POSTURE_GATHERED_LIST(X)                                                             \
	X(mem_total)                                                                         \
	X(swap_total)                                                                        \
	X(zram_devices)                                                                      \
	X(overcommit)                                                                        \
	X(swappiness)                                                                        \
	X(panic_on_oom)                                                                      \
	X(kill_allocating) /* vm.oom_kill_allocating_task */                                 \
	X(dump_tasks)      /* vm.oom_dump_tasks */                                           \
	X(dmesg_restrict)                                                                    \
	X(kmsg_readable)                                                                     \
	X(psi)             /* 0 = off, 1 = there */                                          \
	X(hidepid)         /* 0 to 4, of proc's mount options */                             \
	X(rollup_readable) /* smaps_rollup of pid 1; a caller that has read others' may know \
			      better */                                                      \
	X(rollup_there)    /* smaps_rollup of our own process: the kernel has it */          \
	X(tracefs)         /* the event oom/mark_victim may be read */                       \
	X(journal_readable)                                                                  \
	X(cgroup_version) /* 0, 1, 2 */                                                      \
	X(sshd_score_adj) /* oom_score_adj */                                                \
	X(own_score_adj)
#define POSTURE_GIVEN_LIST(X)                                        \
	X(proc_connector) /* 1 = exits of all processes are heard */ \
	X(services)                                                  \
	X(services_unlimited) /* of these, without any limit */      \
	X(containers)                                                \
	X(containers_unlimited)

struct posture_facts {
#define X(name) int64_t name;
	POSTURE_GATHERED_LIST(X)
	POSTURE_GIVEN_LIST(X)
#undef X
};

enum posture_severity { POSTURE_INFO, POSTURE_WARN, POSTURE_BAD };

struct posture_finding {
	const char *code; /* 'no_swap'; constant, as are severity and fix */
	enum posture_severity severity;
	char text[192]; /* a sentence */
	const char *fix;
};

/* There are no more findings than rows. */
#define POSTURE_MAX 32u

void posture_clear(struct posture_facts *f); /* all unknown */
/* The findings, the worst first; how many (at most max). */
size_t posture_judge(const struct posture_facts *f, struct posture_finding *out, size_t max);
/* 'info', 'warn', 'bad'. */
const char *posture_word(enum posture_severity s);

/* Folders and files as they are on a host; a test gives its own. */
struct posture_paths {
	const char *proc;       /* /proc */
	const char *sys_block;  /* /sys/block */
	const char *kmsg;       /* /dev/kmsg */
	const char *tracing;    /* /sys/kernel/tracing */
	const char *journal[2]; /* /var/log/journal, /run/log/journal */
};
extern const struct posture_paths posture_system_paths;

/* Fills the gathered facts, leaves the given ones. Reads some 30 files and one pass over the names
 * of processes (for sshd): for the start and once an hour. */
void posture_gather(const struct posture_paths *paths, struct posture_facts *f);

#endif
