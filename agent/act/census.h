/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census.h - the action 'census': counts the objects of a Python process by type, in a disposable
 * worker, of a copy-on-write snapshot (inject/snapshot.h), while it is stopped, or while it runs.
 */
#ifndef MEMHERD_AGENT_ACT_CENSUS_H
#define MEMHERD_AGENT_ACT_CENSUS_H

#include "agent/act/action.h"
#include "proto/wire.h"

/* Of the encoded census: as much as a record may have. */
#define CENSUS_BODY_MAX (192u << 10)
/* How long the copy lives at most, and how long a process is stopped at most. */
#define CENSUS_CHILD_US (2 * INT64_C(1000000))
#define CENSUS_STOP_US  (1 * INT64_C(1000000))

struct census_order_by {
	int method; /* enum census_method, -1 = snapshot, or stopped where that cannot be */
	enum census_reason reason;
	const uint8_t *command_id; /* 16 bytes or NULL */
	bool look_only;            /* nothing is stopped: tells what would be done */
};

struct census_report {
	enum census_method method;
	int64_t rss;
	int64_t held_us;     /* how long threads were held, over all attempts */
	int64_t expected_us; /* of a look: how long they would be */
	unsigned attempts;   /* looks that it took: lists are not always whole */
	unsigned held;       /* threads, in the last attempt */
	bool reaped;         /* false: the copy is left to the process as a zombie */
	uint32_t body_len;   /* of the encoded census */
	uint64_t objects;
	char note[256]; /* why not as wished; "" = as wished */
};

/*
 * -ENOTSUP: this process cannot be counted (that way), -EAGAIN: not just now, -EPERM, -ESRCH,
 * -ETIMEDOUT; the body is encoded by wire_pack_census().
 */
int census_take(const struct process *p, const struct census_order_by *o, struct buf *body,
		struct census_report *ret, struct error *err) must_use;

/* The row of the action table. */
void census_run(const struct process *p, const struct action_order *o, struct command_result *r);
/* -ENOTSUP with the reason when this kind of process is not to be stopped or copied. */
int census_check(const struct process *p, struct error *err) must_use;
/* One sentence: objects, bytes, the largest types. */
void census_sentence(const struct wire_census *c, char *out, size_t size);

#endif
