/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lex.h - cuts rule text into tokens, each with its line and column. Text may be hostile: any
 * byte that begins no token is an error that names it. Allocates nothing. Pure.
 */
#ifndef MEMHERD_COLLECTOR_RULE_LEX_H
#define MEMHERD_COLLECTOR_RULE_LEX_H

#include "collector/rule/type.h"
#include "common/error.h"

/* X(NAME, as written) */
#define RULE_TOKEN_LIST(X)    \
	X(END, "end of text") \
	X(WORD, "word")       \
	X(NUMBER, "number")   \
	X(TEXT, "text")       \
	X(LBRACE, "{")        \
	X(RBRACE, "}")        \
	X(LPAREN, "(")        \
	X(RPAREN, ")")        \
	X(COMMA, ",")         \
	X(SEMICOLON, ";")     \
	X(LT, "<")            \
	X(LE, "<=")           \
	X(GT, ">")            \
	X(GE, ">=")           \
	X(EQ, "==")           \
	X(NE, "!=")           \
	X(MATCH, "~")         \
	X(PLUS, "+")          \
	X(MINUS, "-")         \
	X(STAR, "*")          \
	X(SLASH, "/")

enum rule_token_kind {
#define X(NAME, text) TOKEN_##NAME,
	RULE_TOKEN_LIST(X)
#undef X
		TOKEN_COUNT
};

struct rule_token {
	enum rule_token_kind kind;
	const char *p; /* within the text; of TEXT without its quotes, escapes as written */
	size_t len;
	unsigned line;
	unsigned column;
	enum rule_type type; /* of a NUMBER */
	double number;       /* in base units */
};

struct rule_lexer {
	const char *p;
	const char *end;
	const char *bol; /* begin of the line */
	const char *origin;
	unsigned line;
};

#define RULE_TEXT_MAX 512 /* bytes between quotes */

void rule_lexer_init(struct rule_lexer *l, const char *origin, const char *text, size_t len);
/* 0, or -EINVAL with 'origin:line:column: what is wrong'. */
int rule_lexer_next(struct rule_lexer *l, struct rule_token *ret, struct error *err) must_use;
const char *rule_token_name(enum rule_token_kind kind);

#endif
