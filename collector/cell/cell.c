/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cell/cell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
#define SELF       "self" /* what a request calls the collector itself */

/* The next part, up to a comma; false where it does not fit. */
static bool take(const char **at, const char *end, char *out, size_t size)
{
	const char *comma = memchr(*at, ',', (size_t)(end - *at));
	const char *stop = comma ? comma : end;
	const char *from = *at;

	*at = comma ? comma + 1 : end;
	while (from < stop && *from == ' ')
		from++;
	while (stop > from && stop[-1] == ' ')
		stop--;
	if ((size_t)(stop - from) >= size)
		return false;
	memcpy(out, from, (size_t)(stop - from));
	out[stop - from] = '\0';
	return true;
}

/* Where a token may go in the clear: nobody else hears it. */
static bool is_loopback(const char *host)
{
	size_t n = strcspn(host, ":/");

	if (str_starts(host, "[::1]"))
		return host[5] == '\0' || host[5] == ':';
	return (n == strlen("localhost") && strncmp(host, "localhost", n) == 0) ||
	       (str_starts(host, "127.") && strspn(host, "0123456789.") == n);
}

static int check_url(const struct cell *c, struct error *err)
{
	const char *host = strstr(c->url, "://");

	if (!host || !str_is_safe(c->url, strlen(c->url)) || strpbrk(c->url, " @\"<>?#\\"))
		host = "";
	else
		host += 3;
	if (!*host || *host == ':' || strchr(host, '/') ||
	    (!str_starts(c->url, "https://") && !str_starts(c->url, "http://")))
		return error_set(err, -EINVAL,
				 "cell '%s': '%s' is not https://HOST[:PORT] without a path",
				 c->name, c->url);
	if (str_starts(c->url, "http://") && !is_loopback(host))
		return error_set(
			err, -EINVAL,
			"cell '%s': '%s' would send the token in the clear: https:// it must "
			"be, but for loopback addresses",
			c->name, c->url);
	return 0;
}

static int check_file(const struct cell *c, const char *what, const char *path, struct error *err)
{
	return *path == '/' ? 0
			    : error_set(err, -EINVAL, "cell '%s': %s '%s' is not an absolute path",
					c->name, what, path);
}

int cell_parse(const char *line, size_t len, struct cell *ret, struct error *err)
{
	const char *end = line + len;
	const char *eq = memchr(line, '=', len);
	struct cell c = {.name = ""};
	const char *at; /* '=', then what is not read yet */
	int rc;

	while (line < end && *line == ' ')
		line++;
	for (at = eq; eq && eq > line && eq[-1] == ' ';)
		eq--;
	if (!eq || eq <= line || (size_t)(eq - line) >= sizeof(c.name) ||
	    strspn(line, NAME_CHARS) != (size_t)(eq - line))
		return error_set(
			err, -EINVAL,
			"a cell is NAME=URL,TOKEN-FILE[,CA-FILE], its name up to 32 letters, "
			"digits, '-', '_' and '.': not '%.*s'",
			(int)MIN_OF(len, (size_t)100), line);
	memcpy(c.name, line, (size_t)(eq - line));
	if (strcmp(c.name, SELF) == 0)
		return error_set(err, -EINVAL, "no cell can be called '" SELF "'");
	at++;
	if (!take(&at, end, c.url, sizeof(c.url)) ||
	    !take(&at, end, c.token_file, sizeof(c.token_file)) ||
	    !take(&at, end, c.ca_file, sizeof(c.ca_file)) || at != end)
		return error_set(
			err, -EINVAL,
			"cell '%s': URL,TOKEN-FILE[,CA-FILE] is expected after '=', and no "
			"part as long as that",
			c.name);
	while (str_ends(c.url, "/") && !str_ends(c.url, "://"))
		c.url[strlen(c.url) - 1] = '\0';
	rc = check_url(&c, err);
	if (rc == 0)
		rc = check_file(&c, "token file", c.token_file, err);
	if (rc == 0 && *c.ca_file)
		rc = check_file(&c, "CA file", c.ca_file, err);
	if (rc == 0)
		*ret = c;
	return rc;
}

int cells_parse(const char *text, struct cell **ret, struct error *err)
{
	struct cell *list = calloc(CELLS_MAX, sizeof(*list));
	int n = 0;
	int rc = 0;

	if (!list)
		return error_sys(err, -ENOMEM, "cells");
	for (const char *at = text; *at && rc == 0;) {
		size_t len = strcspn(at, "\n");

		if (n == CELLS_MAX)
			rc = error_set(err, -EINVAL, "more than %d cells", CELLS_MAX);
		else
			rc = cell_parse(at, len, &list[n], err);
		for (int i = 0; rc == 0 && i < n; i++)
			if (strcmp(list[i].name, list[n].name) == 0)
				rc = error_set(err, -EINVAL, "cell '%s' stands there twice",
					       list[n].name);
		n++;
		at += len + (at[len] == '\n');
	}
	if (rc < 0 || n == 0) {
		free(list);
		return rc;
	}
	*ret = list;
	return n;
}
