/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strain.h - the kernel's word that memory is short: a PSI trigger on the whole host, and the
 * figures that pulse.h judges. Without PSI, or without the right to a trigger, the averages are
 * read all the same, and twice as often. Source: Documentation/accounting/psi.rst.
 *
 * A window of 2 s: for others than root the kernel takes only multiples of it.
 */
#ifndef MEMHERD_AGENT_SENSE_STRAIN_H
#define MEMHERD_AGENT_SENSE_STRAIN_H

#include "agent/sense/cgroup_tree.h"
#include "agent/sense/procdir.h"
#include "agent/sense/pulse.h"

/* Some task waited 100 ms within 2 s. */
#define STRAIN_TRIGGER "some 100000 2000000"

struct event;
struct event_base;

typedef void strain_on_fired(void *arg);

struct strain {
	int fd;    /* /proc/pressure/memory with our trigger; -1 = none */
	int epoll; /* libevent waits for no POLLPRI: this becomes readable when it comes */
	struct event *ready;
	strain_on_fired *on_fired;
	void *arg;
	bool fired;
	int64_t t_us[CGROUP_MAX]; /* when usage was noted; 0 = not */
	int64_t usage[CGROUP_MAX];
};

/* Sets a trigger; false when there can be none (that is for the posture to say). */
bool strain_watch(struct strain *p, struct event_base *base, const char *proc_path,
		  strain_on_fired *on_fired, void *arg);
void strain_end(struct strain *p);
/* Is there a trigger? */
bool strain_watches(const struct strain *p);
/* Since the last call? */
bool strain_fired(struct strain *p);

/* Available and total memory and the pressure's average into b. */
void strain_read(const struct procdir *d, struct pulse_beat *b);
/* Each cgroup with a limit of its own, since the last call; as pulse_cgroup(). */
bool strain_cgroups(struct strain *p, const struct cgroup_tree *t, struct pulse *pulse,
		    int64_t boot_us, char why[PULSE_WHY_SIZE]);

#endif
