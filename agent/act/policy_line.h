/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_line.h - a policy as it is kept: what policy_parse.c made of a file's lines, and policy.c
 * judges by. Nobody else includes it.
 */
#ifndef MEMHERD_AGENT_ACT_POLICY_LINE_H
#define MEMHERD_AGENT_ACT_POLICY_LINE_H

#include "agent/act/policy.h"
#include "common/str.h"

#define POLICY_MAX_TERMS 16
#define PERIODS_MAX      16
#define LINE_SHOWN       160

enum policy_key {
#define X(NAME, word, help) KEY_##NAME,
	POLICY_KEY_LIST(X)
#undef X
		KEY_COUNT,
};

enum policy_op { OP_EQ, OP_GE, OP_LE };

struct term {
	enum policy_key key;
	enum policy_op op;
	int64_t number;
	const char *glob; /* into the policy's text */
};

struct line {
	unsigned number;
	bool allow;
	const char *action;
	struct term terms[POLICY_MAX_TERMS];
	size_t n;
	bool names_uid;
	bool names_container;
	bool names_bare;
	bool lower;
	struct hook hook; /* of a 'shed' line: it judges nothing */
	bool signed_only;
	unsigned max;
	int64_t max_window_us;
	int64_t cooldown_us;
	int quiet_from;
	int quiet_to;
	char shown[LINE_SHOWN];
};

/* Of maintenance. */
struct period {
	unsigned number;
	int64_t from_us;
	int64_t until_us;
	char until[STR_TIME_SIZE]; /* as it was written; '' = for ever */
};

struct policy {
	char *text;
	struct line *lines;
	size_t n;
	struct period periods[PERIODS_MAX];
	size_t n_periods;
};

#endif
