/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pythons.h - the interpreters of the host: which processes are CPython, and what their cycle
 * collectors did, read from outside in each round.
 *
 * A process is looked at once (its maps, and the symbols that it has mapped: some 50 to 300 us), as
 * many in a round as a budget of CPU time allows, the rest in the next. From then on a round costs
 * about 1 us for each interpreter. A process that is no Python is looked at again once in
 * PYTHONS_AGAIN rounds, since a library may bring an interpreter along, and after an exec.
 *
 * A process is found by struct proc's 'python'. State is some 700 bytes for a process with an
 * interpreter and none for others. Owned by the ticker; reads other processes' memory
 * (agent/python), knows no socket and no wire.
 */
#ifndef MEMHERD_AGENT_SENSE_PYTHONS_H
#define MEMHERD_AGENT_SENSE_PYTHONS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python/gcstat.h"
#include "agent/sense/gcnews.h"
#include "agent/sense/proctab.h"

#define PYTHONS_LOOK_US 20000 /* CPU time for looks in one round: what began is finished */
#define PYTHONS_AGAIN   360u  /* rounds: no Python, or may not be read */
#define PYTHONS_SOON    30u   /* rounds: of an interpreter that could not be read */
#define PYTHONS_SLOW    6u    /* rounds between two looks at the list of interpreters */
#define PYTHONS_FROZEN  30u   /* rounds between two counts of what is frozen */
#define PYTHONS_MAX     20000u
/* Objects that are counted at most; where more are frozen, their number is absent. */
#define PYTHONS_FROZEN_MAX 20000u

/* One interpreter, as last read. */
struct python_interpreter {
	uint64_t address;
	struct gcstat stat;
	int64_t frozen; /* METRIC_ABSENT */
	bool had;       /* stat was read */
	uint16_t place; /* in struct interpreters, + 1; 0 = none */
};

struct python {
	uint32_t state;         /* enum python_state */
	uint32_t age;           /* rounds since it was found */
	uint32_t wait;          /* rounds until the next look, where it cannot be read */
	struct runtime runtime; /* of one that can be read */
	struct python_interpreter main;
	struct python_interpreter *subs; /* beside it */
	unsigned n_subs;
	uint64_t ended[GC_COUNTERS]; /* what interpreters had counted that are no more */
	uint64_t sums[GC_COUNTERS];  /* of all, those that ended too */
	struct gcnews news;
};

struct pythons {
	struct python **list; /* by struct proc's 'python' - 1 */
	uint16_t n;           /* entries in use are below */
	uint16_t cap;
	bool enabled;    /* the processes that /proc shows are ours to read */
	uint32_t cursor; /* where looking goes on */
	/* for the agent's own account */
	uint64_t looks;
	int64_t spent_us; /* CPU time in looks and readings */
	uint32_t readable;
};

/* Told of what changed in a process's collector. */
typedef void pythons_on_news(void *arg, const struct proc *p, const struct gcnews_item *item);

void pythons_init(struct pythons *ps, bool enabled);
void pythons_fini(struct pythons *ps);

/* Reads all that are known and looks at others; on_news may be NULL. look: new ones too. */
void pythons_round(struct pythons *ps, struct proctab *tab, uint32_t round, bool look,
		   int64_t boot_us, pythons_on_news *on_news, void *arg);
/* It ended. */
void pythons_exit(struct pythons *ps, struct proc *p);

/* The figures of a process into v; what is not Python's is left alone. */
void pythons_values(const struct pythons *ps, const struct proc *p, int64_t v[METRIC_COUNT]);
/* How many interpreters have figures of their own: 0 where there is one, whose are the process's.
 * 3.8 has one collector for all. */
unsigned pythons_alone(const struct python *py);
/* The i-th of those, the main one first. */
struct python_interpreter *pythons_interpreter(struct python *py, unsigned i);
void pythons_interpreter_values(const struct python_interpreter *in,
				int64_t v[INTERPRETER_METRIC_COUNT]);
/* NULL when the process is none, or was not looked at yet. */
struct python *pythons_find(const struct pythons *ps, const struct proc *p);

#endif
