/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.h - one report of the kernel while it is being printed: from 'invoked oom-killer' up to the
 * kill line. Pure. Only report.c uses it: it knows which records are whose.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_DUMP_H
#define MEMHERD_AGENT_SENSE_OOM_DUMP_H

#include "agent/sense/oom/figures.h"
#include "agent/sense/oom/kmsg.h"
#include "agent/sense/oom/lines.h"

/* Longest line that the kernel prints in pieces: two paths, and a printk's limit of 1 KiB. */
#define DUMP_LINE_SIZE 1100

enum dump_section { DUMP_HEAD, DUMP_CGROUP, DUMP_HOST, DUMP_TABLE };

/* One open report. Its owner reads it, and sets headed, last_usec, kill.trigger and kill.mixed. */
struct dump {
	struct oom_kill kill; /* all but the victim */
	uint64_t first_usec;
	uint64_t last_usec;
	char caller[sizeof(((struct kmsg_record *)0)->caller)];
	enum dump_section section;
	bool headed;    /* 'invoked oom-killer' was seen */
	bool told;      /* an oom-kill: line was seen: the three below are set */
	int64_t pid;    /* whom it names */
	int64_t uid;    /* METRIC_ABSENT: not named */
	size_t mid_len; /* line_oom's middle */
	char middle[DUMP_LINE_SIZE];
	char line[DUMP_LINE_SIZE]; /* the last line that may be continued by a fragment */
	size_t line_len;
	int64_t stat_before[OOM_STAT_COUNT]; /* .. and the figures before it */
	struct figures_header header;
	int64_t min_rss; /* of the rows, once all places are taken */
	size_t n_rows;
	struct oom_task rows[OOM_MAX_TASKS];
};

/* Begun by this record; NULL without memory. free() releases it. */
struct dump *dump_new(const struct kmsg_record *rec) must_use;
/* The line that the record is or completes; it may point into buf. */
struct text dump_join(struct dump *d, const struct kmsg_record *rec,
		      char buf[DUMP_LINE_SIZE]) must_use;
/* What the line says of the host, the cgroup, the trigger's pid and the tasks. */
void dump_read(struct dump *d, struct text line, int64_t page_kib);
/* True when what was read so far cannot be of a kill with this oom-kill: line. */
bool dump_conflicts(const struct dump *d, const struct line_oom *l);
void dump_take_oom(struct dump *d, const struct line_oom *l);
/* All that the report says of the kill that this line tells; the line's own figures are not in it.
 * The table is a copy, which is left out when there is no memory. */
void dump_finish(const struct dump *d, const struct line_kill *l, struct oom_kill *ret);

#endif
