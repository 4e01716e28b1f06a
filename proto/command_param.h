/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_param.h - what an action's parameters mean: one table of names, units, bounds and help
 * for the signed body, the flags of memherd-actd and memherd, and REST's 'params'. Pure.
 *
 * A body carries plain numbers, each in the place that its row has among its action's, and always
 * the value that is meant: who makes a command begins with command_params_preset(). An action takes
 * no parameter that has no row.
 */
#ifndef MEMHERD_PROTO_COMMAND_PARAM_H
#define MEMHERD_PROTO_COMMAND_PARAM_H

#include "proto/command.h"

#define COMMAND_PARAM_TEXT_SIZE 96
#define COMMAND_PARAMS_SIZE     256 /* of all of an action as text */

enum command_unit {
	COMMAND_UNIT_NONE,
	COMMAND_UNIT_BYTES,   /* flags take 64MiB too */
	COMMAND_UNIT_SECONDS, /* flags take 5min too */
	COMMAND_UNIT_WORD,    /* one of words; the number is its place in them */
	/* A dotted name; the number is its length, the text is in the place of the command's
	 * reason. One an action at most. */
	COMMAND_UNIT_TEXT,
};

struct command_param {
	enum command_action action;
	const char *name; /* lower case and '-': flag, and with '_' for it member of params */
	enum command_unit unit;
	bool required; /* no preset */
	int64_t min, max, preset;
	const char *words; /* 'one|two|three' */
	const char *help;
};

/* The i-th of the action, NULL after its last. */
const struct command_param *command_param_at(enum command_action action, size_t i);
/* Its place among the action's; either spelling of the name. -1 for none. */
int command_param_find(enum command_action action, const char *name);
/* Every name of any action once: the i-th, NULL after the last. */
const char *command_param_name(size_t i);

/* What is meant when nothing is said; a required one gets a value that the check refuses. */
void command_params_preset(enum command_action action, int64_t params[COMMAND_PARAMS]);
/* -EINVAL names the parameter and its bound, or the action that takes none. */
int command_params_check(enum command_action action, const int64_t params[COMMAND_PARAMS],
			 struct error *err) must_use;
int command_param_check(const struct command_param *p, int64_t value, struct error *err) must_use;
/* A flag's text, checked: '64MiB', '5min', a word, a number, by the unit. */
int command_param_parse(const struct command_param *p, const char *text, int64_t *ret,
			struct error *err) must_use;
/* Sets the one of that name; of a text its length. */
int command_params_set(enum command_action action, const char *name, const char *text,
		       int64_t params[COMMAND_PARAMS], struct error *err) must_use;

/* As a person reads it: '64 MiB', 'snapshot', '2'. Returns buf. */
char *command_param_text(char buf[COMMAND_PARAM_TEXT_SIZE], const struct command_param *p,
			 int64_t value);
/* 'high=64 MiB ttl=5 min', "" for none; text: of the parameter that is one. Returns buf. */
char *command_params_text(char buf[COMMAND_PARAMS_SIZE], enum command_action action,
			  const int64_t params[COMMAND_PARAMS], const char *text);
/* The parameter of an action that is a text, or NULL. */
const struct command_param *command_param_of_text(enum command_action action);
/* -EINVAL unless the action takes no text, or this is one of the length that params say: letters,
 * digits, '_', '.', '<', '>' and what is not ASCII, so that no language has a word in it. */
int command_text_check(enum command_action action, const int64_t params[COMMAND_PARAMS],
		       const char *text, struct error *err) must_use;
/* The word of a word's number, into buf; NULL when there is none such. */
const char *command_param_word(char buf[COMMAND_PARAM_TEXT_SIZE], const struct command_param *p,
			       int64_t value);

#endif
