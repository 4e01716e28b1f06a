/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot's body, as a hostile agent sends it: what is stored of it must be JSON that PostgreSQL
 * takes, with the same rows, and its differences must add up.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/snapshot_diff.h"
#include "collector/fleet/snapshot.h"

#define ROWS_MAX 512 /* of a difference: of two snapshots */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Strict as jsonb is: a NUL, half a surrogate pair or what is no UTF-8 is no JSON. */
static json_t *load(const char *text)
{
	json_t *doc = text ? json_loads(text, 0, NULL) : NULL;

	if (!doc)
		abort();
	return doc;
}

static void check_rows(const struct wire_snapshot *s, const json_t *rows)
{
	const struct snapshot_layout *layout = snapshot_layout(s->kind);

	if (json_array_size(rows) != s->n_rows)
		abort();
	for (size_t i = 0; i < s->n_rows; i++) {
		const json_t *o = json_array_get(rows, i);
		const char *name = json_string_value(json_object_get(o, layout->name));

		if (!name || strcmp(name, s->rows[i].name) != 0)
			abort();
		for (size_t k = 0; layout->values[k]; k++)
			if (json_integer_value(json_object_get(o, layout->values[k])) !=
			    s->rows[i].values[k])
				abort();
	}
}

/* Of a snapshot and of nothing, in that order or the other, or of it and itself. */
static void check_diff(const struct snapshot_layout *layout, const char *now, const char *base)
{
	json_t *rows = NULL;
	json_t *row;
	size_t i;
	struct error err;

	if (snapshot_diff_rows(layout, now, base, ROWS_MAX, &rows, &err) < 0)
		abort();
	json_array_foreach (rows, i, row) {
		const char *in = json_string_value(json_object_get(row, "in"));

		for (size_t k = 0; layout->values[k]; k++) {
			char key[64];

			snprintf(key, sizeof(key), "%s_growth", layout->values[k]);
			if (!json_is_integer(json_object_get(row, key)))
				abort();
			if (now == base && json_integer_value(json_object_get(row, key)) != 0)
				abort();
		}
		if (strcmp(in, now == base ? "both" : strcmp(now, "[]") == 0 ? "gone" : "new") != 0)
			abort();
	}
	json_decref(rows);
}

static void store(const struct wire_snapshot *s)
{
	static const uint8_t uuid[16] = {1};
	auto_snapshot_doc struct snapshot_doc doc = {0};
	const struct snapshot_layout *layout = snapshot_layout(s->kind);
	struct registry r;
	struct host *h;
	json_t *rows;

	registry_init(&r);
	h = registry_host(&r, 1, uuid, "h");
	if (!h || snapshot_doc_init(&doc, h, s) < 0)
		abort();
	rows = load(doc.rows);
	check_rows(s, rows);
	json_decref(rows);
	json_decref(load(doc.totals));
	check_diff(layout, doc.rows, "[]");
	check_diff(layout, "[]", doc.rows);
	check_diff(layout, doc.rows, doc.rows);
	registry_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_arena struct arena a;
	struct wire_snapshot s;
	struct error err;

	arena_init(&a, WIRE_BUDGET(size));
	if (wire_unpack_snapshot(&a, data, size, &s, &err) == 0)
		store(&s);
	return 0;
}
