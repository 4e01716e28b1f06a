/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspection.h - what 'memherd-agent inspect' found out of one process, between its parts:
 * inspect.c has the command, inspect_gather.c and inspect_python.c fill this in, inspect_verdict.c
 * watches and judges, inspect_show.c prints it.
 */
#ifndef MEMHERD_AGENT_INSPECTION_H
#define MEMHERD_AGENT_INSPECTION_H

#include "agent/python/gcstat.h"
#include "agent/sense/describe.h"
#include "common/buf.h"
#include "proto/census.h"
#include "proto/leak.h"

#define INSPECTION_NOTES 12

struct inspect_options {
	uint32_t pid;
	bool json;
	bool census;
	unsigned seconds; /* to watch it; 0 = one look */
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

/* The first of two looks, and what was sampled since. */
struct inspection_past {
	int64_t began_us; /* clock_boot_us(); 0 = there was one look */
	struct trend_point samples[LEAK_SERIES][TREND_POINTS];
	size_t n[LEAK_SERIES];
	int64_t parts[HEAP_PART_COUNT];
	unsigned collectors; /* 0 = gc was not had */
	struct gcstat gc;    /* of the main interpreter */
	struct buf census;
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
	struct inspection_past past;
};

void inspection_note(struct inspection *in, const char *fmt, ...) printf_like(2, 3);

/* -ENOENT or -ESRCH: no such process. */
int inspection_gather(const struct inspect_options *o, struct inspection *in,
		      struct error *err) must_use;
void inspection_read_python(struct inspection *in);
/* After the interpreter is known: its version says how its pools look. */
void inspection_read_heap(struct inspection *in);
/* Takes the first look and then samples, for o->seconds. -ENOENT or -ESRCH: it has ended. */
int inspection_watch(const struct inspect_options *o, const struct procdir *d,
		     struct inspection *in) must_use;
void inspection_fini(struct inspection *in);

void inspection_print_json(const struct inspection *in);
void inspection_print_human(const struct inspection *in);
/* Why it grows: lines for a person; one JSON value. */
void inspection_print_verdict(const struct inspection *in);
void inspection_write_verdict(const struct inspection *in);

#endif
