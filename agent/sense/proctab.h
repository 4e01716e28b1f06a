/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proctab.h - the processes of the host, flat: an array indexed by id with an open-addressing index
 * by pid. Ids are the wire's: small, the lowest free one first, reused after a process is removed.
 *
 * A pointer is good until the next proctab_add() or proctab_shrink(), which may move the array.
 * About 120 bytes a process, the index included.
 */
#ifndef MEMHERD_AGENT_SENSE_PROCTAB_H
#define MEMHERD_AGENT_SENSE_PROCTAB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "proto/metric.h"

#define PROC_NO_ID UINT32_MAX
/* A 32-bit figure that was not had. KiB then reach to 4 TiB. */
#define PROC_ABSENT UINT32_MAX

#define PROC_NO_CGROUP UINT16_MAX

/* struct proc's 'python' beside a place in pythons.h's list, from 1. */
#define PROC_PYTHON_UNSEEN 0          /* not looked at yet */
#define PROC_NO_PYTHON     UINT16_MAX /* looked at: none */

enum proc_kind {
	PROC_FREE,   /* no process has this id */
	PROC_LIVE,   /* sampled */
	PROC_KERNEL, /* a kernel thread: has no memory of its own, never read again */
	PROC_DEAD,   /* a zombie: ended, waiting for its parent */
	PROC_BEYOND, /* above max_processes: counted as skipped, admitted when there is room */
	PROC_HIDDEN, /* its files may not be read (hidepid): counted as skipped */
};

struct proc {
	uint64_t ino; /* of its folder: with pid, the identity */
	uint64_t start_ticks;
	uint64_t size;   /* pages, as statm had it */
	uint64_t minflt; /* UINT64_MAX = not had */
	uint64_t majflt;
	uint64_t cpu_ms;
	uint32_t resident; /* pages, as statm had it */
	uint32_t shared;
	uint32_t rss; /* KiB */
	uint32_t anon;
	uint32_t file;
	uint32_t shmem;
	uint32_t swap;
	uint32_t threads;
	uint32_t fds;
	uint32_t pid;
	uint32_t seen;      /* the round that last saw it */
	uint32_t comm_hash; /* of stat's name */
	uint32_t program;   /* struct description's, once announced */
	uint16_t cgroup;    /* id in the cgroup tree; PROC_NO_CGROUP = none */
	uint16_t service;   /* index of services.h, 0 = not filed yet */
	uint16_t slot;      /* of a worker; 0 = none */
	uint16_t entry;     /* hash of what it runs, the same for a master and its workers */
	uint16_t moved;     /* hash of its cgroup's path, once announced */
	uint16_t python;    /* its interpreter (pythons.h) */
	uint8_t kind;       /* enum proc_kind */
	uint8_t young;      /* rounds since it was born, from 1; 0 = all looks were taken */
	unsigned role : 2;  /* enum wire_role */
	bool active : 1;    /* used CPU or changed its memory when last read */
	bool announced : 1; /* the collector knows its id in the present run of ticks */
	bool told : 1;      /* its strings were sent in this stream */
	bool fresh : 1;     /* started while the agent watched */
	bool again : 1;     /* to be told again: it has another role, or its container a name */
	bool heir : 1;      /* goes on under a new id: the flight ring knows its past */
	bool killer : 1;    /* ends others when memory is short: earlyoom and its like */
	bool ended : 1;     /* leaves the table at the end of this round */
	uint32_t parent;    /* pid, as stat had it */
};

struct proctab {
	struct proc *procs;
	uint32_t cap;
	uint32_t high;     /* ids are below this */
	uint32_t low_free; /* no free id is below this */
	uint32_t count;    /* entries in use */
	uint32_t max;
	uint32_t *index; /* id + 1 by hash of the pid; 0 = empty */
	uint32_t index_mask;
};

void proctab_init(struct proctab *t, uint32_t max_entries);
void proctab_fini(struct proctab *t);

/* The id of that pid, or PROC_NO_ID. */
uint32_t proctab_find(const struct proctab *t, uint32_t pid);
/* A new zeroed entry for a pid that is not there, of kind PROC_LIVE, its figures absent; -ENOSPC at
 * the maximum, -ENOMEM. */
int proctab_add(struct proctab *t, uint32_t pid, uint32_t *ret_id) must_use;
void proctab_remove(struct proctab *t, uint32_t id);
/* Gives back what thousands of processes took that are gone. Ids stay. */
void proctab_shrink(struct proctab *t);
/* Gives the process of id a new id, as the wire needs it when its strings change: the new entry is
 * a copy and is what the pid now finds; the old one stays, to be removed by the caller. */
int proctab_split(struct proctab *t, uint32_t id, uint32_t *ret_id) must_use;

/* Forgets all but the pid: another process has taken it. */
void proc_reset(struct proc *p);
/* The figures in the order and units of the wire. */
void proc_values(const struct proc *p, unsigned page_kib, int64_t v[METRIC_COUNT]);

#endif
