/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - follows the kernel's log record by record and tells of each kill for memory as soon
 * as its kill line is there, with all that the report before it said. Formats: mm/oom_kill.c,
 * mm/memcontrol.c and mm/show_mem.c of the kernels from 2.6.32 to 7.x; which of them is never
 * asked.
 *
 * Owner: whoever reads /dev/kmsg, one watch a boot. No descriptor, no clock, no log. Memory is
 * taken only while a report is open: two reports of at most 20 KiB.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_REPORT_H
#define MEMHERD_AGENT_SENSE_OOM_REPORT_H

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/killers.h"
#include "agent/sense/oom/kmsg.h"

/* X(NAME, help) */
#define OOM_EVENT_LIST(X)                                                                \
	X(KILL, "the kernel killed a process")                                           \
	X(AGAIN, "it named the same victim once more: counted again in /proc/vmstat")    \
	X(GROUP, "all processes of a cgroup follow (memory.oom.group)")                  \
	X(REAPED, "the memory of a victim was taken before its end")                     \
	X(EXITING, "a victim was already on its way out and was left alone")             \
	X(NO_VICTIM, "nobody could be killed")                                           \
	X(CRASH, "a process did what the processor refuses: segmentation fault and kin") \
	X(KILLER, "a killer in user space wrote to the kernel's log")

enum oom_event_kind {
#define X(NAME, help) OOM_EVENT_##NAME,
	OOM_EVENT_LIST(X)
#undef X
		OOM_EVENT_COUNT
};

/* What the smaller events say. */
struct oom_note {
	int64_t pid; /* METRIC_ABSENT: none named */
	char comm[OOM_COMM_SIZE];
	char text[OOM_PATH_SIZE]; /* CRASH: the line, raw; NO_VICTIM: the cgroup, raw; else "" */
};

struct oom_event {
	enum oom_event_kind kind;
	uint64_t seq;
	uint64_t usec;
	int64_t wall_us;
	union {
		struct oom_kill kill; /* KILL: the receiver calls oom_kill_fini() */
		struct oom_group group;
		struct oom_note note;
		struct killer_note killer;
	};
};

struct oom_watch;

/* page_size in bytes: the task table counts pages. -ENOMEM when there is no memory. */
int oom_watch_new(struct oom_watch **ret, int64_t page_size) must_use;
void oom_watch_free(struct oom_watch **w);

/*
 * The next record, in order; now_us is the wall clock at its receipt. True with one event in *ret,
 * else false and *ret is not written. Without memory a kill is told as if its report had been lost.
 */
bool oom_watch_feed(struct oom_watch *w, const struct kmsg_record *rec, int64_t now_us,
		    struct oom_event *ret) must_use;
/* Records were lost: what is open is dropped. */
void oom_watch_gap(struct oom_watch *w);
/* Bytes that the watch holds now. */
size_t oom_watch_size(const struct oom_watch *w);

const char *oom_event_help(enum oom_event_kind kind);

#endif
