/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and their items; expressions are parse_expr.c's. */
#include "collector/rule/parse.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRIM_MAX         1
#define CENSUS_MAX       4
#define CENSUS_EVERY_MIN (10 * 60 * 1000000LL)
#define TRIM_MAX_US      (3600 * 1000000LL)

int rule_parser_fail(struct rule_parser *p, const char *fmt, ...)
{
	char what[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(p->err, -EINVAL, "%s:%u:%u: %s", p->lexer.origin, p->token.line,
			 p->token.column, what);
}

int rule_parser_expected(struct rule_parser *p, const char *what)
{
	const struct rule_token *t = &p->token;

	if (t->kind == TOKEN_END)
		return rule_parser_fail(p, "expected %s, found the end of the text", what);
	if (t->kind == TOKEN_WORD && t->len <= RULE_NAME_MAX) {
		char word[RULE_NAME_MAX + 1];

		memcpy(word, t->p, t->len);
		word[t->len] = '\0';
		if (rule_word_is_planned(word))
			return rule_parser_fail(p, "'%s' is not supported by this version", word);
	}
	return rule_parser_fail(p, "expected %s, found '%.*s'", what, (int)MIN_OF(t->len, 40u),
				t->p);
}

int rule_parser_advance(struct rule_parser *p)
{
	return rule_lexer_next(&p->lexer, &p->token, p->err);
}

bool rule_parser_at_word(const struct rule_parser *p, const char *word)
{
	return p->token.kind == TOKEN_WORD && p->token.len == strlen(word) &&
	       memcmp(p->token.p, word, p->token.len) == 0;
}

int rule_parser_take(struct rule_parser *p, enum rule_token_kind kind, const char *what)
{
	if (p->token.kind != kind)
		return rule_parser_expected(p, what);
	return rule_parser_advance(p);
}

char *rule_parser_copy(struct rule_parser *p)
{
	const struct rule_token *t = &p->token;
	char *s = arena_strndup(&p->set->arena, t->p, t->len);
	size_t n = 0;

	if (!s) {
		error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
		return NULL;
	}
	if (t->kind != TOKEN_TEXT)
		return s;
	for (size_t i = 0; i < t->len; i++) {
		if (s[i] == '\\')
			i++;
		s[n++] = s[i];
	}
	s[n] = '\0';
	return s;
}

int rule_parser_duration(struct rule_parser *p, int64_t min_us, int64_t max_us, int64_t *ret_us)
{
	double us = p->token.number * 1e6;

	if (p->token.kind != TOKEN_NUMBER || p->token.type != RULE_DURATION)
		return rule_parser_expected(p, "a duration such as '10min'");
	if (us < (double)min_us || us > (double)max_us)
		return rule_parser_fail(p, "duration '%.*s' is not within %llds and %lldh",
					(int)p->token.len, p->token.p,
					(long long)(min_us / 1000000),
					(long long)(max_us / 3600000000));
	*ret_us = llround(us);
	return rule_parser_advance(p);
}

static bool at(const struct rule_parser *p, const char *word)
{
	return rule_parser_at_word(p, word);
}

static int take_word(struct rule_parser *p, const char *word)
{
	char what[RULE_NAME_MAX];

	if (at(p, word))
		return rule_parser_advance(p);
	snprintf(what, sizeof(what), "'%s'", word);
	return rule_parser_expected(p, what);
}

static int parse_for(struct rule_parser *p, int64_t *ret_us)
{
	int rc;

	if (!at(p, "for"))
		return 0;
	rc = rule_parser_advance(p);
	return rc < 0 ? rc : rule_parser_duration(p, 0, RULE_DURATION_MAX, ret_us);
}

/* '[when E [for D]] [clear E [for D]]', each at most once and in this order. */
static int parse_when(struct rule_parser *p, struct rule_condition *c)
{
	int rc;

	if (at(p, "when")) {
		c->for_us = 0;
		c->clear = NULL;
		rc = rule_parser_advance(p);
		if (rc == 0)
			rc = rule_parse_condition(p, &c->when);
		if (rc == 0)
			rc = parse_for(p, &c->for_us);
		if (rc < 0)
			return rc;
		c->clear_us = MAX_OF(c->for_us, RULE_CLEAR_US);
	}
	if (!at(p, "clear"))
		return 0;
	rc = rule_parser_advance(p);
	if (rc == 0)
		rc = rule_parse_condition(p, &c->clear);
	if (rc < 0)
		return rc;
	c->clear_us = 0;
	return parse_for(p, &c->clear_us);
}

static int parse_count(struct rule_parser *p, unsigned *ret)
{
	double n = p->token.number;

	if (p->token.kind != TOKEN_NUMBER || p->token.type != RULE_COUNT || n != floor(n) ||
	    n < 1 || n > RULE_ACTIONS)
		return rule_parser_expected(p, "a whole number from 1 to 16");
	*ret = (unsigned)n;
	return rule_parser_advance(p);
}

/* 'max N per D', actions only. */
static int parse_max(struct rule_parser *p, struct rule_level_def *l)
{
	int rc;

	if (!at(p, "max"))
		return 0;
	if (l->level != RULE_TRIM)
		return rule_parser_fail(p, "'max' limits actions; level '%s' has none",
					rule_level_names[l->level]);
	rc = rule_parser_advance(p);
	if (rc < 0)
		return rc;
	rc = parse_count(p, &l->max);
	if (rc == 0)
		rc = take_word(p, "per");
	return rc < 0 ? rc : rule_parser_duration(p, 1000000, RULE_DURATION_MAX, &l->max_us);
}

/* 'approve', actions only. */
static int parse_approve(struct rule_parser *p, struct rule_level_def *l)
{
	if (!at(p, "approve"))
		return 0;
	if (l->level != RULE_TRIM)
		return rule_parser_fail(p, "'approve' is of actions; level '%s' has none",
					rule_level_names[l->level]);
	l->approve = true;
	return rule_parser_advance(p);
}

static int level_of(struct rule_parser *p)
{
	char word[RULE_NAME_MAX + 1] = "";

	if (p->token.kind == TOKEN_WORD && p->token.len <= RULE_NAME_MAX)
		memcpy(word, p->token.p, p->token.len);
	if (strcmp(word, "restart") == 0)
		return rule_parser_fail(p, "level 'restart' is not supported by this version "
					   "(log, mail, trim are)");
	if (rule_level_find(word) < 0)
		return rule_parser_expected(p, "a level: log, mail or trim");
	return rule_level_find(word);
}

/* The rule's own 'when' is the condition of each level that states none. */
static int parse_level(struct rule_parser *p, struct rule_condition *common)
{
	struct rule *r = p->rule;
	struct rule_level_def *l = &r->levels[r->n_levels];
	int level = level_of(p);
	int rc;

	if (level < 0)
		return level;
	if (r->n_levels && (int)l[-1].level >= level)
		return rule_parser_fail(p,
					"level '%s' after '%s': levels go log, mail, trim, "
					"each once",
					rule_level_names[level], rule_level_names[l[-1].level]);
	*l = (struct rule_level_def){
		.level = (enum rule_level)level,
		.on = *common,
		.max = TRIM_MAX,
		.max_us = TRIM_MAX_US,
		.action = COMMAND_TRIM,
	};
	rc = rule_parser_advance(p);
	if (rc == 0)
		rc = parse_when(p, &l->on);
	if (rc == 0)
		rc = parse_max(p, l);
	if (rc == 0)
		rc = parse_approve(p, l);
	if (rc == 0)
		rc = rule_parse_do(p, l);
	if (rc < 0)
		return rc;
	if (!l->on.when && (r->missing != RULE_MISSING_FIRE || l->on.clear))
		return rule_parser_fail(p,
					"level '%s' has no condition ('when ...' here or before "
					"the levels)",
					rule_level_names[level]);
	r->n_levels++;
	return 0;
}

static int parse_missing(struct rule_parser *p)
{
	struct rule *r = p->rule;
	int rc;

	if (at(p, "hold")) {
		r->missing = RULE_MISSING_HOLD;
		return rule_parser_advance(p);
	}
	if (at(p, "fire"))
		r->missing = RULE_MISSING_FIRE;
	else if (at(p, "clear"))
		r->missing = RULE_MISSING_CLEAR;
	else
		return rule_parser_expected(p, "'hold', 'fire after ...' or 'clear after ...'");
	rc = rule_parser_advance(p);
	if (rc == 0)
		rc = take_word(p, "after");
	return rc < 0 ? rc : rule_parser_duration(p, 1000000, RULE_DURATION_MAX, &r->missing_us);
}

/* 'every D [max N]'. */
static int parse_census(struct rule_parser *p)
{
	int rc = take_word(p, "every");

	p->rule->census_max = CENSUS_MAX;
	if (rc == 0)
		rc = rule_parser_duration(p, CENSUS_EVERY_MIN, RULE_DURATION_MAX,
					  &p->rule->census_us);
	if (rc < 0 || !at(p, "max"))
		return rc;
	rc = rule_parser_advance(p);
	return rc < 0 ? rc : parse_count(p, &p->rule->census_max);
}

static int parse_meta(struct rule_parser *p, const char **slot)
{
	if (p->token.kind != TOKEN_TEXT)
		return rule_parser_expected(p, "text in quotes");
	*slot = rule_parser_copy(p);
	return *slot ? rule_parser_advance(p) : -ENOMEM;
}

static const char **meta_slot(struct rule_parser *p)
{
	if (at(p, "why"))
		return &p->rule->why;
	if (at(p, "owner"))
		return &p->rule->owner;
	return at(p, "runbook") ? &p->rule->runbook : NULL;
}

static int parse_warmup(struct rule_parser *p)
{
	return rule_parser_duration(p, 0, RULE_DURATION_MAX, &p->rule->warmup_us);
}

static int parse_item(struct rule_parser *p, struct rule_condition *common)
{
	const char **slot = meta_slot(p);
	struct rule *r = p->rule;
	int (*parse)(struct rule_parser *) = NULL;
	int rc;

	if (at(p, "when") || at(p, "clear")) {
		if (common->when || r->n_levels || at(p, "clear"))
			return rule_parser_fail(p,
						"'%.*s' belongs once before the levels, "
						"'clear' after its 'when'",
						(int)p->token.len, p->token.p);
		return parse_when(p, common);
	}
	if (at(p, "warmup")) {
		if (common->when || r->n_levels)
			return rule_parser_fail(p, "'warmup' belongs before the conditions");
		parse = parse_warmup;
	} else if (at(p, "missing")) {
		if (r->n_levels)
			return rule_parser_fail(p, "'missing' belongs before the levels");
		parse = parse_missing;
	} else if (at(p, "census")) {
		if (r->n_levels || r->kind == RULE_HOST)
			return rule_parser_fail(p,
						r->n_levels
							? "'census' belongs before the levels"
							: "'census' is of a process or a service");
		parse = parse_census;
	} else if (!slot && !at(p, "level")) {
		return rule_parser_expected(
			p, "'why', 'when', 'missing', 'warmup', 'census' or 'level'");
	}
	rc = rule_parser_advance(p);
	if (rc < 0)
		return rc;
	if (parse)
		return parse(p);
	return slot ? parse_meta(p, slot) : parse_level(p, common);
}

static int parse_body(struct rule_parser *p)
{
	struct rule_condition common = {.clear_us = RULE_CLEAR_US};
	int rc = rule_parser_take(p, TOKEN_LBRACE, "'{'");

	while (rc == 0 && p->token.kind != TOKEN_RBRACE) {
		rc = parse_item(p, &common);
		/* ';' ends an item; the last one may go without. */
		if (rc == 0 && p->token.kind != TOKEN_RBRACE)
			rc = rule_parser_take(p, TOKEN_SEMICOLON, "';' or '}'");
	}
	if (rc < 0)
		return rc;
	if (!p->rule->n_levels)
		return rule_parser_fail(p, "rule '%s' has no level (log, mail or trim)",
					p->rule->name);
	return rule_parser_advance(p);
}

static int parse_name(struct rule_parser *p)
{
	if (p->token.kind != TOKEN_WORD || memchr(p->token.p, '.', p->token.len))
		return rule_parser_expected(p, "the rule's name");
	if (p->token.len > RULE_NAME_MAX)
		return rule_parser_fail(p, "name is longer than 64 letters");
	p->rule->name = rule_parser_copy(p);
	if (!p->rule->name)
		return -ENOMEM;
	if (rule_set_find(p->set, p->rule->name))
		return rule_parser_fail(p, "rule '%s' stands twice, first in %s:%u", p->rule->name,
					rule_set_find(p->set, p->rule->name)->origin,
					rule_set_find(p->set, p->rule->name)->line);
	return rule_parser_advance(p);
}

static int parse_subject(struct rule_parser *p)
{
	char word[RULE_NAME_MAX + 1] = "";
	int rc = take_word(p, "on");

	if (rc < 0)
		return rc;
	if (p->token.kind == TOKEN_WORD && p->token.len <= RULE_NAME_MAX)
		memcpy(word, p->token.p, p->token.len);
	if (rule_kind_find(word) < 0)
		return rule_parser_expected(p, "a subject: process, service or host");
	p->rule->kind = (enum rule_kind)rule_kind_find(word);
	rc = rule_parser_advance(p);
	if (rc < 0 || !at(p, "where"))
		return rc;
	rc = rule_parser_advance(p);
	p->in_where = true;
	if (rc == 0)
		rc = rule_parse_condition(p, &p->rule->where);
	p->in_where = false;
	return rc;
}

/* What an engine wants to know before it evaluates: which metrics and windows matter. */
static void note_uses(struct rule *r, const struct rule_node *n, bool *windows)
{
	if (!n)
		return;
	if (n->op == RULE_OP_CALL)
		windows[n->window] = true;
	if (n->op == RULE_OP_VAR && n->var.source == RULE_SRC_OWN)
		r->metrics |= 1ull << n->var.index;
	else if (n->op == RULE_OP_VAR)
		r->restless = true;
	note_uses(r, n->left, windows);
	note_uses(r, n->right, windows);
}

static const struct rule_node *find_comparison(const struct rule_node *n)
{
	const struct rule_node *found;

	if (!n || (rule_op_power(n->op) == 4 && n->op != RULE_OP_MATCH))
		return n;
	if (n->op != RULE_OP_AND && n->op != RULE_OP_OR && n->op != RULE_OP_NOT)
		return NULL;
	found = find_comparison(n->left);
	return found ? found : find_comparison(n->right);
}

static void find_measure(struct rule *r)
{
	const struct rule_node *n = find_comparison(r->levels[0].on.when);

	if (!n || (n->left->constant && n->right->constant))
		return;
	r->measure = n->left->constant ? n->right : n->left;
	r->lower_is_worse = (n->op == RULE_OP_LT || n->op == RULE_OP_LE) != n->left->constant;
	if (!rule_type_numeric(r->measure->type))
		r->measure = NULL;
}

static int finish_rule(struct rule_parser *p)
{
	bool windows[RULE_WINDOWS] = {false};
	struct rule *r = p->rule;

	_Static_assert(METRIC_COUNT <= 64, "rule.metrics is a bit set");
	for (unsigned i = 0; i < r->n_levels; i++) {
		note_uses(r, r->levels[i].on.when, windows);
		note_uses(r, r->levels[i].on.clear, windows);
	}
	find_measure(r);
	for (unsigned i = 0; i < p->set->n_windows; i++)
		r->n_windows += windows[i];
	r->windows = arena_calloc(&p->set->arena, r->n_windows, sizeof(*r->windows));
	if (!r->windows)
		return error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
	r->n_windows = 0;
	for (unsigned i = 0; i < p->set->n_windows; i++)
		if (windows[i])
			r->windows[r->n_windows++] = i;
	return 0;
}

static int parse_rule(struct rule_parser *p)
{
	struct rule *r = arena_calloc(&p->set->arena, 1, sizeof(*r));
	int rc;

	if (!r)
		return error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
	if (p->set->n_rules == RULE_MAX)
		return rule_parser_fail(p, "more than %d rules", RULE_MAX);
	p->rule = r;
	r->origin = arena_strndup(&p->set->arena, p->lexer.origin, strlen(p->lexer.origin));
	if (!r->origin)
		return error_set(p->err, -ENOMEM, "%s: no memory for rules", p->lexer.origin);
	r->line = p->token.line;
	r->why = r->owner = r->runbook = "";
	r->warmup_us = RULE_WARMUP_US;
	rc = take_word(p, "rule");
	if (rc == 0)
		rc = parse_name(p);
	if (rc == 0)
		rc = parse_subject(p);
	if (rc == 0)
		rc = parse_body(p);
	if (rc == 0)
		rc = finish_rule(p);
	if (rc == 0)
		p->set->rules[p->set->n_rules++] = r;
	return rc;
}

int rule_set_parse(struct rule_set *set, const char *origin, const char *text, size_t len,
		   struct error *err)
{
	struct rule_parser p = {.set = set, .err = err};
	unsigned rules = set->n_rules;
	unsigned windows = set->n_windows;
	int rc;

	if (len > RULE_FILE_MAX)
		return error_set(err, -EINVAL, "%s: larger than 256 KiB", origin);
	rule_lexer_init(&p.lexer, origin, text, len);
	rc = rule_parser_advance(&p);
	while (rc == 0 && p.token.kind != TOKEN_END)
		rc = parse_rule(&p);
	if (rc < 0) {
		set->n_rules = rules;
		set->n_windows = windows;
	}
	return rc;
}
