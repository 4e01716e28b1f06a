/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ast.h - rules as the parser leaves them: typed, checked, read-only, all in one arena.
 *
 * A rule_set owns everything it points to and outlives every engine that uses it. Windows are
 * shared: two rules that ask for slope(rss, 1h) with the same warm-up use one ring. Pure.
 */
#ifndef MEMHERD_COLLECTOR_RULE_AST_H
#define MEMHERD_COLLECTOR_RULE_AST_H

#include "collector/rule/vocab.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/error.h"
#include "proto/command.h"

#define RULE_NAME_MAX  64
#define RULE_MAX       256       /* rules in a set */
#define RULE_WINDOWS   256       /* distinct windows in a set */
#define RULE_DEPTH_MAX 32        /* of an expression */
#define RULE_ACTIONS   16        /* most N of 'max N per D' */
#define RULE_FILE_MAX  (1 << 18) /* bytes of one text */

/* X(NAME, as printed, binding power; 0 = not infix) */
#define RULE_OP_LIST(X)  \
	X(NUMBER, "", 0) \
	X(TEXT, "", 0)   \
	X(LABEL, "", 0)  \
	X(VAR, "", 0)    \
	X(CALL, "", 0)   \
	X(OR, "or", 1)   \
	X(AND, "and", 2) \
	X(NOT, "not", 3) \
	X(LT, "<", 4)    \
	X(LE, "<=", 4)   \
	X(GT, ">", 4)    \
	X(GE, ">=", 4)   \
	X(EQ, "==", 4)   \
	X(NE, "!=", 4)   \
	X(MATCH, "~", 4) \
	X(ADD, "+", 5)   \
	X(SUB, "-", 5)   \
	X(MUL, "*", 6)   \
	X(DIV, "/", 6)   \
	X(NEG, "-", 7)

enum rule_op {
#define X(NAME, text, power) RULE_OP_##NAME,
	RULE_OP_LIST(X)
#undef X
		RULE_OP_COUNT
};

struct rule_node {
	enum rule_op op;
	enum rule_type type;
	unsigned depth;
	bool constant;       /* no variable in it */
	const char *text;    /* NUMBER as written, TEXT's content, LABEL's and VAR's name */
	double number;       /* NUMBER */
	int label;           /* LABEL: enum rule_label */
	struct rule_var var; /* VAR; of a CALL only the type, its expression's */
	enum rule_fn fn;     /* CALL */
	unsigned window;     /* CALL: index in the set */
	const struct rule_node *left;  /* CALL: the limit of tto */
	const struct rule_node *right; /* also NOT's and NEG's operand */
	unsigned line;
	unsigned column;
};

struct rule_window {
	enum rule_kind kind;
	const struct rule_node *expr; /* evaluated at each sample */
	const char *expr_text;
	const char *width_text;
	int64_t width_us;
	int64_t warmup_us; /* samples of a younger subject do not enter */
};

struct rule_condition {
	const struct rule_node *when;  /* NULL: only 'missing fire' raises it */
	const struct rule_node *clear; /* NULL: not 'when', with the dead band */
	int64_t for_us;
	int64_t clear_us;
};

struct rule_level_def {
	enum rule_level level;
	struct rule_condition on;
	unsigned max; /* actions per max_us, RULE_ACTIONS at most */
	int64_t max_us;
	bool approve; /* each action waits for a person's approval */
	/* What is done, with its parameters as the host takes them; do_text: as it was written,
	 * NULL = nothing was, a trim. */
	enum command_action action;
	int64_t params[COMMAND_PARAMS];
	const char *do_text;
};

enum rule_missing { RULE_MISSING_HOLD, RULE_MISSING_FIRE, RULE_MISSING_CLEAR };

struct rule {
	const char *name;
	const char *origin;
	unsigned line;
	enum rule_kind kind;
	const struct rule_node *where; /* NULL: every subject of the kind */
	const char *why;               /* '' when not given, as the two below */
	const char *owner;
	const char *runbook;
	int64_t warmup_us;
	enum rule_missing missing;
	int64_t missing_us;
	int64_t census_us;   /* a census when the alert opens and every so often; 0 = none */
	unsigned census_max; /* so many of one alert */
	unsigned n_levels;
	struct rule_level_def levels[RULE_LEVEL_COUNT];
	/* What the alert's value is: the measured side of the first comparison, or NULL. */
	const struct rule_node *measure;
	bool lower_is_worse; /* the comparison was < or <= */
	uint64_t metrics;    /* bit i: own metric i is used outside windows */
	bool restless;       /* uses age or the host, which change without a sample */
	unsigned n_windows;
	unsigned *windows; /* in use, each once */
};

struct rule_set {
	struct arena arena;
	unsigned n_rules;
	struct rule *rules[RULE_MAX];
	unsigned n_windows;
	struct rule_window *windows[RULE_WINDOWS];
};

int rule_set_new(struct rule_set **ret) must_use;
void rule_set_free(struct rule_set **set);
/* NULL when there is none. */
const struct rule *rule_set_find(const struct rule_set *set, const char *name);

/* Canonical text: what it prints parses to the same tree and prints the same again. */
void rule_print_expr(struct buf *b, const struct rule_set *set, const struct rule_node *n);
void rule_print_rule(struct buf *b, const struct rule_set *set, const struct rule *r);

int rule_op_power(enum rule_op op);
const char *rule_op_text(enum rule_op op);

#endif
