/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/ast.h"

#include <errno.h>
#include <string.h>

#define SET_BUDGET ((size_t)16 << 20)

static const struct {
	const char *text;
	int power;
} ops[RULE_OP_COUNT] = {
#define X(NAME, text, power) {text, power},
	RULE_OP_LIST(X)
#undef X
};

int rule_op_power(enum rule_op op)
{
	return ops[op].power;
}

const char *rule_op_text(enum rule_op op)
{
	return ops[op].text;
}

int rule_set_new(struct rule_set **ret)
{
	struct rule_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	arena_init(&set->arena, SET_BUDGET);
	*ret = set;
	return 0;
}

void rule_set_free(struct rule_set **set)
{
	if (!*set)
		return;
	arena_fini(&(*set)->arena);
	free(*set);
	*set = NULL;
}

const struct rule *rule_set_find(const struct rule_set *set, const char *name)
{
	for (unsigned i = 0; i < set->n_rules; i++)
		if (strcmp(set->rules[i]->name, name) == 0)
			return set->rules[i];
	return NULL;
}

static void print_text(struct buf *b, const char *s)
{
	buf_putc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

static void print_call(struct buf *b, const struct rule_set *set, const struct rule_node *n)
{
	const struct rule_window *w = set->windows[n->window];

	buf_printf(b, "%s(%s, ", rule_fn_name(n->fn), w->expr_text);
	if (n->left) {
		rule_print_expr(b, set, n->left);
		buf_puts(b, ", ");
	}
	buf_printf(b, "%s)", w->width_text);
}

static void print_at(struct buf *b, const struct rule_set *set, const struct rule_node *n,
		     int power);

static void print_infix(struct buf *b, const struct rule_set *set, const struct rule_node *n)
{
	int power = rule_op_power(n->op);
	/* Comparisons do not chain, so both sides must bind tighter. */
	int left = power == rule_op_power(RULE_OP_LT) ? power + 1 : power;

	print_at(b, set, n->left, left);
	buf_printf(b, " %s ", rule_op_text(n->op));
	print_at(b, set, n->right, power + 1);
}

static void print_at(struct buf *b, const struct rule_set *set, const struct rule_node *n,
		     int power)
{
	int own = rule_op_power(n->op);
	bool parens = own && own < power;

	if (parens)
		buf_putc(b, '(');
	rule_print_expr(b, set, n);
	if (parens)
		buf_putc(b, ')');
}

void rule_print_expr(struct buf *b, const struct rule_set *set, const struct rule_node *n)
{
	if (n->op == RULE_OP_TEXT) {
		print_text(b, n->text);
	} else if (n->op == RULE_OP_NUMBER || n->op == RULE_OP_LABEL || n->op == RULE_OP_VAR) {
		buf_puts(b, n->text);
	} else if (n->op == RULE_OP_CALL) {
		print_call(b, set, n);
	} else if (n->op == RULE_OP_NOT || n->op == RULE_OP_NEG) {
		buf_puts(b, n->op == RULE_OP_NOT ? "not " : "-");
		print_at(b, set, n->right, rule_op_power(n->op));
	} else {
		print_infix(b, set, n);
	}
}

/* The largest unit that divides it, so that it reads as it was meant. */
static void print_duration(struct buf *b, int64_t us)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {{"d", 86400000000}, {"h", 3600000000}, {"min", 60000000}, {"s", 1000000}};

	for (size_t i = 0; us && i < ARRAY_SIZE(units); i++) {
		if (us % units[i].us)
			continue;
		buf_printf(b, "%lld%s", (long long)(us / units[i].us), units[i].name);
		return;
	}
	buf_printf(b, "%lldms", (long long)(us / 1000));
}

static void print_for(struct buf *b, const char *word, int64_t us)
{
	buf_puts(b, word);
	print_duration(b, us);
}

static void print_condition(struct buf *b, const struct rule_set *set,
			    const struct rule_condition *c)
{
	if (c->when) {
		buf_puts(b, " when ");
		rule_print_expr(b, set, c->when);
		print_for(b, " for ", c->for_us);
	}
	if (c->clear) {
		buf_puts(b, " clear ");
		rule_print_expr(b, set, c->clear);
	}
	if (c->clear)
		print_for(b, " for ", c->clear_us);
}

static void print_meta(struct buf *b, const char *word, const char *text)
{
	if (!*text)
		return;
	buf_printf(b, "    %s ", word);
	print_text(b, text);
	buf_puts(b, ";\n");
}

void rule_print_rule(struct buf *b, const struct rule_set *set, const struct rule *r)
{
	buf_printf(b, "rule %s on %s", r->name, rule_kind_names[r->kind]);
	if (r->where) {
		buf_puts(b, " where ");
		rule_print_expr(b, set, r->where);
	}
	buf_puts(b, " {\n");
	print_meta(b, "why", r->why);
	print_meta(b, "owner", r->owner);
	print_meta(b, "runbook", r->runbook);
	print_for(b, "    warmup ", r->warmup_us);
	buf_puts(b, ";\n");
	if (r->missing != RULE_MISSING_HOLD) {
		print_for(b,
			  r->missing == RULE_MISSING_FIRE ? "    missing fire after "
							  : "    missing clear after ",
			  r->missing_us);
		buf_puts(b, ";\n");
	}
	if (r->census_us) {
		print_for(b, "    census every ", r->census_us);
		buf_printf(b, " max %u;\n", r->census_max);
	}
	for (unsigned i = 0; i < r->n_levels; i++) {
		const struct rule_level_def *l = &r->levels[i];

		buf_printf(b, "    level %s", rule_level_names[l->level]);
		print_condition(b, set, &l->on);
		if (l->level == RULE_TRIM) {
			buf_printf(b, " max %u per ", l->max);
			print_duration(b, l->max_us);
			buf_puts(b, l->approve ? " approve" : "");
			if (l->do_text)
				buf_printf(b, " do \"%s\"", l->do_text);
		}
		buf_puts(b, ";\n");
	}
	buf_puts(b, "}\n");
}
