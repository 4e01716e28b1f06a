/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/route.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

/* One segment of pattern against one of path, both ending at '/' or NUL. */
static bool segment_matches(const char *pattern, size_t n, const char *path, size_t m)
{
	if (n >= 2 && pattern[0] == '{')
		return m > 0;
	return n == m && memcmp(pattern, path, n) == 0;
}

static bool matches(const char *pattern, const char *path)
{
	for (;;) {
		size_t n = strcspn(pattern, "/");
		size_t m = strcspn(path, "/");

		if (!segment_matches(pattern, n, path, m))
			return false;
		pattern += n;
		path += m;
		if (!*pattern || !*path)
			return *pattern == *path;
		pattern++;
		path++;
	}
}

/* HEAD is GET without a body. */
static bool serves(const struct route *r, enum http_method method)
{
	return r->method == method || (method == HTTP_HEAD && r->method == HTTP_GET);
}

static void add_allowed(char allow[ROUTE_ALLOW_SIZE], enum http_method method)
{
	size_t at = strlen(allow);
	const char *name = http_method_name(method);

	str_copy(allow + at, ROUTE_ALLOW_SIZE - at, at ? ", " : "");
	at += strlen(allow + at);
	str_copy(allow + at, ROUTE_ALLOW_SIZE - at, name);
	if (method == HTTP_GET)
		add_allowed(allow, HTTP_HEAD);
}

/* Cuts path at its slashes and decodes what stands at the pattern's braces. */
static int take_params(const char *pattern, char *path, const char *params[CALL_PARAMS_MAX])
{
	unsigned n = 0;

	for (;;) {
		char *end = path + strcspn(path, "/");
		bool last = *end == '\0';

		*end = '\0';
		if (*pattern == '{') {
			if (query_decode(path, false) < 0 || !str_is_safe(path, strlen(path)))
				return -EINVAL;
			params[n++] = path;
		}
		if (last)
			return 0;
		pattern += strcspn(pattern, "/") + 1;
		path = end + 1;
	}
}

int route_find(const struct route *table, enum http_method method, char *path,
	       const char *params[CALL_PARAMS_MAX], char allow[ROUTE_ALLOW_SIZE],
	       const struct route **ret)
{
	allow[0] = '\0';
	for (const struct route *r = table; r->pattern; r++) {
		if (!matches(r->pattern, path))
			continue;
		if (serves(r, method)) {
			*ret = r;
			return take_params(r->pattern, path, params);
		}
		add_allowed(allow, r->method);
	}
	return allow[0] ? -EOPNOTSUPP : -ENOENT;
}

static unsigned count_params(const char *pattern)
{
	unsigned n = 0;

	for (; *pattern; pattern++)
		n += *pattern == '{';
	return n;
}

int route_check(const struct route *table, struct error *err)
{
	for (const struct route *r = table; r->pattern; r++) {
		const char *method = http_method_name(r->method);

		if (!r->scopes)
			return error_set(err, -EINVAL, "route '%s %s' says no scope", method,
					 r->pattern);
		if ((r->scopes & SCOPE_PUBLIC) && r->scopes != SCOPE_PUBLIC)
			return error_set(err, -EINVAL, "route '%s %s' is public and is not", method,
					 r->pattern);
		if (!r->handler || !r->summary || r->pattern[0] != '/' ||
		    count_params(r->pattern) > CALL_PARAMS_MAX)
			return error_set(err, -EINVAL, "route '%s %s' is not complete", method,
					 r->pattern);
		for (const struct route *s = table; s < r; s++)
			if (s->method == r->method && strcmp(s->pattern, r->pattern) == 0)
				return error_set(err, -EINVAL, "route '%s %s' stands twice", method,
						 r->pattern);
	}
	return 0;
}
