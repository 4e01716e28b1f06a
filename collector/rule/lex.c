/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/lex.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/str.h"

#define NUMBER_MAX 32

static const char *const names[TOKEN_COUNT] = {
#define X(NAME, text) text,
	RULE_TOKEN_LIST(X)
#undef X
};

static const struct {
	const char *name;
	enum rule_type type;
	double scale;
} units[] = {
	{"", RULE_COUNT, 1},          {"%", RULE_RATIO, 0.01},    {"B", RULE_BYTES, 1},
	{"K", RULE_BYTES, 0x1p10},    {"KB", RULE_BYTES, 0x1p10}, {"KiB", RULE_BYTES, 0x1p10},
	{"M", RULE_BYTES, 0x1p20},    {"MB", RULE_BYTES, 0x1p20}, {"MiB", RULE_BYTES, 0x1p20},
	{"G", RULE_BYTES, 0x1p30},    {"GB", RULE_BYTES, 0x1p30}, {"GiB", RULE_BYTES, 0x1p30},
	{"T", RULE_BYTES, 0x1p40},    {"TB", RULE_BYTES, 0x1p40}, {"TiB", RULE_BYTES, 0x1p40},
	{"ms", RULE_DURATION, 0.001}, {"s", RULE_DURATION, 1},    {"m", RULE_DURATION, 60},
	{"min", RULE_DURATION, 60},   {"h", RULE_DURATION, 3600}, {"d", RULE_DURATION, 86400},
};

void rule_lexer_init(struct rule_lexer *l, const char *origin, const char *text, size_t len)
{
	*l = (struct rule_lexer){text, text + len, text, origin, 1};
}

const char *rule_token_name(enum rule_token_kind kind)
{
	return names[kind];
}

/* Own tests: those of <ctype.h> follow the locale and want an unsigned char. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct rule_lexer *l, size_t n)
{
	return (size_t)(l->end - l->p) > n ? l->p[n] : '\0';
}

static void skip_blank(struct rule_lexer *l)
{
	for (; l->p < l->end; l->p++) {
		if (*l->p == '#')
			while (l->p < l->end && *l->p != '\n')
				l->p++;
		if (l->p == l->end)
			return;
		if (*l->p == '\n') {
			l->line++;
			l->bol = l->p + 1;
		} else if (*l->p != ' ' && *l->p != '\t' && *l->p != '\r') {
			return;
		}
	}
}

static int find_unit(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
			return (int)i;
	return -1;
}

static size_t unit_length(const struct rule_lexer *l)
{
	size_t n = 0;

	if (peek(l, 0) == '%')
		return 1;
	while (is_letter(peek(l, n)))
		n++;
	return n;
}

/* '/h' that touches its number makes a rate; with a space before it, '/' divides. */
static int lex_per(struct rule_lexer *l, struct rule_token *t)
{
	size_t n = 1;
	int unit;
	int type;

	if (peek(l, 0) != '/' || !is_letter(peek(l, 1)))
		return 0;
	while (is_letter(peek(l, n)) || is_digit(peek(l, n)) || peek(l, n) == '.')
		n++;
	unit = find_unit(l->p + 1, n - 1);
	if (unit < 0 || units[unit].type != RULE_DURATION)
		return 0;
	type = rule_type_div(t->type, RULE_DURATION);
	if (type < 0)
		return -EINVAL;
	t->type = (enum rule_type)type;
	t->number /= units[unit].scale;
	l->p += n;
	return 0;
}

static int lex_number(struct rule_lexer *l, struct rule_token *t, struct error *err)
{
	char digits[NUMBER_MAX];
	size_t n = 0;
	int unit;

	while (is_digit(peek(l, n)) || peek(l, n) == '.')
		n++;
	if (n < NUMBER_MAX) {
		char *end;

		memcpy(digits, l->p, n);
		digits[n] = '\0';
		t->number = strtod(digits, &end);
		if (*end)
			n = NUMBER_MAX;
	}
	if (n >= NUMBER_MAX)
		return error_set(err, -EINVAL, "%s:%u:%u: malformed number", l->origin, t->line,
				 t->column);
	l->p += n;
	n = unit_length(l);
	unit = find_unit(l->p, n);
	if (unit < 0)
		return error_set(err, -EINVAL,
				 "%s:%u:%u: unknown unit '%.*s' (try MiB, %%, min, h)", l->origin,
				 t->line, t->column, (int)MIN_OF(n, (size_t)20), l->p);
	l->p += n;
	t->type = units[unit].type;
	t->number *= units[unit].scale;
	if (lex_per(l, t) < 0)
		return error_set(err, -EINVAL, "%s:%u:%u: there is no rate of %s", l->origin,
				 t->line, t->column, rule_type_name(t->type));
	t->len = (size_t)(l->p - t->p);
	t->kind = TOKEN_NUMBER;
	return 0;
}

static int lex_text(struct rule_lexer *l, struct rule_token *t, struct error *err)
{
	const char *why = NULL;

	t->p = ++l->p;
	while (l->p < l->end && *l->p != '"' && *l->p != '\n') {
		if (*l->p == '\\' && peek(l, 1) != '"' && peek(l, 1) != '\\')
			return error_set(err, -EINVAL,
					 "%s:%u:%u: text may hold '\\\"' and '\\\\' only",
					 l->origin, t->line, t->column);
		l->p += *l->p == '\\' ? 2 : 1;
	}
	t->len = (size_t)(l->p - t->p);
	if (l->p >= l->end || *l->p != '"')
		why = "text has no closing quote";
	else if (t->len > RULE_TEXT_MAX)
		why = "text is longer than 512 bytes";
	else if (!str_is_safe(t->p, t->len))
		why = "text is not valid UTF-8 or holds control characters";
	if (why)
		return error_set(err, -EINVAL, "%s:%u:%u: %s", l->origin, t->line, t->column, why);
	l->p++;
	t->kind = TOKEN_TEXT;
	return 0;
}

static void lex_word(struct rule_lexer *l, struct rule_token *t)
{
	while (is_letter(peek(l, 0)) || is_digit(peek(l, 0)) ||
	       (peek(l, 0) == '.' && is_letter(peek(l, 1))))
		l->p++;
	t->len = (size_t)(l->p - t->p);
	t->kind = TOKEN_WORD;
}

static int lex_sign(struct rule_lexer *l, struct rule_token *t, struct error *err)
{
	size_t best = 0;

	for (unsigned k = TOKEN_LBRACE; k < TOKEN_COUNT; k++) {
		size_t n = strlen(names[k]);

		if (n <= best || (size_t)(l->end - l->p) < n || memcmp(l->p, names[k], n) != 0)
			continue;
		best = n;
		t->kind = (enum rule_token_kind)k;
	}
	if (!best && *l->p == '=')
		return error_set(err, -EINVAL,
				 "%s:%u:%u: '=' is not an operator, compare with '=='", l->origin,
				 t->line, t->column);
	if (!best)
		return error_set(err, -EINVAL, "%s:%u:%u: unexpected byte 0x%02x", l->origin,
				 t->line, t->column, (unsigned char)*l->p);
	t->len = best;
	l->p += best;
	return 0;
}

int rule_lexer_next(struct rule_lexer *l, struct rule_token *ret, struct error *err)
{
	skip_blank(l);
	*ret = (struct rule_token){
		.kind = TOKEN_END,
		.p = l->p,
		.line = l->line,
		.column = (unsigned)(l->p - l->bol) + 1,
	};
	if (l->p == l->end)
		return 0;
	if (is_digit(*l->p))
		return lex_number(l, ret, err);
	if (*l->p == '"')
		return lex_text(l, ret, err);
	if (is_letter(*l->p)) {
		lex_word(l, ret);
		return 0;
	}
	return lex_sign(l, ret, err);
}
