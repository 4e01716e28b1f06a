/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h - rule text to a rule_set. The grammar is in docs/RULES.md. Text may be hostile: depth,
 * length, counts and memory are bounded, and each error is 'origin:line:column: what is wrong'.
 * Pure; the parser owns nothing after it returns.
 */
#ifndef MEMHERD_COLLECTOR_RULE_PARSE_H
#define MEMHERD_COLLECTOR_RULE_PARSE_H

#include "collector/rule/ast.h"
#include "collector/rule/lex.h"

#define RULE_WARMUP_US    (120 * 1000000LL)
#define RULE_CLEAR_US     (300 * 1000000LL) /* least time of a default clear */
#define RULE_WINDOW_MIN   (1 * 1000000LL)
#define RULE_WINDOW_MAX   (7200 * 1000000LL)
#define RULE_DURATION_MAX (30 * 86400 * 1000000LL)

/* Adds the rules of text, which came from origin (a file's name), to set. -EINVAL for a mistake,
 * -ENOMEM; the set's rules are then as before. */
int rule_set_parse(struct rule_set *set, const char *origin, const char *text, size_t len,
		   struct error *err) must_use;

/* ---- between parse.c, parse_expr.c and parse_do.c ---- */

struct rule_parser {
	struct rule_lexer lexer;
	struct rule_token token; /* the next one, not yet taken */
	struct rule_set *set;
	struct rule *rule; /* being read */
	bool in_where;
	bool in_window;
	unsigned depth;
	struct error *err;
};

/* A checked expression up to the first token that cannot continue it. */
int rule_parse_expr(struct rule_parser *p, const struct rule_node **ret) must_use;
/* The same, which must be a condition. */
int rule_parse_condition(struct rule_parser *p, const struct rule_node **ret) must_use;
/* 'do "ACTION NAME=VALUE ..."' of a level that acts, where the next token says so. */
int rule_parse_do(struct rule_parser *p, struct rule_level_def *l) must_use;

int rule_parser_advance(struct rule_parser *p) must_use;
bool rule_parser_at_word(const struct rule_parser *p, const char *word);
/* Fails at the next token: 'origin:line:column: ...'. */
int rule_parser_fail(struct rule_parser *p, const char *fmt, ...) printf_like(2, 3);
/* 'expected WHAT, found ...' at the next token. */
int rule_parser_expected(struct rule_parser *p, const char *what);
/* Takes a token of that kind. */
int rule_parser_take(struct rule_parser *p, enum rule_token_kind kind, const char *what) must_use;
/* A duration literal of min..max microseconds. */
int rule_parser_duration(struct rule_parser *p, int64_t min_us, int64_t max_us,
			 int64_t *ret_us) must_use;
/* A copy of the next token's text in the set's arena. */
char *rule_parser_copy(struct rule_parser *p);

#endif
