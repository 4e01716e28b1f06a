/* SPDX-License-Identifier: Apache-2.0 */
/* What a Python process holds: made by memherd-actd, carried by link, stored by the collector. */
#include <errno.h>
#include <string.h>

#include "proto/wire.h"
#include "proto/wire_rules.h"

/* Nothing is larger than an address space; a predicted gain may be a little below 0. */
#define PART_MAX (INT64_C(1) << 53)

static void parts_of(struct rules *r, const Memherd__Census *m, int64_t v[HEAP_PART_COUNT])
{
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		v[i] = HEAP_ABSENT;
	rules_demand(r, m->n_part == m->n_value, "%zu parts but %zu values", m->n_part, m->n_value);
	for (size_t i = 0; i < m->n_part && !r->code; i++) {
		rules_demand(r, m->value[i] >= 0 && m->value[i] <= PART_MAX,
			     "part %u is out of range", m->part[i]);
		/* A newer agent may know more. */
		if (m->part[i] < HEAP_PART_COUNT)
			v[m->part[i]] = m->value[i];
	}
}

static struct wire_census_type *types_of(struct rules *r, struct arena *a, const Memherd__Census *m)
{
	struct wire_census_type *to;

	rules_demand(r, m->n_types <= WIRE_MAX_TYPES, "%zu types, %d are allowed", m->n_types,
		     WIRE_MAX_TYPES);
	rules_demand(r, m->n_types <= m->types_total, "%zu types of %u", m->n_types,
		     m->types_total);
	if (r->code)
		return NULL;
	to = arena_calloc(a, m->n_types, sizeof(*to));
	rules_memory(r, to);
	for (size_t i = 0; i < m->n_types && !r->code; i++) {
		to[i] = (struct wire_census_type){
			.name = rules_text(r, m->types[i]->name, WIRE_TYPE_MAX, "name"),
			.count = rules_counter(r, m->types[i]->count, "count"),
			.bytes = rules_counter(r, m->types[i]->bytes, "bytes"),
		};
		rules_demand(r, *to[i].name, "a type without name");
	}
	return to;
}

int wire_unpack_census(struct arena *a, const uint8_t *data, size_t len, struct wire_census *ret,
		       struct error *err)
{
	struct rules r = {"census", err, 0};
	Memherd__Census *m;

	r.code = rules_unpack(&memherd__census__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_census){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.pid = m->pid,
		.start_ticks = rules_counter(&r, m->start_ticks, "start_ticks"),
		.method = (enum census_method)m->method,
		.reason = (enum census_reason)m->reason,
		.has_command = m->command_id.len == UUID_SIZE,
		.version = m->version,
		.interpreters = m->interpreters,
		.pause_us = rules_counter(&r, m->pause_us, "pause_us"),
		.walk_us = rules_counter(&r, m->walk_us, "walk_us"),
		.objects = rules_counter(&r, m->objects, "objects"),
		.bytes = rules_counter(&r, m->bytes, "bytes"),
		.types_total = m->types_total,
		.error_per_10000 = m->error_per_10000,
		.n_types = m->n_types,
		.note = rules_text(&r, m->note, WIRE_TEXT_MAX, "note"),
	};
	rules_demand(&r, m->pid >= 1 && m->pid <= INT32_MAX, "'pid' of %u is out of range", m->pid);
	rules_demand(&r, census_method_word(m->method), "unknown method %u", m->method);
	rules_demand(&r, census_reason_word(m->reason), "unknown reason %u", m->reason);
	rules_blob(&r, m->boot_id, UUID_SIZE, UUID_SIZE, "boot_id");
	rules_blob(&r, m->command_id, ret->has_command ? UUID_SIZE : 0,
		   ret->has_command ? UUID_SIZE : 0, "command_id");
	parts_of(&r, m, ret->parts);
	ret->types = types_of(&r, a, m);
	if (r.code)
		return r.code;
	memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	if (ret->has_command)
		memcpy(ret->command_id, m->command_id.data, UUID_SIZE);
	return 0;
}
