/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action.h - the table of what memherd-actd can do. One row and one file an action; the row's name
 * is the word in commands, in the policy and on the command line.
 */
#ifndef MEMHERD_AGENT_ACT_ACTION_H
#define MEMHERD_AGENT_ACT_ACTION_H

#include <stdbool.h>

#include "agent/act/options.h"
#include "agent/act/process.h"
#include "common/buf.h"
#include "proto/census.h"
#include "proto/command.h"

/* Beyond which process. */
struct action_order {
	const struct act_options *options;
	bool dry_run;
	bool by_hand;
	const uint8_t *command_id; /* 16 bytes */
	const char *actor;         /* who asked: 'rule:NAME', 'token:NAME' */
	const int64_t *params;     /* COMMAND_PARAMS, within their bounds */
	bool may_lower;            /* the policy says lower=yes, or was not asked */
	int poster;                /* poster_start()'s, -1 = none */
	const char *text;          /* of the parameter that is one; "" = none is */
	struct buf *body;          /* where it puts what it made, NULL = not wanted */
};

struct action {
	enum command_action number;
	const char *name;
	const char *help;
	/* Fills status, measures and detail. The process is open, and allowed by the policy; NULL
	 * for an action on the whole host. */
	void (*run)(const struct process *p, const struct action_order *o,
		    struct command_result *ret);
	int64_t rest_us; /* between two, whatever the policy says; 0 = none */
};

/* NULL for none. */
const struct action *action_find(enum command_action number);
const struct action *action_find_name(const char *name);
/* The i-th row, NULL after the last. */
const struct action *action_at(size_t i);

/* Who wanted it, for what is stored. */
enum census_reason action_reason(const struct action_order *o);
/* Sets the status and the one sentence; a cut sentence is no error. */
void action_say(struct command_result *r, enum command_status status, const char *fmt, ...)
	printf_like(3, 4);

#endif
