/* SPDX-License-Identifier: Apache-2.0 */
/* What was known of the interpreter in a process that a dossier names: its collector, why it grew,
 * and where its memory was at its last census. */
#include "collector/fleet/dossier_python.h"

#include <stdio.h>

#include "collector/fleet/verdict.h"
#include "common/str.h"
#include "proto/python.h"

#define TOLD_TYPES 3

static void set_gc(json_t *to, const struct process *p)
{
	static const enum metric gc[] = {METRIC_GC0,           METRIC_GC1,
					 METRIC_GC2,           METRIC_COLLECTED,
					 METRIC_UNCOLLECTABLE, METRIC_GC_ENABLED,
					 METRIC_GC_THRESHOLD0};

	for (size_t i = 0; i < ARRAY_SIZE(gc); i++)
		if (p->v[gc[i]] != METRIC_ABSENT)
			json_object_set_new(to, metric_infos[gc[i]].name,
					    json_integer(p->v[gc[i]]));
}

static void set_version(json_t *to, const struct process *p)
{
	int64_t v = p->v[METRIC_PYTHON_VERSION];
	char text[PYTHON_VERSION_SIZE];

	if (v > 0 && v <= UINT32_MAX)
		json_object_set_new(to, "version",
				    json_string(python_version_text(text, (uint32_t)v)));
}

static void set_verdict(json_t *to, const struct host *h, const struct process *p)
{
	struct leak_verdict v;

	if (!verdict_of(h, p, &v) || v.kind == LEAK_UNKNOWN)
		return;
	json_object_set_new(to, "verdict",
			    json_pack("{s:s, s:s, s:s}", "kind", leak_kind_word(v.kind),
				      "confidence", kill_confidence_word(v.confidence), "sentence",
				      v.sentence));
}

static json_t *parts_of(const struct python_census *c)
{
	json_t *parts = json_object();

	for (unsigned i = 0; i < HEAP_PART_COUNT; i++) {
		char key[48];

		if (c->parts[i] == HEAP_ABSENT)
			continue;
		snprintf(key, sizeof(key), "%s%s", heap_part_name(i),
			 i == HEAP_PART_ARENAS ? "" : "_bytes");
		json_object_set_new(parts, key, json_integer(c->parts[i]));
	}
	return parts;
}

static json_t *types_of(const struct python_census *c)
{
	json_t *types = json_array();

	for (unsigned i = 0; i < MIN_OF(c->n, (unsigned)TOLD_TYPES); i++)
		json_array_append_new(types, json_pack("{s:s, s:I, s:I}", "name", c->types[i].name,
						       "count", (json_int_t)c->types[i].count,
						       "bytes", (json_int_t)c->types[i].bytes));
	return types;
}

static void set_census(json_t *to, const struct python_census *c)
{
	char time[STR_TIME_SIZE];

	json_object_set_new(to, "census",
			    json_pack("{s:s, s:I, s:I, s:o*, s:o*}", "time",
				      str_time(time, c->t_us), "objects", (json_int_t)c->objects,
				      "bytes", (json_int_t)c->bytes, "memory", parts_of(c), "types",
				      types_of(c)));
}

json_t *dossier_python(const struct host *h, const struct process *p)
{
	json_t *to = json_object();

	set_gc(to, p);
	set_version(to, p);
	set_verdict(to, h, p);
	if (p->python && p->python->base)
		set_census(to, p->python->last ? p->python->last : p->python->base);
	if (json_object_size(to))
		return to;
	json_decref(to);
	return NULL;
}
