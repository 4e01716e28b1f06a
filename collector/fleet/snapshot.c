/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/snapshot.h"

#include <errno.h>
#include <jansson.h>

#include "proto/identity.h"

static char *dump(json_t *doc)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

/* False without memory. */
static bool add_numbers(json_t *to, const char *const names[SNAPSHOT_VALUES_MAX + 1],
			const int64_t *values)
{
	for (size_t i = 0; names[i]; i++)
		if (json_object_set_new(to, names[i], json_integer(values[i])) < 0)
			return false;
	return true;
}

static json_t *row_of(const struct snapshot_layout *layout, const struct wire_snapshot_row *r)
{
	json_t *o = json_object();

	if (json_object_set_new(o, layout->name, json_string(r->name)) == 0 &&
	    json_object_set_new(o, layout->about,
				*r->about ? json_string(r->about) : json_null()) == 0 &&
	    add_numbers(o, layout->values, r->values))
		return o;
	json_decref(o);
	return NULL;
}

static json_t *rows_of(const struct snapshot_layout *layout, const struct wire_snapshot *w)
{
	json_t *a = json_array();

	for (size_t i = 0; i < w->n_rows; i++)
		json_array_append_new(a, row_of(layout, &w->rows[i]));
	/* json_array_append_new() fails quietly for what found no memory. */
	if (json_array_size(a) == w->n_rows)
		return a;
	json_decref(a);
	return NULL;
}

static json_t *totals_of(const struct snapshot_layout *layout, const struct wire_snapshot *w)
{
	json_t *o = json_object();

	if (add_numbers(o, layout->totals, w->totals))
		return o;
	json_decref(o);
	return NULL;
}

int snapshot_doc_init(struct snapshot_doc *d, struct host *h, const struct wire_snapshot *w)
{
	const struct snapshot_layout *layout = snapshot_layout(w->kind);

	*d = (struct snapshot_doc){.proc_id = identity_process(w->boot_id, w->pid, w->start_ticks)};
	d->snapshot_id = identity_census(d->proc_id, w->t_wall_us);
	d->process = registry_find_process(h, d->proc_id);
	d->totals = dump(totals_of(layout, w));
	d->rows = dump(rows_of(layout, w));
	if (d->totals && d->rows)
		return 0;
	snapshot_doc_fini(d);
	return -ENOMEM;
}

void snapshot_doc_fini(struct snapshot_doc *d)
{
	free(d->totals);
	free(d->rows);
	d->totals = NULL;
	d->rows = NULL;
}
