/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/snapshot_diff.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

struct row {
	const char *name;
	const char *about; /* NULL = none */
	int64_t values[2][SNAPSHOT_VALUES_MAX];
	bool in[2]; /* the newer one, the base */
};

struct rows {
	const struct snapshot_layout *layout;
	struct row *rows;
	size_t n;
};

static bool same(const struct snapshot_layout *layout, const struct row *a, const struct row *b)
{
	return strcmp(a->name, b->name) == 0 &&
	       (!layout->keyed_by_about ||
		strcmp(a->about ? a->about : "", b->about ? b->about : "") == 0);
}

/* An agent may say anything: what is beyond 64 bits is the last number before. */
static int64_t plus(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

static int64_t minus(int64_t a, int64_t b)
{
	int64_t rest;

	if (!__builtin_sub_overflow(a, b, &rest))
		return rest;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

static void add(struct rows *to, const json_t *o, unsigned side)
{
	struct row row = {.name = json_string_value(json_object_get(o, to->layout->name)),
			  .about = json_string_value(json_object_get(o, to->layout->about))};
	struct row *at = to->rows;

	if (!row.name)
		return;
	while (at < to->rows + to->n && !same(to->layout, at, &row))
		at++;
	if (at == to->rows + to->n) {
		*at = row;
		to->n++;
	}
	at->in[side] = true;
	for (size_t i = 0; to->layout->values[i]; i++)
		at->values[side][i] =
			plus(at->values[side][i],
			     json_integer_value(json_object_get(o, to->layout->values[i])));
}

static int64_t growth(const struct row *r, size_t i)
{
	return minus(r->values[0][i], r->values[1][i]);
}

static int by_growth(const void *a, const void *b)
{
	int64_t x = growth(a, 0);
	int64_t y = growth(b, 0);

	if (x != y)
		return x < y ? 1 : -1;
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static json_t *row_json(const struct snapshot_layout *layout, const struct row *r)
{
	json_t *o = json_object();
	char key[64];

	json_object_set_new(o, layout->name, json_string(r->name));
	json_object_set_new(o, layout->about, r->about ? json_string(r->about) : json_null());
	json_object_set_new(o, "in", json_string(!r->in[0] ? "gone" : r->in[1] ? "both" : "new"));
	for (size_t i = 0; layout->values[i]; i++) {
		json_object_set_new(o, layout->values[i],
				    r->in[0] ? json_integer(r->values[0][i]) : json_null());
		snprintf(key, sizeof(key), "%s_growth", layout->values[i]);
		json_object_set_new(o, key, json_integer(growth(r, i)));
	}
	return o;
}

static json_t *load(const char *text)
{
	json_t *a = json_loads(text, 0, NULL);

	if (json_is_array(a))
		return a;
	json_decref(a);
	return NULL;
}

int snapshot_diff_rows(const struct snapshot_layout *layout, const char *now, const char *base,
		       size_t top, json_t **ret, struct error *err)
{
	json_t *docs[2] = {load(now), load(base)};
	struct rows all = {.layout = layout};
	int rc = docs[0] && docs[1] ? 0 : error_set(err, -EBADMSG, "rows are no array");

	if (rc == 0)
		all.rows = calloc(json_array_size(docs[0]) + json_array_size(docs[1]) + 1,
				  sizeof(*all.rows));
	if (rc == 0 && !all.rows)
		rc = error_set(err, -ENOMEM, "no memory for a difference");
	if (rc == 0) {
		for (unsigned side = 0; side < ARRAY_SIZE(docs); side++)
			for (size_t i = 0; i < json_array_size(docs[side]); i++)
				add(&all, json_array_get(docs[side], i), side);
		qsort(all.rows, all.n, sizeof(*all.rows), by_growth);
		*ret = json_array();
		for (size_t i = 0; i < MIN_OF(all.n, top); i++)
			json_array_append_new(*ret, row_json(layout, &all.rows[i]));
	}
	free(all.rows);
	json_decref(docs[0]);
	json_decref(docs[1]);
	return rc;
}
