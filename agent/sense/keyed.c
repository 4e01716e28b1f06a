/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/keyed.h"

#include <string.h>

/* What JSON, doubles and the wire hold exactly. */
#define NUMBER_MAX ((uint64_t)1 << 53)

/* Digits up to a blank or the end; false for anything else. */
static bool take_number(const char **p, const char *end, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	while (s < end && *s >= '0' && *s <= '9') {
		v = v * 10 + (uint64_t)(*s++ - '0');
		if (v > NUMBER_MAX)
			return false;
	}
	if (s == *p || (s < end && *s != ' '))
		return false;
	*p = s;
	*ret = v;
	return true;
}

static const struct keyed_row *row_of(const struct keyed_row *rows, size_t n, const char *key,
				      size_t len)
{
	for (size_t i = 0; i < n; i++) {
		const struct keyed_row *row = &rows[i];

		if (len == row->len && memcmp(key, row->key, len) == 0)
			return row;
	}
	return NULL;
}

static void take_line(const char *s, const char *eol, const struct keyed_row *rows, size_t n,
		      int64_t *v)
{
	const char *blank = memchr(s, ' ', (size_t)(eol - s));
	const struct keyed_row *row;
	const char *p = blank;
	uint64_t number;
	size_t len;

	if (!blank)
		return;
	len = (size_t)(blank - s);
	if (len && s[len - 1] == ':')
		len--;
	row = row_of(rows, n, s, len);
	if (!row)
		return;
	while (p < eol && *p == ' ')
		p++;
	if (!take_number(&p, eol, &number))
		return;
	if (v[row->index] == METRIC_ABSENT)
		v[row->index] = 0;
	/* a sum of so many large ones would be no figure of any kernel */
	if (v[row->index] <= (int64_t)(NUMBER_MAX - number))
		v[row->index] += (int64_t)number;
}

void keyed_parse(const char *s, size_t len, const struct keyed_row *rows, size_t n, int64_t *v)
{
	const char *end = s + len;
	const char *eol;

	for (; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1)
		take_line(s, eol, rows, n, v);
}

/* '12.34' is 1234; what follows two digits is left. */
static int64_t take_percent(const char *s, const char *end)
{
	int64_t v = 0;
	unsigned digits = 0;

	for (; s < end && *s >= '0' && *s <= '9' && digits < 4; s++, digits++)
		v = v * 10 + (*s - '0');
	if (!digits || end - s < 3 || *s != '.' || s[1] < '0' || s[1] > '9' || s[2] < '0' ||
	    s[2] > '9')
		return METRIC_ABSENT;
	return v * 100 + (s[1] - '0') * 10 + (s[2] - '0');
}

static const char *after(const char *s, const char *eol, const char *word)
{
	const char *at = memmem(s, (size_t)(eol - s), word, strlen(word));

	return at ? at + strlen(word) : NULL;
}

static void take_pressure(const char *s, const char *eol, int64_t *avg10, int64_t *total)
{
	const char *a = after(s, eol, " avg10=");
	const char *t = after(s, eol, " total=");
	uint64_t us;

	if (a)
		*avg10 = take_percent(a, eol);
	if (t && take_number(&t, eol, &us))
		*total = (int64_t)us;
}

void pressure_parse(const char *s, size_t len, struct pressure *ret)
{
	const char *end = s + len;
	const char *eol;

	*ret = (struct pressure){METRIC_ABSENT, METRIC_ABSENT, METRIC_ABSENT, METRIC_ABSENT};
	for (; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1) {
		if (eol - s > 4 && memcmp(s, "some", 4) == 0)
			take_pressure(s, eol, &ret->some_avg10, &ret->some_total);
		else if (eol - s > 4 && memcmp(s, "full", 4) == 0)
			take_pressure(s, eol, &ret->full_avg10, &ret->full_total);
	}
}
