/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/str.h"

/* Masking may lengthen: 'pwd=' becomes 'pwd=***'. Five input bytes give at most eight. */
#define OUTPUT_MAX (MASK_INPUT_MAX * 2)

struct masker {
	const char *p;
	const char *end; /* of the input; *end is not read */
	const char *arg; /* where the present argument began */
	bool cut;        /* there was more input */
	char *out;
	size_t len;
};

static void put(struct masker *m, const char *s, size_t n)
{
	n = MIN_OF(n, (size_t)OUTPUT_MAX - m->len);
	memcpy(m->out + m->len, s, n);
	m->len += n;
}

static void put_mask(struct masker *m)
{
	put(m, MASK_TEXT, sizeof(MASK_TEXT) - 1);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool is_gap(char c)
{
	return c == '\0' || isspace((unsigned char)c);
}

/* Takes '-' and '_' out and lowers the case, so that one spelling of each word is enough. */
static size_t squeeze(char *dst, size_t size, const char *s, size_t n)
{
	size_t len = 0;

	/* The end of a long name says what it is: FOO_BAR_..._PASSWORD */
	if (n > size - 1) {
		s += n - (size - 1);
		n = size - 1;
	}
	for (size_t i = 0; i < n; i++)
		if (s[i] != '-' && s[i] != '_' && s[i] != '.')
			dst[len++] = (char)tolower((unsigned char)s[i]);
	dst[len] = '\0';
	return len;
}

static bool names_secret(const char *s, size_t n)
{
	static const char *const words[] = {
		"password",  "passwd",    "passphrase", "pwd",           "secret",
		"apikey",    "accesskey", "privatekey", "credential",    "authorization",
		"secretkey", "authkey",   "signingkey", "encryptionkey", "connectionstring",
	};
	char name[128];
	const char *token;

	squeeze(name, sizeof(name), s, n);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(name, words[i]))
			return true;
	if (str_ends(name, "pass"))
		return true;
	/* A language model's --max-tokens and --tokenizer are no secrets. */
	for (token = name; (token = strstr(token, "token")); token += 5)
		if (!str_starts(token + 5, "iz") && strcmp(token + 5, "s") != 0)
			return true;
	return false;
}

/* Where a value that begins at p ends: at its closing quote; with the argument when its name
 * began the argument; else at what would end it in a shell, a query or JSON. */
static const char *value_end(const struct masker *m, const char *p, bool whole)
{
	char quote = p < m->end && (*p == '"' || *p == '\'') ? *p : '\0';

	if (quote)
		p++;
	for (; p < m->end && *p; p++) {
		if (quote ? *p == quote : !whole && (is_gap(*p) || strchr("&;,\"'|)}", *p)))
			break;
	}
	return p;
}

/* Writes the mask in place of the value at p, keeping its opening quote. */
static void mask_value(struct masker *m, const char *p, bool whole)
{
	const char *stop = value_end(m, p, whole);

	if (p < stop && (*p == '"' || *p == '\''))
		put(m, p, 1);
	put_mask(m);
	m->p = stop;
}

/*
 * After a secret's name: copies the separator and masks the value. Handles '=', ':' (a closing
 * quote and blanks around it, as in JSON and headers) and, for an option, the gap before the
 * next argument.
 */
static void mask_after_name(struct masker *m, const char *name)
{
	const char *s = m->p;
	bool whole = name == m->arg;
	bool option = *name == '-';

	if (s < m->end && (*s == '"' || *s == '\''))
		s++;
	while (s < m->end && *s == ' ' && s != m->p)
		s++;
	if (s < m->end && (*s == '=' || *s == ':')) {
		bool colon = *s++ == ':';

		/* 'http://token:8080' is an address, not a header */
		if (colon && s < m->end && isdigit((unsigned char)*s) && !whole)
			return;
		while (s < m->end && *s == ' ' && colon)
			s++;
		put(m, m->p, (size_t)(s - m->p));
		mask_value(m, s, whole);
		return;
	}
	if (!option || m->p == m->end || !is_gap(*m->p))
		return;
	for (s = m->p; s < m->end && is_gap(*s); s++)
		;
	if (s == m->end)
		return;
	put(m, m->p, (size_t)(s - m->p));
	/* A value that is an argument of its own may hold blanks. */
	mask_value(m, s, s[-1] == '\0');
}

/* After '://': masks user:SECRET@, and a bare user that is long enough to be a token. */
static void mask_userinfo(struct masker *m)
{
	const char *at = NULL;
	const char *colon;
	const char *s;

	for (s = m->p; s < m->end && !is_gap(*s) && !strchr("/?#\"'", *s); s++)
		if (*s == '@')
			at = s;
	/* what is cut off may have begun with the '@' */
	if (!at && s == m->end && m->cut)
		at = s;
	if (!at)
		return;
	colon = memchr(m->p, ':', (size_t)(at - m->p));
	if (colon)
		put(m, m->p, (size_t)(colon + 1 - m->p));
	else if (at - m->p < 20)
		return;
	put_mask(m);
	m->p = at;
}

static bool program_is(const struct masker *m, const char *start, const char *prefix)
{
	size_t n = strnlen(start, (size_t)(m->end - start));
	const char *slash = memrchr(start, '/', n);
	const char *base = slash ? slash + 1 : start;

	n -= (size_t)(base - start);
	return n >= strlen(prefix) && strncasecmp(base, prefix, strlen(prefix)) == 0;
}

/* Options whose meaning only the program's name tells. True when the argument was written. */
static bool mask_by_program(struct masker *m, const char *start)
{
	const char *s = m->p;
	size_t n = strnlen(s, (size_t)(m->end - s));
	bool next = false;
	const char *colon;

	if (n > 2 && memcmp(s, "-p", 2) == 0 && s[2] != '=' &&
	    (program_is(m, start, "mysql") || program_is(m, start, "mariadb") ||
	     program_is(m, start, "sshpass"))) {
		put(m, s, 2);
		put_mask(m);
		m->p = s + n;
		return true;
	}
	if (!program_is(m, start, "curl") && !program_is(m, start, "wget"))
		return false;
	if ((n == 2 && memcmp(s, "-u", 2) == 0) || (n == 6 && memcmp(s, "--user", 6) == 0))
		next = true;
	else if (n < 3 || memcmp(s, "-u", 2) != 0)
		return false;
	if (next) {
		if (s + n + 1 >= m->end)
			return false;
		put(m, s, n + 1);
		s += n + 1;
		n = strnlen(s, (size_t)(m->end - s));
	}
	colon = memchr(s, ':', n);
	put(m, s, colon ? (size_t)(colon + 1 - s) : n);
	if (colon)
		put_mask(m);
	m->p = s + n;
	return true;
}

/* One step: a word with what belongs to it, or one other byte. */
static void step(struct masker *m)
{
	const char *name = m->p;

	if (m->end - m->p >= 3 && memcmp(m->p, "://", 3) == 0) {
		put(m, m->p, 3);
		m->p += 3;
		mask_userinfo(m);
		return;
	}
	if (!is_word(*m->p)) {
		put(m, m->p++, 1);
		return;
	}
	while (m->p < m->end && is_word(*m->p))
		m->p++;
	put(m, name, (size_t)(m->p - name));
	if (names_secret(name, (size_t)(m->p - name)))
		mask_after_name(m, name);
}

size_t mask_cmdline(char *out, size_t size, const void *raw, size_t len)
{
	const char *start = raw;
	char text[OUTPUT_MAX];
	struct masker m = {.p = start, .arg = start, .out = text, .cut = len >= MASK_INPUT_MAX};

	len = MIN_OF(len, (size_t)MASK_INPUT_MAX);
	/* setproctitle pads with NULs and blanks */
	while (len && is_gap(start[len - 1]))
		len--;
	m.end = start + len;
	while (m.p < m.end) {
		bool begins = m.p == start || m.p[-1] == '\0';

		if (begins)
			m.arg = m.p;
		if (begins && m.p != start && mask_by_program(&m, start))
			continue;
		step(&m);
	}
	for (size_t i = 0; i < m.len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return str_safe(out, size, text, m.len);
}
