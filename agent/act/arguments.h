/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments.h - the command line of memherd-actd: what was said, and what an action makes of it.
 */
#ifndef MEMHERD_AGENT_ACT_ARGUMENTS_H
#define MEMHERD_AGENT_ACT_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "agent/act/action.h"
#include "common/error.h"

#define PARAM_NAMES_MAX 32

enum exit_code { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_ALLOWED, EXIT_NOT_FOUND };

struct arguments {
	const char *config; /* NULL: the usual place, which may be absent */
	const char *sets[16];
	size_t n_sets;
	bool dry_run;
	bool json;
	bool no_policy;
	bool verify;
	const char *params[PARAM_NAMES_MAX]; /* by command_param_name()'s place; NULL = not said */
	int64_t top;
	int poster; /* poster_start()'s, -1 = none */
	const char *command;
	const char *target;
};

void arguments_usage(FILE *out);
/* -1 to go on, else the exit code. */
int arguments_parse(int argc, char **argv, struct arguments *a);
/* The action that the command names, NULL for none. 'snapshot --kind census' is 'census'; of other
 * commands --kind is a parameter. */
const struct action *arguments_action(struct arguments *a);
/* Those of an action, checked; *ret_text: of the one that is a text. */
int arguments_params(const struct arguments *args, enum command_action action,
		     int64_t params[COMMAND_PARAMS], const char **ret_text,
		     struct error *err) must_use;
/* The process; 0 for the whole host. */
int arguments_target(const struct arguments *args, const struct action *a, int64_t *ret_pid,
		     struct error *err) must_use;

#endif
