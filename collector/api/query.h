/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - 'a=1&b=two%20words' into names and values. Pure; everything bounded.
 */
#ifndef MEMHERD_COLLECTOR_API_QUERY_H
#define MEMHERD_COLLECTOR_API_QUERY_H

#include <stdbool.h>

#include "common/error.h"

#define QUERY_FIELDS_MAX 32
#define QUERY_TEXT_MAX   4096

struct query_fields {
	unsigned n;
	struct {
		const char *name;
		const char *value;
	} fields[QUERY_FIELDS_MAX];
	char text[QUERY_TEXT_MAX + 1]; /* decoded; names and values point into it */
};

/* -EINVAL with a message: too long, too many, a name twice, '%' without two digits, %00. */
int query_parse(struct query_fields *q, const char *text, struct error *err) must_use;
/* NULL when absent. */
const char *query_get(const struct query_fields *q, const char *name);
/* Undoes percent-encoding in place, and '+' too where plus is true; -EINVAL. */
int query_decode(char *s, bool plus) must_use;

#endif
