/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - the one way to an action. Both doors, the socket and the command line, come through
 * here, so that nothing acts without identity, policy and journal:
 *
 *	signatures -> host -> seen before? -> fresh -> stopped? -> which process -> policy -> rate
 *	  -> journal 'started' -> action -> journal 'done'
 *
 * The owner of the log lines about commands. Policy and keys are read at each request: an edit
 * counts at once, and a broken file refuses everything.
 */
#ifndef MEMHERD_AGENT_ACT_GATE_H
#define MEMHERD_AGENT_ACT_GATE_H

#include "agent/act/action.h"
#include "agent/act/journal.h"
#include "agent/act/operators.h"
#include "agent/act/options.h"
#include "proto/command.h"
#include "proto/host_news.h"

struct gate {
	const struct act_options *options;
	struct journal *journal;
	int poster;                      /* poster_start()'s, -1 = none */
	bool by_hand;                    /* set by gate_by_hand for as long as it takes */
	char signer[OPERATOR_NAME_SIZE]; /* who signed the command under way; '' = nobody */
	struct buf *body; /* what the last action made beside its result; NULL = not wanted */
};

/* Always gives a result, with its place in the journal; now_us is the wall clock. */
void gate_submit(struct gate *g, const struct command_request *request, int64_t now_us,
		 struct command_result *ret);
/*
 * What the journal tells beside results, after what the asker says it has kept; that is remembered
 * in JOURNAL.told, which is the host's place where it stopped. Nothing while somebody acts.
 */
void gate_tell(struct gate *g, uint64_t kept, struct host_news *ret);
/* What root asks for. */
struct gate_wish {
	const struct action *action;
	pid_t pid; /* 0: the whole host */
	bool dry_run;
	bool no_policy;
	int64_t params[COMMAND_PARAMS];
	const char *text; /* of the parameter that is one, checked; NULL = none */
};

/*
 * Asked by root on this host. 0 when done or told, -EPERM when the policy or the rate forbids it,
 * -ESRCH when there is no such process, another error when it could not be done; the result tells.
 */
int gate_by_hand(struct gate *g, const struct gate_wish *wish, int64_t now_us,
		 struct command_result *ret) must_use;

#endif
