/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc_watch.h - watches the collections of one process by the best way there is: the interpreter's
 * own record of its pauses, probes, or no more than its counters. Says on stderr, before, what it
 * will cost the process.
 */
#ifndef MEMHERD_AGENT_GC_WATCH_H
#define MEMHERD_AGENT_GC_WATCH_H

#include <signal.h>
#include <sys/types.h>

#include "agent/gc_report.h"
#include "agent/python/pauses.h"
#include "common/error.h"

struct gc_request {
	pid_t pid;
	int64_t seconds;
	bool force; /* whatever it costs */
	/* set by a signal: end now and tell what there is */
	const volatile sig_atomic_t *interrupted;
};

/* What the report's pauses are in, and the probes until gc_session_fini(), which may be slow. */
struct gc_session {
	struct pause_list list;
	struct pauses pauses;
};

void gc_session_init(struct gc_session *s);
void gc_session_fini(struct gc_session *s);

/* Fills the report. -ESRCH; -ENOTSUP: no CPython that can be watched; -EACCES, -EPERM; -EDQUOT: it
 * would cost too much. */
int gc_watch(const struct gc_request *q, struct gc_session *s, struct gc_report *ret,
	     struct error *err) must_use;

#endif
