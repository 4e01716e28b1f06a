/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_event.h - uprobes by perf_event_open(2), bound to one thread each, with one ring of records
 * a thread. Nothing outside the target is probed and the target is not stopped; all of it ends
 * with the descriptors, so also when their owner is killed.
 *
 * Why a thread at a time: a uprobe event that is inherited would be made anew inside the target's
 * clone(2), with the target's rights and addresses, and fail it (seen on Linux 6.18: 'can't start
 * new thread'). New threads are told of instead, by an event that is not a probe, and get their
 * own.
 */
#ifndef MEMHERD_AGENT_PYTHON_PROBE_EVENT_H
#define MEMHERD_AGENT_PYTHON_PROBE_EVENT_H

#include "agent/python/probe.h"

struct probe_hit {
	int64_t t_ns; /* CLOCK_MONOTONIC */
	uint64_t address;
	struct hit_state state;
};

enum probe_record { PROBE_HIT, PROBE_LOST };

struct probe_ring {
	int fds[PROBE_POINTS_MAX]; /* by point; the first has the ring */
	unsigned n_fds;
	pid_t tid;
	void *pages;
	size_t size; /* of the data, a power of two */
	int births;  /* readable at once when the thread has begun another; -1 = not had */
	void *birth_pages;
};

/* The kernel's number for uprobes; -ENOENT: it has none. */
int probe_event_type(struct error *err) must_use;

/* Probes a thread at all points there are so far; pages of data is a power of two. -ESRCH when the
 * thread has ended; else err is a sentence for people. To be closed after a failure, too. */
int probe_ring_open(struct probe_ring *r, int type, pid_t tid, const struct probe_points *p,
		    unsigned pages, struct error *err) must_use;
/* At the points that were learned since. */
int probe_ring_extend(struct probe_ring *r, int type, const struct probe_points *p,
		      struct error *err) must_use;
/* Lets go of its memory; the descriptors stay. */
void probe_ring_unmap(struct probe_ring *r);
/*
 * Slow: the kernel waits for a grace period at each probe (48 to 90 ms measured on Linux 6.18), and
 * opens none meanwhile.
 */
void probe_ring_close(struct probe_ring *r);

/* Forgets the births there were. */
void probe_ring_take_births(struct probe_ring *r);

/* Each record, in order. PROBE_HIT: the hit, whose stack lives as long as the call; PROBE_LOST: how
 * many. */
struct probe_sink {
	void *owner;
	void (*on_record)(void *owner, struct probe_ring *r, enum probe_record what,
			  const struct probe_hit *hit, uint64_t lost);
};
void probe_ring_drain(struct probe_ring *r, const struct probe_points *p,
		      const struct probe_sink *sink);

#endif
