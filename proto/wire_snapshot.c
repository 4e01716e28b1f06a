/* SPDX-License-Identifier: Apache-2.0 */
/* What was found by Python run in a process: made by memherd-actd, carried by link, stored by the
 * collector. */
#include <errno.h>
#include <string.h>

#include "proto/wire.h"
#include "proto/wire_rules.h"

static void values_of(struct rules *r, const int64_t *from, size_t n,
		      const char *const names[SNAPSHOT_VALUES_MAX + 1],
		      int64_t ret[SNAPSHOT_VALUES_MAX])
{
	size_t most = snapshot_names(names);

	rules_demand(r, n == most, "%zu numbers instead of %zu", n, most);
	for (size_t i = 0; i < n && !r->code; i++)
		ret[i] = from[i];
}

static struct wire_snapshot_row *rows_of(struct rules *r, struct arena *a,
					 const Memherd__Snapshot *m,
					 const struct snapshot_layout *layout)
{
	struct wire_snapshot_row *to;

	rules_demand(r, m->n_rows <= WIRE_MAX_ROWS, "%zu rows, %d are allowed", m->n_rows,
		     WIRE_MAX_ROWS);
	if (r->code)
		return NULL;
	to = arena_calloc(a, m->n_rows, sizeof(*to));
	rules_memory(r, to);
	for (size_t i = 0; i < m->n_rows && !r->code; i++) {
		const Memherd__SnapshotRow *row = m->rows[i];

		to[i].name = rules_text(r, row->name, WIRE_TEXT_MAX, "name");
		to[i].about = rules_text(r, row->about, WIRE_TEXT_MAX, "about");
		rules_demand(r, *to[i].name, "a row without name");
		values_of(r, row->value, row->n_value, layout->values, to[i].values);
	}
	return to;
}

int wire_unpack_snapshot(struct arena *a, const uint8_t *data, size_t len,
			 struct wire_snapshot *ret, struct error *err)
{
	struct rules r = {"snapshot", err, 0};
	const struct snapshot_layout *layout;
	Memherd__Snapshot *m;

	r.code = rules_unpack(&memherd__snapshot__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	layout = snapshot_layout(m->kind);
	rules_demand(&r, layout, "unknown kind %u", m->kind);
	if (r.code)
		return r.code;
	*ret = (struct wire_snapshot){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.pid = m->pid,
		.start_ticks = rules_counter(&r, m->start_ticks, "start_ticks"),
		.kind = layout->kind,
		.reason = (enum census_reason)m->reason,
		.has_command = m->command_id.len == UUID_SIZE,
		.subject = rules_text(&r, m->subject, WIRE_TYPE_MAX, "subject"),
		.note = rules_text(&r, m->note, WIRE_TEXT_MAX, "note"),
		.n_rows = m->n_rows,
	};
	rules_demand(&r, m->pid >= 1 && m->pid <= INT32_MAX, "'pid' of %u is out of range", m->pid);
	rules_demand(&r, census_reason_word(m->reason), "unknown reason %u", m->reason);
	rules_blob(&r, m->boot_id, UUID_SIZE, UUID_SIZE, "boot_id");
	rules_blob(&r, m->command_id, ret->has_command ? UUID_SIZE : 0,
		   ret->has_command ? UUID_SIZE : 0, "command_id");
	values_of(&r, m->total, m->n_total, layout->totals, ret->totals);
	ret->rows = rows_of(&r, a, m, layout);
	if (r.code)
		return r.code;
	memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	if (ret->has_command)
		memcpy(ret->command_id, m->command_id.data, UUID_SIZE);
	return 0;
}
