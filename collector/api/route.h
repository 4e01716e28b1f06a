/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - the table of everything that can be asked, and how a path finds its row. Pure: no row
 * is called here. Each row says who may; one that does not is refused when the table is checked at
 * start-up, so nothing is open by oversight.
 */
#ifndef MEMHERD_COLLECTOR_API_ROUTE_H
#define MEMHERD_COLLECTOR_API_ROUTE_H

#include "collector/api/auth.h"
#include "collector/api/call.h"
#include "collector/api/http.h"

typedef void route_handler(struct call *c);

struct route {
	enum http_method method;
	const char *pattern; /* '/api/v1/hosts/{id}': a braced segment matches any one */
	unsigned scopes;     /* any of these, or SCOPE_PUBLIC */
	route_handler *handler;
	const char *summary;
};

/* Ends with a row whose pattern is NULL. */
extern const struct route route_table[];

/* -EINVAL: a row without scope, handler, summary or with a pattern that cannot match, or two rows
 * for one request. */
int route_check(const struct route *table, struct error *err) must_use;

#define ROUTE_ALLOW_SIZE 64
/*
 * Splits path (percent-encoded) in place into the row's params. 0 with the row; -ENOENT no such
 * path; -EOPNOTSUPP other methods only, which allow then lists; -EINVAL bad encoding.
 */
int route_find(const struct route *table, enum http_method method, char *path,
	       const char *params[CALL_PARAMS_MAX], char allow[ROUTE_ALLOW_SIZE],
	       const struct route **ret) must_use;

#endif
