/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.h - a piece of a path or of a command line: bytes with a length, inside the caller's text.
 */
#ifndef MEMHERD_COMMON_SPAN_H
#define MEMHERD_COMMON_SPAN_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

struct span {
	const char *s;
	size_t len;
};

static inline bool span_is(struct span a, const char *word)
{
	return a.len == strlen(word) && memcmp(a.s, word, a.len) == 0;
}

static inline bool span_starts(struct span a, const char *prefix)
{
	return a.len >= strlen(prefix) && memcmp(a.s, prefix, strlen(prefix)) == 0;
}

static inline bool span_ends(struct span a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.len >= n && memcmp(a.s + a.len - n, suffix, n) == 0;
}

static inline struct span span_from(struct span a, size_t n)
{
	return (struct span){a.s + n, a.len - n};
}

/* Cuts a suffix off, if it is there and not all. */
static inline struct span span_without(struct span a, const char *suffix)
{
	if (span_ends(a, suffix) && a.len > strlen(suffix))
		a.len -= strlen(suffix);
	return a;
}

/* Where word first stands, or NULL. */
static inline const char *span_find(struct span a, const char *word)
{
	return a.len ? memmem(a.s, a.len, word, strlen(word)) : NULL;
}

/* Cuts one component off the front of a path; false at the end. */
static inline bool span_component(const char **path, struct span *ret)
{
	const char *s = *path;

	while (*s == '/')
		s++;
	*ret = (struct span){s, strcspn(s, "/")};
	*path = s + ret->len;
	return ret->len > 0;
}

/* What follows the last '/'. */
static inline struct span span_base(struct span path)
{
	const char *slash = path.len ? memrchr(path.s, '/', path.len) : NULL;

	return slash ? span_from(path, (size_t)(slash + 1 - path.s)) : path;
}

/* prefix and then the span, made safe. */
static inline void span_write(char *out, size_t size, const char *prefix, struct span name)
{
	size_t n = (size_t)snprintf(out, size, "%s", prefix);

	if (n < size)
		str_safe(out + n, size - n, name.s, name.len);
}

#endif
