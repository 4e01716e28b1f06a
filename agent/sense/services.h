/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.h - the services of this host: their names once, their live processes, their workers'
 * slots, how often each began anew, and which are expected and not there.
 *
 * Owned by the sampler; a process holds an index and a slot. Bounded: at the maximum the service
 * that has been gone for longest makes room; when all live, a process is SERVICES_NONE and counted
 * in refused (its name is still told, but it has no slot). Pure: the caller gives the time and
 * sends what services_sweep() tells.
 */
#ifndef MEMHERD_AGENT_SENSE_SERVICES_H
#define MEMHERD_AGENT_SENSE_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "proto/wire.h"

#define SERVICES_NONE     0u
#define SERVICES_MAX      1024u
#define SERVICES_EXPECTED 64u
/* Beyond them a worker has no slot. */
#define SERVICES_SLOT_MAX (WIRE_MAX_PROCESSES - 1u)

struct service {
	char *name; /* NULL = free */
	uint32_t hash;
	uint32_t live;        /* processes now */
	uint32_t starts;      /* processes ever */
	uint32_t incarnation; /* from 1; more when it came back from none or got another master */
	uint32_t master_pid;  /* the last one that joined; 0 = none yet */
	uint32_t last_pid;    /* that left last; 0 = none yet */
	int64_t first_us;     /* since boot, as all times here */
	int64_t last_us;      /* when last_pid left */
	uint64_t expected;    /* bit i: matches expectation i */
	uint64_t *slots;      /* bit n - 1: slot n is taken */
	uint32_t slot_words;
};

/* One word of the option expected_services: a name or a glob. */
struct expectation {
	char *pattern;
	int64_t since_us; /* nothing of it since then; while some lives: the last sweep */
	uint32_t last_pid;
	uint32_t incarnation;
	bool seen; /* ever */
	bool told; /* as absent */
};

struct services {
	struct service *all; /* by index - 1 */
	uint32_t cap;
	uint32_t count;
	uint32_t max;
	uint64_t refused;
	struct expectation expected[SERVICES_EXPECTED];
	uint32_t n_expected;
	int64_t absent_after_us;
};

/* An expected service that went or came: an event to send. */
struct service_change {
	bool back; /* else absent */
	bool never_seen;
	const char *pattern;  /* good until services_fini() */
	int64_t since_us;     /* since boot: when it was last there, or when watching began */
	uint32_t last_pid;    /* 0 = none known */
	uint32_t incarnation; /* of the service that came back; 0 = absent */
};

void services_init(struct services *s, uint32_t max);
void services_fini(struct services *s);

/* Whether words, separated by blanks, commas or newlines, will do as expected_services: at most
 * SERVICES_EXPECTED of them, each at most WIRE_NAME_MAX bytes. */
bool services_expectable(const char *words);
/* Before the first join. -EINVAL, -ENOMEM. */
int services_expect(struct services *s, const char *words, int64_t absent_after_us,
		    int64_t now_us) must_use;

/* A process of that name begins, or is found: its index, and for a worker the lowest free slot.
 * SERVICES_NONE when it does not fit; *ret_slot is 0 where there is none. */
uint16_t services_join(struct services *s, const char *name, enum wire_role role, uint32_t pid,
		       int64_t now_us, uint16_t *ret_slot) must_use;
/* The process that joined so is no more, or belongs elsewhere now. */
void services_leave(struct services *s, uint16_t index, uint16_t slot, uint32_t pid,
		    int64_t now_us);
/* Its role is another now: its slot, 0 = none. A worker keeps the slot that it had. */
uint16_t services_role(struct services *s, uint16_t index, enum wire_role role, uint32_t pid,
		       uint16_t slot) must_use;

/* NULL for SERVICES_NONE; good until the next join. */
const struct service *services_get(const struct services *s, uint16_t index);
/* SERVICES_NONE when no service has that name. */
uint16_t services_find(const struct services *s, const char *name);

/* What changed with the expected ones since the last sweep; at most SERVICES_EXPECTED. Each absence
 * and each return is told once. */
size_t services_sweep(struct services *s, int64_t now_us,
		      struct service_change out[SERVICES_EXPECTED]);

#endif
