/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/census.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/identity.h"
#include "proto/python.h"

#define ID_SIZE 24
/* Types that the event names. */
#define EVENT_TYPES 5

static char *dump(json_t *doc)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

static json_t *types_of(const struct wire_census *w)
{
	json_t *a = json_array();

	for (size_t i = 0; i < w->n_types; i++)
		json_array_append_new(a, json_pack("[s, I, I]", w->types[i].name,
						   (json_int_t)w->types[i].count,
						   (json_int_t)w->types[i].bytes));
	/* json_array_append_new() fails quietly for what found no memory. */
	if (json_array_size(a) == w->n_types)
		return a;
	json_decref(a);
	return NULL;
}

static json_t *parts_of(const struct wire_census *w)
{
	static const bool bytes[HEAP_PART_COUNT] = {
#define X(NAME, name, is_bytes, help) [HEAP_PART_##NAME] = (is_bytes),
		HEAP_PART_LIST(X)
#undef X
	};
	json_t *to = json_object();
	char key[48];

	for (unsigned i = 0; i < HEAP_PART_COUNT; i++) {
		if (w->parts[i] == HEAP_ABSENT)
			continue;
		snprintf(key, sizeof(key), "%s%s", heap_part_name(i), bytes[i] ? "_bytes" : "");
		json_object_set_new(to, key, json_integer(w->parts[i]));
	}
	return to;
}

static json_t *event_of(const struct census_doc *c, const struct wire_census *w)
{
	const struct process *p = c->process;
	char version[PYTHON_VERSION_SIZE];
	char id[ID_SIZE];
	json_t *top = json_array();

	snprintf(id, sizeof(id), "%" PRId64, c->census_id);
	for (size_t i = 0; i < w->n_types && i < EVENT_TYPES; i++)
		json_array_append_new(top, json_pack("{s:s, s:I, s:I}", "name", w->types[i].name,
						     "count", (json_int_t)w->types[i].count,
						     "bytes", (json_int_t)w->types[i].bytes));
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o}", "census_id", id,
			 "pid", (int)w->pid, "comm", p ? p->comm : "", "service",
			 p ? p->service : "", "method", census_method_word(w->method), "reason",
			 census_reason_word(w->reason), "version",
			 python_version_text(version, w->version), "objects",
			 (json_int_t)w->objects, "bytes", (json_int_t)w->bytes, "pause_seconds",
			 (double)w->pause_us / 1e6, "types", top);
}

int census_doc_init(struct census_doc *c, struct host *h, const struct wire_census *w)
{
	*c = (struct census_doc){.proc_id = identity_process(w->boot_id, w->pid, w->start_ticks)};
	c->census_id = identity_census(c->proc_id, w->t_wall_us);
	c->process = registry_find_process(h, c->proc_id);
	c->types = dump(types_of(w));
	c->parts = dump(parts_of(w));
	c->event = dump(event_of(c, w));
	if (c->types && c->parts && c->event)
		return 0;
	census_doc_fini(c);
	return -ENOMEM;
}

void census_doc_fini(struct census_doc *c)
{
	free(c->types);
	free(c->parts);
	free(c->event);
	c->types = NULL;
	c->parts = NULL;
	c->event = NULL;
}
