/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks.h - victims as the tracepoint oom:mark_victim names them, also those of whom the kernel's
 * log says nothing (a victim already on its way out, a log that dropped lines). Lines come from the
 * trace_pipe of an instance in which nothing else is on (agent/inherit.h); it is not owned here.
 * Formats: include/trace/events/oom.h; the pid alone, since 6.9 (and 6.1.y) with figures.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_MARKS_H
#define MEMHERD_AGENT_SENSE_OOM_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/kill.h"
#include "common/check.h"

struct mark {
	int64_t pid;
	char comm[OOM_COMM_SIZE];         /* raw; "" when the kernel tells the pid alone */
	int64_t victim[OOM_VICTIM_COUNT]; /* as in a kill line */
};

/* One line of the pipe; false when it is not a mark. The task that the line begins with and the
 * victim choose their names: neither is long enough to look like the words around them. */
bool mark_parse(const char *line, size_t len, struct mark *ret) must_use;
/* 'CPU:1 [LOST 23 EVENTS]': how many, else 0. */
int64_t mark_parse_lost(const char *line, size_t len) must_use;

#define MARKS_LINE_MAX 512

struct marks_reader {
	int fd;
	size_t len; /* of what has been read */
	size_t pos; /* of what has been told */
	bool cut;   /* the line was longer than the buffer: the rest is dropped */
	char data[MARKS_LINE_MAX];
};

enum marks_result {
	MARKS_NONE = 0,
	MARKS_MARK = 1,
	MARKS_OTHER = 2, /* go on */
};
void marks_init(struct marks_reader *r, int fd);
/* The next mark. ret_lost: marks that the kernel had to drop before it, else 0. -errno: the pipe is
 * of no more use. */
int marks_next(struct marks_reader *r, struct mark *ret, int64_t *ret_lost) must_use;

#endif
