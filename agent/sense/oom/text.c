/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/text.h"

#include <ctype.h>

#include "proto/metric.h"

bool text_is(struct text t, const char *word)
{
	return t.len == strlen(word) && memcmp(t.p, word, t.len) == 0;
}

bool text_starts(struct text t, const char *prefix)
{
	size_t n = strlen(prefix);

	return t.len >= n && memcmp(t.p, prefix, n) == 0;
}

bool text_skip(struct text *t, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!text_starts(*t, prefix))
		return false;
	t->p += n;
	t->len -= n;
	return true;
}

void text_skip_spaces(struct text *t)
{
	while (t->len && *t->p == ' ') {
		t->p++;
		t->len--;
	}
}

bool text_number(struct text *t, int64_t *ret)
{
	bool minus = t->len && *t->p == '-';
	size_t i = minus;
	int64_t v = 0;

	for (; i < t->len && isdigit((unsigned char)t->p[i]); i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, t->p[i] - '0', &v))
			return false;
	if (i == minus)
		return false;
	*ret = minus ? -v : v;
	t->p += i;
	t->len -= i;
	return true;
}

struct text text_word(struct text *t)
{
	const char *end = t->len ? memchr(t->p, ' ', t->len) : NULL;
	struct text word = text_of(t->p, end ? (size_t)(end - t->p) : t->len);

	t->p += word.len;
	t->len -= word.len;
	return word;
}

bool text_line(struct text *t, struct text *ret)
{
	const char *end;
	size_t n;

	if (!t->len)
		return false;
	end = memchr(t->p, '\n', t->len);
	n = end ? (size_t)(end - t->p) : t->len;
	*ret = text_of(t->p, n);
	n += end != NULL;
	t->p += n;
	t->len -= n;
	return true;
}

static void split(struct text t, const char *at, size_t sep, struct text *ret_before,
		  struct text *ret_after)
{
	size_t n = (size_t)(at - t.p);

	if (ret_before)
		*ret_before = text_of(t.p, n);
	if (ret_after)
		*ret_after = text_of(at + sep, t.len - n - sep);
}

bool text_cut(struct text t, const char *sep, struct text *ret_before, struct text *ret_after)
{
	size_t n = strlen(sep);
	const char *at = t.len ? memmem(t.p, t.len, sep, n) : NULL;

	if (!at)
		return false;
	split(t, at, n, ret_before, ret_after);
	return true;
}

bool text_cut_last(struct text t, const char *sep, struct text *ret_before, struct text *ret_after)
{
	size_t n = strlen(sep);

	if (t.len < n)
		return false;
	for (size_t left = t.len - n + 1; left;) {
		const char *at = memrchr(t.p, *sep, left);

		if (!at)
			return false;
		if (memcmp(at, sep, n) == 0) {
			split(t, at, n, ret_before, ret_after);
			return true;
		}
		left = (size_t)(at - t.p);
	}
	return false;
}

int64_t text_value(struct text t, const char *key)
{
	int64_t v;

	if (!text_cut(t, key, NULL, &t) || !text_number(&t, &v))
		return METRIC_ABSENT;
	return v;
}

void text_copy(char *dst, size_t size, struct text t)
{
	size_t n = strnlen(t.len ? t.p : "", MIN_OF(t.len, size - 1));

	if (n)
		memcpy(dst, t.p, n);
	dst[n] = '\0';
}
