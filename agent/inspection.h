/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspection.h - what 'memherd-agent inspect' found out of one process, between its parts:
 * inspect.c has the command, inspect_gather.c and inspect_python.c fill this in, inspect_show.c
 * prints it.
 */
#ifndef MEMHERD_AGENT_INSPECTION_H
#define MEMHERD_AGENT_INSPECTION_H

#include "agent/python/gcstat.h"
#include "agent/sense/describe.h"
#include "common/buf.h"
#include "proto/census.h"

#define INSPECTION_NOTES 12

struct inspect_options {
	uint32_t pid;
	bool json;
	bool census;
	const char *proc_path;
};

/* One interpreter's collector; frozen is METRIC_ABSENT when it was not had. */
struct inspection_interpreter {
	struct gcstat gc;
	int64_t frozen;
};

struct inspection_python {
	enum python_state state;
	struct runtime runtime; /* of a readable one */
	unsigned n;
	struct inspection_interpreter interpreters[RUNTIME_MAX_INTERPRETERS];
};

/* Bytes and counts; METRIC_ABSENT = not had, a note says why. */
struct inspection {
	uint32_t pid;
	struct description who;
	int64_t start_us;
	int64_t rss;
	int64_t pss;
	int64_t uss;
	int64_t swap;
	int64_t limit;
	int64_t threads;
	int64_t fds;
	char libc[32];                  /* "" = not had */
	int64_t parts[HEAP_PART_COUNT]; /* of its memory; HEAP_ABSENT */
	struct inspection_python python;
	char notes[INSPECTION_NOTES][160];
	size_t n_notes;
	struct buf census; /* encoded; empty where there is none */
};

void inspection_note(struct inspection *in, const char *fmt, ...) printf_like(2, 3);

/* -ENOENT or -ESRCH: no such process. */
int inspection_gather(const struct inspect_options *o, struct inspection *in,
		      struct error *err) must_use;
void inspection_read_python(struct inspection *in);
void inspection_fini(struct inspection *in);

void inspection_print_json(const struct inspection *in);
void inspection_print_human(const struct inspection *in);

#endif
