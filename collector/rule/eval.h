/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval.h - the value of an expression for one subject at one moment, in three-valued logic
 * (Kleene's): what is not known stays unknown unless the known side decides. Pure.
 */
#ifndef MEMHERD_COLLECTOR_RULE_EVAL_H
#define MEMHERD_COLLECTOR_RULE_EVAL_H

#include "collector/rule/ast.h"
#include "collector/rule/window.h"

struct rule_labels {
	const char *text[RULE_LABEL_COUNT]; /* NULL: unknown */
	int64_t uid;                        /* -1: unknown */
	bool python;
};

/* Everything an expression may ask for; what is NULL is unknown. */
struct rule_scope {
	const int64_t *own;      /* METRIC_COUNT values */
	const int64_t *host;     /* HOST_METRIC_COUNT values */
	int64_t age_us;          /* < 0: unknown */
	int64_t processes;       /* of a service */
	int64_t limit_kib;       /* 0: unknown */
	struct window **windows; /* by index in the set; entries may be NULL */
	const struct rule_labels *labels;
};

struct rule_result {
	bool known;
	double v; /* a condition is 0 or 1 */
};

enum rule_truth { RULE_FALSE, RULE_TRUE, RULE_UNKNOWN };

struct rule_result rule_eval(const struct rule_node *n, const struct rule_scope *s);
/* relax > 0 moves every threshold by that share towards true: 0.1 is the clear's dead band. */
enum rule_truth rule_eval_truth(const struct rule_node *n, const struct rule_scope *s,
				double relax);
/* One line 'expression = value' for each side of each comparison and each condition in it that is
 * not a literal, so that a person sees why. */
void rule_explain(struct buf *b, const struct rule_set *set, const struct rule_node *n,
		  const struct rule_scope *s);
/* '*' any run, '?' any byte; the rest as it is. Time is at most the product of both lengths. */
bool rule_glob(const char *pattern, const char *text);

#endif
