/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pauses.h - watches the collections of one CPython process as they happen, by the probes of
 * probe.h in each of its threads, until the caller has enough. The process is not stopped; when
 * the watcher dies the probes are gone with it.
 */
#ifndef MEMHERD_AGENT_PYTHON_PAUSES_H
#define MEMHERD_AGENT_PYTHON_PAUSES_H

#include "agent/python/pause_list.h"
#include "agent/python/probe.h"
#include "agent/python/probe_event.h"

/* In all the time, and about: a probe costs so much to take out that those of ended threads wait
 * for the end, and that end shall come within half a minute. */
#define PAUSES_THREADS_MAX 128u
#define PAUSES_PROBES_MAX  256u
/* What the two probes of a collection cost the target, at most: 3 us (USDT) to 7 us measured
 * in a loop, more where caches are cold. */
#define PAUSES_COST_NS 15000

struct pauses_thread {
	struct probe_ring ring;
	struct pairing pairing;
	bool ended; /* its memory is gone, its descriptors wait for the end */
};

struct pauses {
	pid_t pid;
	int pidfd;
	int type;
	struct probe_points points;
	struct pauses_thread *threads;
	unsigned n_threads;
	int64_t scanned_ns;    /* when threads were last looked for */
	int64_t learned_ns;    /* when a place was last added to the points */
	bool too_many_threads; /* some are not watched */
	bool cannot_learn;     /* a place that collections return to cannot be probed */

	struct pause_list kept; /* since every thread is watched, in the order of their ends */
	uint64_t lost;          /* records that did not fit into a ring */
	uint64_t hits;          /* of any probe: what the target paid for */
};

/* image as probe_find(). Finds the probe points and attaches to each thread; err is a sentence. The
 * caller ends it with pauses_close(), also after a failure. */
int pauses_open(struct pauses *p, pid_t pid, uint64_t image, struct error *err) must_use;
/* Waits at most that long and takes what was told. 0, -ESRCH when the process has ended, or
 * -EINTR. */
int pauses_step(struct pauses *p, int timeout_ms) must_use;
/* Takes the rest. The count of those that still run, the oldest's start in ret_since_ns. */
unsigned pauses_finish(struct pauses *p, int64_t *ret_since_ns);
/* How many probes pauses_close() has to take out, see probe_ring_close(). */
unsigned pauses_probes(const struct pauses *p);
void pauses_close(struct pauses *p);

#endif
