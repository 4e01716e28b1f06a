/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/query.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

int query_decode(char *s, bool plus)
{
	char *to = s;

	for (; *s; s++) {
		char hex[3] = {0};
		unsigned char byte;

		if (*s != '%') {
			*to++ = plus && *s == '+' ? ' ' : *s;
			continue;
		}
		hex[0] = s[1];
		hex[1] = s[1] ? s[2] : '\0';
		if (str_unhex(&byte, 1, hex) < 0 || byte == 0)
			return -EINVAL;
		*to++ = (char)byte;
		s += 2;
	}
	*to = '\0';
	return 0;
}

static int add(struct query_fields *q, char *name, char *value, struct error *err)
{
	if (query_decode(name, true) < 0 || query_decode(value, true) < 0)
		return error_set(err, -EINVAL, "the query holds a '%%' that is not an escape");
	if (!str_is_safe(name, strlen(name)) || !str_is_safe(value, strlen(value)))
		return error_set(err, -EINVAL, "the query holds bytes that are not text");
	if (query_get(q, name))
		return error_set(err, -EINVAL, "parameter '%s' is given twice", name);
	if (q->n == QUERY_FIELDS_MAX)
		return error_set(err, -EINVAL, "the query has more than %d parameters",
				 QUERY_FIELDS_MAX);
	q->fields[q->n].name = name;
	q->fields[q->n].value = value;
	q->n++;
	return 0;
}

int query_parse(struct query_fields *q, const char *text, struct error *err)
{
	char *rest = q->text;
	char *field;

	q->n = 0;
	if (!str_copy(q->text, sizeof(q->text), text))
		return error_set(err, -EINVAL, "the query is longer than %d bytes", QUERY_TEXT_MAX);
	while ((field = strsep(&rest, "&"))) {
		char *value = strchr(field, '=');
		int rc;

		if (!*field)
			continue;
		if (value)
			*value++ = '\0';
		else
			value = field + strlen(field);
		rc = add(q, field, value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

const char *query_get(const struct query_fields *q, const char *name)
{
	for (unsigned i = 0; i < q->n; i++)
		if (strcmp(q->fields[i].name, name) == 0)
			return q->fields[i].value;
	return NULL;
}
