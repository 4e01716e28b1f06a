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
	const char *end;     /* of the input; *end is not read */
	const char *arg;     /* where the present argument began */
	const char *program; /* the last one seen of those that we know */
	bool cut;            /* there was more input */
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
		"password",   "passwd",        "passphrase",       "pwd",
		"secret",     "apikey",        "accesskey",        "privatekey",
		"credential", "authorization", "secretkey",        "authkey",
		"signingkey", "encryptionkey", "connectionstring", "bearer",
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

/* Is [s, s + n) a scheme of an Authorization header (RFC 9110 section 11.4)? */
static bool is_scheme(const char *s, size_t n)
{
	static const char *const schemes[] = {"bearer", "basic", "digest", "token", "apikey"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (n == strlen(schemes[i]) && strncasecmp(s, schemes[i], n) == 0)
			return true;
	return false;
}

/* 'Authorization: Bearer x': the scheme may show, what follows it is the secret. */
static const char *skip_scheme(struct masker *m, const char *p)
{
	const char *s = p;

	while (s < m->end && isalpha((unsigned char)*s))
		s++;
	if (s == m->end || *s != ' ' || !is_scheme(p, (size_t)(s - p)))
		return p;
	while (s < m->end && *s == ' ')
		s++;
	put(m, p, (size_t)(s - p));
	return s;
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
		if (colon && !whole)
			s = skip_scheme(m, s);
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

/* Options that only the program's name makes a secret; PAIR hides what follows the colon. */
enum option_form { NEXT = 1, JOINED = 2, PAIR = 4 };

static const struct {
	const char *program; /* its name begins so */
	const char *option;
	unsigned form;
} program_options[] = {
	{"mysql", "-p", JOINED},
	{"mariadb", "-p", JOINED},
	{"sshpass", "-p", JOINED | NEXT},
	{"mongo", "-p", JOINED | NEXT},
	{"redis-cli", "-a", JOINED | NEXT},
	{"ldap", "-w", JOINED | NEXT},
	{"curl", "-u", JOINED | NEXT | PAIR},
	{"curl", "--user", NEXT | PAIR},
	{"curl", "--proxy-user", NEXT | PAIR},
	{"wget", "-u", JOINED | NEXT | PAIR},
};

/* Where a word that begins at p ends: an argument of its own may hold blanks, a word of a shell's
 * command line does not. */
static const char *word_end(const struct masker *m, const char *p, bool whole)
{
	while (p < m->end && *p && (whole || !(is_gap(*p) || strchr("&;|\"')", *p))))
		p++;
	return p;
}

/* Is [p, end) a program of the table? sudo, env and sh put it anywhere. */
static void note_program(struct masker *m, const char *p, const char *end)
{
	const char *slash = memrchr(p, '/', (size_t)(end - p));
	size_t n;

	p = slash ? slash + 1 : p;
	n = (size_t)(end - p);
	for (size_t i = 0; i < ARRAY_SIZE(program_options); i++) {
		const char *name = program_options[i].program;

		if (n >= strlen(name) && strncasecmp(p, name, strlen(name)) == 0)
			m->program = name;
	}
}

/* The secret at m->p that ends there: hidden, of a pair only what follows the colon. */
static void hide(struct masker *m, const char *end, unsigned form)
{
	const char *colon = form & PAIR ? memchr(m->p, ':', (size_t)(end - m->p)) : NULL;

	if (form & PAIR)
		put(m, m->p, (size_t)((colon ? colon + 1 : end) - m->p));
	if (colon || !(form & PAIR))
		put_mask(m);
	m->p = end;
}

static bool mask_option(struct masker *m, const char *end, const char *option, unsigned form)
{
	size_t n = strlen(option);
	const char *s = m->p + n;
	bool own;

	if ((size_t)(end - m->p) < n || memcmp(m->p, option, n) != 0)
		return false;
	if (s < end && ((form & JOINED && *s != '=') || (form & PAIR && *s == '='))) {
		s += *s == '=';
		put(m, m->p, (size_t)(s - m->p));
		m->p = s;
		hide(m, end, form);
		return true;
	}
	if (s < end || !(form & NEXT))
		return false;
	while (s < m->end && is_gap(*s))
		s++;
	if (s == m->end)
		return false;
	own = s[-1] == '\0';
	put(m, m->p, (size_t)(s - m->p));
	m->p = s;
	if (!own && (*s == '"' || *s == '\''))
		put(m, m->p++, 1);
	hide(m, word_end(m, m->p, own), form);
	return true;
}

/* At the beginning of a word. True when the option and its secret were written. */
static bool mask_by_program(struct masker *m)
{
	const char *end = word_end(m, m->p, m->p == m->arg);

	if (*m->p != '-') {
		note_program(m, m->p, word_end(m, m->p, false));
		return false;
	}
	for (size_t i = 0; m->program && i < ARRAY_SIZE(program_options); i++)
		if (strcmp(program_options[i].program, m->program) == 0 &&
		    mask_option(m, end, program_options[i].option, program_options[i].form))
			return true;
	return false;
}

/* 'X-Auth: Bearer x', whatever the header's name. */
static bool mask_after_bearer(struct masker *m, const char *name)
{
	const char *s = m->p;

	if (m->p - name != 6 || strncasecmp(name, "bearer", 6) != 0)
		return false;
	while (s < m->end && *s == ' ')
		s++;
	if (s == m->p || s == m->end)
		return false;
	put(m, m->p, (size_t)(s - m->p));
	mask_value(m, s, false);
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
	if (!mask_after_bearer(m, name) && names_secret(name, (size_t)(m->p - name)))
		mask_after_name(m, name);
}

/* A word may begin here: after a gap, a quote or what ends a shell's command. */
static bool begins_word(const struct masker *m)
{
	return m->p == m->arg || is_gap(m->p[-1]) || strchr("&;|(\"'", m->p[-1]);
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
		if (begins_word(&m) && mask_by_program(&m))
			continue;
		step(&m);
	}
	for (size_t i = 0; i < m.len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return str_safe(out, size, text, m.len);
}
