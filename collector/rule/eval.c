/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/eval.h"

#include <math.h>
#include <string.h>

#include "common/str.h"

static const struct rule_result unknown = {false, 0};

static struct rule_result known(double v)
{
	return (struct rule_result){!isnan(v), v};
}

static struct rule_result of_truth(enum rule_truth t)
{
	return t == RULE_UNKNOWN ? unknown : known(t == RULE_TRUE);
}

static enum rule_truth to_truth(struct rule_result r)
{
	if (!r.known)
		return RULE_UNKNOWN;
	return r.v != 0 ? RULE_TRUE : RULE_FALSE;
}

static struct rule_result stored(const int64_t *values, int i, double scale)
{
	if (!values || values[i] == METRIC_ABSENT)
		return unknown;
	return known((double)values[i] * scale);
}

static struct rule_result difference(const int64_t *v, int a, int b, double scale)
{
	if (!v || v[a] == METRIC_ABSENT || v[b] == METRIC_ABSENT)
		return unknown;
	return known(((double)v[a] - (double)v[b]) * scale);
}

static struct rule_result eval_var(const struct rule_var *var, const struct rule_scope *s)
{
	switch (var->source) {
	case RULE_SRC_OWN:
		return stored(s->own, var->index, var->scale);
	case RULE_SRC_HOST:
		return stored(s->host, var->index, var->scale);
	case RULE_SRC_AGE:
		return s->age_us < 0 ? unknown : known((double)s->age_us * var->scale);
	case RULE_SRC_PROCESSES:
		return known((double)s->processes);
	case RULE_SRC_USED:
		return difference(s->host, HOST_METRIC_TOTAL, HOST_METRIC_AVAILABLE, var->scale);
	case RULE_SRC_SWAP_USED:
		return difference(s->host, HOST_METRIC_SWAP_TOTAL, HOST_METRIC_SWAP_FREE,
				  var->scale);
	case RULE_SRC_LIMIT:
		break;
	}
	return s->limit_kib > 0 ? known((double)s->limit_kib * var->scale) : unknown;
}

static struct rule_result eval_label(const struct rule_node *n, const struct rule_scope *s)
{
	if (!s->labels)
		return unknown;
	if (n->label == RULE_LABEL_PYTHON)
		return known(s->labels->python);
	return s->labels->uid < 0 ? unknown : known((double)s->labels->uid);
}

static struct rule_result eval_call(const struct rule_node *n, const struct rule_scope *s)
{
	struct window *w = s->windows ? s->windows[n->window] : NULL;
	struct rule_result limit;
	double v;

	if (!w)
		return unknown;
	if (n->fn != RULE_FN_TTO)
		return window_value(w, n->fn, &v) ? known(v) : unknown;
	limit = rule_eval(n->left, s);
	if (!limit.known || !window_tto(w, limit.v, n->var.type == RULE_BYTES, &v))
		return unknown;
	return known(v);
}

static struct rule_result arithmetic(enum rule_op op, double a, double b)
{
	double v = NAN;

	if (op == RULE_OP_ADD)
		v = a + b;
	else if (op == RULE_OP_SUB)
		v = a - b;
	else if (op == RULE_OP_MUL)
		v = a * b;
	else if (op == RULE_OP_DIV && b != 0)
		v = a / b;
	return known(v);
}

/* The threshold is the constant side; it gives way so that the comparison holds more easily. */
static bool compare(const struct rule_node *n, double a, double b, double relax)
{
	bool greater = n->op == RULE_OP_GT || n->op == RULE_OP_GE;

	if (n->left->constant && !n->right->constant)
		a += (greater ? relax : -relax) * fabs(a);
	else
		b += (greater ? -relax : relax) * fabs(b);
	switch ((int)n->op) {
	case RULE_OP_LT:
		return a < b;
	case RULE_OP_LE:
		return a <= b;
	case RULE_OP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static const char *text_of(const struct rule_node *n, const struct rule_scope *s)
{
	if (n->op == RULE_OP_TEXT)
		return n->text;
	return s->labels ? s->labels->text[n->label] : NULL;
}

static enum rule_truth compare_text(const struct rule_node *n, const struct rule_scope *s)
{
	const char *a = text_of(n->left, s);
	const char *b = text_of(n->right, s);
	bool same;

	if (!a || !b)
		return RULE_UNKNOWN;
	same = n->op == RULE_OP_MATCH ? rule_glob(b, a) : strcmp(a, b) == 0;
	return same == (n->op != RULE_OP_NE) ? RULE_TRUE : RULE_FALSE;
}

static enum rule_truth truth_compare(const struct rule_node *n, const struct rule_scope *s,
				     double relax)
{
	struct rule_result a;
	struct rule_result b;
	bool holds;

	if (n->left->type == RULE_STRING)
		return compare_text(n, s);
	a = rule_eval(n->left, s);
	b = rule_eval(n->right, s);
	if (!a.known || !b.known)
		return RULE_UNKNOWN;
	if (n->op == RULE_OP_EQ || n->op == RULE_OP_NE)
		holds = (a.v == b.v) == (n->op == RULE_OP_EQ);
	else
		holds = compare(n, a.v, b.v, relax);
	return holds ? RULE_TRUE : RULE_FALSE;
}

static enum rule_truth truth_join(const struct rule_node *n, const struct rule_scope *s,
				  double relax)
{
	enum rule_truth decides = n->op == RULE_OP_OR ? RULE_TRUE : RULE_FALSE;
	enum rule_truth a = rule_eval_truth(n->left, s, relax);
	enum rule_truth b;

	if (a == decides)
		return a;
	b = rule_eval_truth(n->right, s, relax);
	if (b == decides || a != RULE_UNKNOWN)
		return b;
	return RULE_UNKNOWN;
}

enum rule_truth rule_eval_truth(const struct rule_node *n, const struct rule_scope *s, double relax)
{
	enum rule_truth t;

	if (n->op == RULE_OP_AND || n->op == RULE_OP_OR)
		return truth_join(n, s, relax);
	if (n->op == RULE_OP_NOT) {
		t = rule_eval_truth(n->right, s, -relax);
		if (t == RULE_UNKNOWN)
			return t;
		return t == RULE_TRUE ? RULE_FALSE : RULE_TRUE;
	}
	if (rule_op_power(n->op) == rule_op_power(RULE_OP_LT))
		return truth_compare(n, s, relax);
	return to_truth(rule_eval(n, s));
}

struct rule_result rule_eval(const struct rule_node *n, const struct rule_scope *s)
{
	struct rule_result a;
	struct rule_result b;

	switch ((int)n->op) {
	case RULE_OP_NUMBER:
		return known(n->number);
	case RULE_OP_VAR:
		return eval_var(&n->var, s);
	case RULE_OP_LABEL:
		return eval_label(n, s);
	case RULE_OP_CALL:
		return eval_call(n, s);
	case RULE_OP_NEG:
		a = rule_eval(n->right, s);
		return a.known ? known(-a.v) : a;
	case RULE_OP_ADD:
	case RULE_OP_SUB:
	case RULE_OP_MUL:
	case RULE_OP_DIV:
		a = rule_eval(n->left, s);
		b = rule_eval(n->right, s);
		return a.known && b.known ? arithmetic(n->op, a.v, b.v) : unknown;
	case RULE_OP_TEXT:
		return unknown;
	default:
		return of_truth(rule_eval_truth(n, s, 0));
	}
}

static void explain_line(struct buf *b, const struct rule_set *set, const struct rule_node *n,
			 const struct rule_scope *s)
{
	struct rule_result r = rule_eval(n, s);
	char text[RULE_VALUE_SIZE];

	rule_print_expr(b, set, n);
	buf_printf(b, " = %s\n", r.known ? rule_value_text(text, n->type, r.v) : "unknown");
}

void rule_explain(struct buf *b, const struct rule_set *set, const struct rule_node *n,
		  const struct rule_scope *s)
{
	if (n->constant)
		return;
	if (n->op == RULE_OP_AND || n->op == RULE_OP_OR || n->op == RULE_OP_NOT) {
		if (n->left)
			rule_explain(b, set, n->left, s);
		rule_explain(b, set, n->right, s);
		return;
	}
	explain_line(b, set, n, s);
	if (rule_op_power(n->op) != rule_op_power(RULE_OP_LT))
		return;
	if (!n->left->constant && rule_type_numeric(n->left->type))
		explain_line(b, set, n->left, s);
	if (!n->right->constant && rule_type_numeric(n->right->type))
		explain_line(b, set, n->right, s);
}

bool rule_glob(const char *pattern, const char *text)
{
	return str_glob(pattern, text);
}
