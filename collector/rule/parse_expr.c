/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: a Pratt parser that types each node as it is made, so an error has its place. */
#include "collector/rule/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 4096 /* canonical text of a window's expression */

static int parse_at(struct rule_parser *p, int power, struct rule_node **ret);

static int fail_at(struct rule_parser *p, const struct rule_node *n, const char *what)
{
	return error_set(p->err, -EINVAL, "%s:%u:%u: %s", p->lexer.origin, n->line, n->column,
			 what);
}

static struct rule_node *node_new(struct rule_parser *p, enum rule_op op)
{
	struct rule_node *n = arena_calloc(&p->set->arena, 1, sizeof(*n));

	if (!n) {
		error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
		return NULL;
	}
	n->op = op;
	n->depth = 1;
	n->line = p->token.line;
	n->column = p->token.column;
	return n;
}

static int join(struct rule_parser *p, struct rule_node *n)
{
	n->depth = 1 + MAX_OF(n->left ? n->left->depth : 0, n->right ? n->right->depth : 0);
	if (n->depth > RULE_DEPTH_MAX)
		return fail_at(p, n, "expression is nested too deep (32 at most)");
	n->constant = (!n->left || n->left->constant) && (!n->right || n->right->constant);
	return 0;
}

/* The expression's text for a message, short enough for it. */
static const char *shown(struct rule_parser *p, const struct rule_node *n, char out[60])
{
	auto_buf struct buf b = BUF_INIT(TEXT_MAX);

	rule_print_expr(&b, p->set, n);
	snprintf(out, 60, "%s", b.failed || !b.data ? "..." : (char *)b.data);
	return out;
}

static int fail_types(struct rule_parser *p, const struct rule_node *n, const char *verb,
		      const char *with)
{
	char left[60];
	char right[60];

	return error_set(p->err, -EINVAL, "%s:%u:%u: '%s %s %s' %s %s %s %s", p->lexer.origin,
			 n->line, n->column, shown(p, n->left, left), rule_op_text(n->op),
			 shown(p, n->right, right), verb, rule_type_name(n->left->type), with,
			 rule_type_name(n->right->type));
}

static int fail_operand(struct rule_parser *p, const struct rule_node *n, const char *what)
{
	char text[60];

	return error_set(p->err, -EINVAL, "%s:%u:%u: '%s' is %s, not %s", p->lexer.origin, n->line,
			 n->column, shown(p, n, text), rule_type_name(n->type), what);
}

static bool is_zero(const struct rule_node *n)
{
	return n->op == RULE_OP_NUMBER && n->number == 0;
}

/* Same unit; a bare number may stand for a ratio, and 0 for anything. */
static bool comparable(const struct rule_node *a, const struct rule_node *b)
{
	if (a->type == b->type)
		return true;
	if (!rule_type_numeric(a->type) || !rule_type_numeric(b->type))
		return false;
	if ((is_zero(a) && a->type == RULE_COUNT) || (is_zero(b) && b->type == RULE_COUNT))
		return true;
	return (a->constant && a->type == RULE_COUNT && b->type == RULE_RATIO) ||
	       (b->constant && b->type == RULE_COUNT && a->type == RULE_RATIO);
}

static int type_logic(struct rule_parser *p, struct rule_node *n)
{
	n->type = RULE_BOOL;
	if (n->left && n->left->type != RULE_BOOL)
		return fail_operand(p, n->left, "a condition");
	if (n->right->type != RULE_BOOL)
		return fail_operand(p, n->right, "a condition");
	return 0;
}

static int type_compare(struct rule_parser *p, struct rule_node *n)
{
	bool equality = n->op == RULE_OP_EQ || n->op == RULE_OP_NE;

	n->type = RULE_BOOL;
	if (!comparable(n->left, n->right))
		return fail_types(p, n, "compares", "with");
	if (!rule_type_numeric(n->left->type) && !equality)
		return fail_operand(p, n->left, "a number");
	return 0;
}

static int type_match(struct rule_parser *p, struct rule_node *n)
{
	n->type = RULE_BOOL;
	if (n->left->type != RULE_STRING)
		return fail_operand(p, n->left, "text");
	if (n->right->op != RULE_OP_TEXT)
		return fail_operand(p, n->right, "a pattern in quotes");
	return 0;
}

static int type_sum(struct rule_parser *p, struct rule_node *n)
{
	if (!rule_type_numeric(n->left->type) || !comparable(n->left, n->right))
		return fail_types(p, n, n->op == RULE_OP_ADD ? "adds" : "takes",
				  n->op == RULE_OP_ADD ? "and" : "less");
	/* 0 and a bare number take the other side's unit. */
	n->type = n->left->type == RULE_COUNT ? n->right->type : n->left->type;
	return 0;
}

static int type_product(struct rule_parser *p, struct rule_node *n)
{
	int type = n->op == RULE_OP_MUL ? rule_type_mul(n->left->type, n->right->type)
					: rule_type_div(n->left->type, n->right->type);

	if (type < 0)
		return fail_types(p, n, n->op == RULE_OP_MUL ? "multiplies" : "divides",
				  n->op == RULE_OP_MUL ? "with" : "by");
	n->type = (enum rule_type)type;
	return 0;
}

static int type_infix(struct rule_parser *p, struct rule_node *n)
{
	switch (rule_op_power(n->op)) {
	case 1:
	case 2:
		return type_logic(p, n);
	case 4:
		return n->op == RULE_OP_MATCH ? type_match(p, n) : type_compare(p, n);
	case 5:
		return type_sum(p, n);
	default:
		return type_product(p, n);
	}
}

static enum rule_op infix_of(const struct rule_parser *p)
{
	static const enum rule_op by_token[TOKEN_COUNT] = {
		[TOKEN_LT] = RULE_OP_LT,       [TOKEN_LE] = RULE_OP_LE,
		[TOKEN_GT] = RULE_OP_GT,       [TOKEN_GE] = RULE_OP_GE,
		[TOKEN_EQ] = RULE_OP_EQ,       [TOKEN_NE] = RULE_OP_NE,
		[TOKEN_MATCH] = RULE_OP_MATCH, [TOKEN_PLUS] = RULE_OP_ADD,
		[TOKEN_MINUS] = RULE_OP_SUB,   [TOKEN_STAR] = RULE_OP_MUL,
		[TOKEN_SLASH] = RULE_OP_DIV,
	};

	if (rule_parser_at_word(p, "and"))
		return RULE_OP_AND;
	if (rule_parser_at_word(p, "or"))
		return RULE_OP_OR;
	if (rule_parser_at_word(p, "of")) /* '25% of host.total' reads better than '*' */
		return RULE_OP_MUL;
	return by_token[p->token.kind];
}

static int parse_number(struct rule_parser *p, struct rule_node **ret)
{
	struct rule_node *n = node_new(p, RULE_OP_NUMBER);

	if (!n)
		return -ENOMEM;
	n->type = p->token.type;
	n->number = p->token.number;
	n->constant = true;
	n->text = rule_parser_copy(p);
	if (!n->text)
		return -ENOMEM;
	*ret = n;
	return rule_parser_advance(p);
}

static int parse_text(struct rule_parser *p, struct rule_node **ret)
{
	struct rule_node *n = node_new(p, RULE_OP_TEXT);

	if (!n)
		return -ENOMEM;
	n->type = RULE_STRING;
	n->constant = true;
	n->text = rule_parser_copy(p);
	if (!n->text)
		return -ENOMEM;
	*ret = n;
	return rule_parser_advance(p);
}

static int parse_group(struct rule_parser *p, struct rule_node **ret)
{
	int rc = rule_parser_advance(p);

	if (rc == 0)
		rc = parse_at(p, 1, ret);
	return rc < 0 ? rc : rule_parser_take(p, TOKEN_RPAREN, "')'");
}

static int parse_prefix(struct rule_parser *p, enum rule_op op, struct rule_node **ret)
{
	struct rule_node *n = node_new(p, op);
	struct rule_node *operand;
	int rc;

	if (!n)
		return -ENOMEM;
	rc = rule_parser_advance(p);
	if (rc == 0)
		rc = parse_at(p, rule_op_power(op), &operand);
	if (rc < 0)
		return rc;
	n->right = operand;
	n->type = operand->type;
	if (op == RULE_OP_NOT)
		rc = type_logic(p, n);
	else if (!rule_type_numeric(operand->type))
		rc = fail_operand(p, operand, "a number");
	*ret = n;
	return rc < 0 ? rc : join(p, n);
}

/* The set's window of that expression and width, made when it is the first. */
static int window_of(struct rule_parser *p, const struct rule_node *expr, const char *width_text,
		     int64_t width_us, unsigned *ret)
{
	auto_buf struct buf b = BUF_INIT(TEXT_MAX);
	struct rule_set *set = p->set;
	struct rule_window *w;

	rule_print_expr(&b, set, expr);
	if (buf_status(&b) < 0)
		return error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
	for (unsigned i = 0; i < set->n_windows; i++) {
		w = set->windows[i];
		if (w->kind == p->rule->kind && w->width_us == width_us &&
		    w->warmup_us == p->rule->warmup_us &&
		    strcmp(w->expr_text, (char *)b.data) == 0) {
			*ret = i;
			return 0;
		}
	}
	if (set->n_windows == RULE_WINDOWS)
		return fail_at(p, expr, "the rules use more than 256 distinct windows");
	w = arena_calloc(&set->arena, 1, sizeof(*w));
	if (w)
		w->expr_text = arena_strndup(&set->arena, (char *)b.data, b.len);
	if (!w || !w->expr_text)
		return error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
	w->kind = p->rule->kind;
	w->expr = expr;
	w->width_text = width_text;
	w->width_us = width_us;
	w->warmup_us = p->rule->warmup_us;
	*ret = set->n_windows;
	set->windows[set->n_windows++] = w;
	return 0;
}

static int parse_limit(struct rule_parser *p, struct rule_node *call, const struct rule_node *expr)
{
	struct rule_node *limit;
	int rc = rule_parser_take(p, TOKEN_COMMA, "',' and the limit");

	if (rc == 0)
		rc = parse_at(p, 1, &limit);
	if (rc < 0)
		return rc;
	if (!comparable(expr, limit))
		return fail_operand(p, limit, rule_type_name(expr->type));
	call->left = limit;
	return 0;
}

static int parse_width(struct rule_parser *p, const char **ret_text, int64_t *ret_us)
{
	int rc = rule_parser_take(p, TOKEN_COMMA, "',' and the window");

	if (rc < 0)
		return rc;
	*ret_text = rule_parser_copy(p);
	if (!*ret_text)
		return -ENOMEM;
	rc = rule_parser_duration(p, RULE_WINDOW_MIN, RULE_WINDOW_MAX, ret_us);
	return rc < 0 ? rc : rule_parser_take(p, TOKEN_RPAREN, "')'");
}

static int parse_arguments(struct rule_parser *p, struct rule_node *call)
{
	const char *width_text;
	struct rule_node *expr;
	int64_t width_us;
	int type;
	int rc;

	p->in_window = true;
	rc = parse_at(p, 1, &expr);
	p->in_window = false;
	if (rc < 0)
		return rc;
	type = rule_fn_type(call->fn, expr->type);
	if (type < 0)
		return fail_operand(p, expr, "something this function can follow over time");
	call->type = (enum rule_type)type;
	call->var.type = expr->type;
	if (call->fn == RULE_FN_TTO)
		rc = parse_limit(p, call, expr);
	if (rc == 0)
		rc = parse_width(p, &width_text, &width_us);
	if (rc == 0)
		rc = window_of(p, expr, width_text, width_us, &call->window);
	if (rc == 0)
		rc = join(p, call);
	call->constant = false;
	return rc;
}

static int parse_call(struct rule_parser *p, struct rule_node *n, int fn)
{
	int rc;

	if (fn < 0)
		return error_set(
			p->err, -EINVAL,
			rule_word_is_planned(n->text)
				? "%s:%u:%u: function '%s' is not supported by this version"
				: "%s:%u:%u: unknown function '%s'",
			p->lexer.origin, n->line, n->column, n->text);
	if (p->in_window)
		return fail_at(p, n, "a window cannot hold another window");
	if (p->in_where)
		return fail_at(p, n, "'where' chooses by labels, not by measured values");
	n->op = RULE_OP_CALL;
	n->fn = (enum rule_fn)fn;
	rc = rule_parser_advance(p);
	return rc < 0 ? rc : parse_arguments(p, n);
}

static int name_label(struct rule_parser *p, struct rule_node *n, int label, unsigned subjects)
{
	if (!p->in_where)
		return fail_at(p, n, "a label can only be used in 'where'");
	if (!(subjects & (1u << p->rule->kind)))
		return error_set(p->err, -EINVAL, "%s:%u:%u: a %s has no label '%s'",
				 p->lexer.origin, n->line, n->column,
				 rule_kind_names[p->rule->kind], n->text);
	n->op = RULE_OP_LABEL;
	n->label = label;
	return 0;
}

static int name_var(struct rule_parser *p, struct rule_node *n)
{
	if (rule_var_find(p->rule->kind, n->text, &n->var) < 0)
		return error_set(p->err, -EINVAL, "%s:%u:%u: a %s has no '%s'", p->lexer.origin,
				 n->line, n->column, rule_kind_names[p->rule->kind], n->text);
	if (p->in_where)
		return fail_at(p, n, "'where' chooses by labels, not by measured values");
	n->op = RULE_OP_VAR;
	n->type = n->var.type;
	return 0;
}

static int parse_word(struct rule_parser *p, struct rule_node **ret)
{
	struct rule_node *n = node_new(p, RULE_OP_VAR);
	unsigned subjects;
	int label;
	int rc;

	if (!n)
		return -ENOMEM;
	if (p->token.len > RULE_NAME_MAX)
		return rule_parser_fail(p, "name is longer than 64 letters");
	n->text = rule_parser_copy(p);
	if (!n->text)
		return -ENOMEM;
	*ret = n;
	rc = rule_parser_advance(p);
	if (rc < 0)
		return rc;
	if (p->token.kind == TOKEN_LPAREN)
		return parse_call(p, n, rule_fn_find(n->text));
	label = rule_label_find(n->text, &n->type, &subjects);
	return label >= 0 ? name_label(p, n, label, subjects) : name_var(p, n);
}

static int parse_operand(struct rule_parser *p, struct rule_node **ret)
{
	switch ((int)p->token.kind) {
	case TOKEN_NUMBER:
		return parse_number(p, ret);
	case TOKEN_TEXT:
		return parse_text(p, ret);
	case TOKEN_LPAREN:
		return parse_group(p, ret);
	case TOKEN_MINUS:
		return parse_prefix(p, RULE_OP_NEG, ret);
	case TOKEN_WORD:
		if (rule_parser_at_word(p, "not"))
			return parse_prefix(p, RULE_OP_NOT, ret);
		return parse_word(p, ret);
	default:
		return rule_parser_expected(p, "an expression");
	}
}

static int parse_infix(struct rule_parser *p, enum rule_op op, struct rule_node **left)
{
	struct rule_node *n = node_new(p, op);
	struct rule_node *right;
	int power = rule_op_power(op);
	int rc;

	if (!n)
		return -ENOMEM;
	/* The place to look at is where the expression begins. */
	n->line = (*left)->line;
	n->column = (*left)->column;
	rc = rule_parser_advance(p);
	if (rc == 0)
		rc = parse_at(p, power + 1, &right);
	if (rc < 0)
		return rc;
	n->left = *left;
	n->right = right;
	*left = n;
	rc = join(p, n);
	if (rc == 0)
		rc = type_infix(p, n);
	if (rc == 0 && power == 4 && rule_op_power(infix_of(p)) == 4)
		return rule_parser_fail(p, "comparisons do not chain, join them with 'and'");
	return rc;
}

static int parse_at(struct rule_parser *p, int power, struct rule_node **ret)
{
	enum rule_op op;
	int rc;

	if (p->depth == RULE_DEPTH_MAX)
		return rule_parser_fail(p, "expression is nested too deep (32 at most)");
	p->depth++;
	rc = parse_operand(p, ret);
	while (rc == 0) {
		op = infix_of(p);
		if (!rule_op_power(op) || rule_op_power(op) < power)
			break;
		rc = parse_infix(p, op, ret);
	}
	p->depth--;
	return rc;
}

int rule_parse_expr(struct rule_parser *p, const struct rule_node **ret)
{
	struct rule_node *n;
	int rc;

	p->depth = 0;
	rc = parse_at(p, 1, &n);
	if (rc == 0)
		*ret = n;
	return rc;
}

int rule_parse_condition(struct rule_parser *p, const struct rule_node **ret)
{
	const struct rule_node *n;
	int rc = rule_parse_expr(p, &n);

	if (rc != 0)
		return rc;
	if (n->type != RULE_BOOL)
		return fail_operand(p, n, "a condition");
	*ret = n;
	return 0;
}
