/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder: what differs from the base, column by column. */
#include <errno.h>
#include <string.h>

#include "proto/delta_inner.h"

/* Elements that a column has room for at first; a power of two. */
#define COLUMN_FIRST ((size_t)32)

/* One odd figure of /proc must not make the receiver refuse the whole tick. */
static int64_t in_range(int64_t v)
{
	if (v == METRIC_ABSENT)
		return v;
	return MIN_OF(MAX_OF(v, 0), VALUE_MAX);
}

/* ---- columns ---- */

/* Most rounds change little and a keyframe changes all: columns take their room as they fill. */
static struct wire_column *make_columns(struct arena *a, unsigned n_metrics)
{
	struct wire_column *columns = arena_calloc(a, n_metrics, sizeof(*columns));

	for (unsigned i = 0; columns && i < n_metrics; i++)
		columns[i].metric = i;
	return columns;
}

/* Room for n elements is COLUMN_FIRST, then the next power of two. */
static bool is_full(size_t n)
{
	return !n || (n >= COLUMN_FIRST && !(n & (n - 1)));
}

/* Room for one more than n elements of that size; NULL without memory. */
static void *more_room(struct arena *a, void *old, size_t n, size_t size)
{
	void *p;

	if (!is_full(n))
		return old;
	p = arena_alloc(a, (n ? n * 2 : COLUMN_FIRST) * size);
	if (p && n)
		memcpy(p, old, n * size);
	return p;
}

static bool put_delta(struct arena *a, struct wire_column *c, uint32_t id, int64_t delta)
{
	c->ids = more_room(a, c->ids, c->n, sizeof(*c->ids));
	c->deltas = more_room(a, c->deltas, c->n, sizeof(*c->deltas));
	if (!c->ids || !c->deltas)
		return false;
	c->ids[c->n] = id;
	c->deltas[c->n++] = delta;
	return true;
}

static bool put_lost(struct arena *a, struct wire_column *c, uint32_t id)
{
	c->lost = more_room(a, c->lost, c->n_lost, sizeof(*c->lost));
	if (!c->lost)
		return false;
	c->lost[c->n_lost++] = id;
	return true;
}

static void mark(uint8_t *bits, size_t n, uint32_t id)
{
	if (id < n)
		bits[id / 8] |= (uint8_t)(1u << id % 8);
}

static bool is_marked(const uint8_t *bits, uint32_t id)
{
	return bits[id / 8] & 1u << id % 8;
}

static struct wire_column **columns_of(struct wire_tick *t, enum delta_kind kind, size_t **ret_n)
{
	*ret_n = kind == DELTA_CGROUP ? &t->n_cgroup_columns : &t->n_interpreter_columns;
	return kind == DELTA_CGROUP ? &t->cgroup_columns : &t->interpreter_columns;
}

static int mark_reborn(struct delta_encoder *e)
{
	const struct delta_state *s = e->state;

	e->reborn = arena_calloc(e->arena, s->n_slots / 8 + 1, 1);
	if (!e->reborn)
		return -ENOMEM;
	for (size_t i = 0; i < e->tick->n_born; i++)
		mark(e->reborn, s->n_slots, e->tick->born[i].id);
	for (enum delta_kind kind = 0; kind < DELTA_KINDS; kind++) {
		size_t n = s->objects[kind].n;
		uint8_t *bits = arena_calloc(e->arena, n / 8 + 1, 1);

		if (!bits)
			return -ENOMEM;
		for (size_t i = 0; i < delta_announced(e->tick, kind); i++)
			mark(bits, n, delta_announced_id(e->tick, kind, i));
		e->reborn_objects[kind] = bits;
	}
	return 0;
}

/* Thousands of processes came and went, and ids are below n now. The encoder's alone: a decoder
 * must remember whom it was told of. */
static void shrink(struct delta_state *s, size_t n)
{
	struct delta_slot *slots;

	if (s->n_slots <= (size_t)SLOTS_MIN * 16 || n > s->n_slots / 4)
		return;
	n = MAX_OF(n * 2, (size_t)SLOTS_MIN);
	for (size_t i = n; i < s->n_slots; i++)
		if (s->slots[i].live)
			return;
	slots = realloc(s->slots, n * sizeof(*slots));
	if (slots)
		s->slots = slots;
	s->n_slots = n;
}

static int begin_objects(struct delta_encoder *e, const size_t n_objects[DELTA_KINDS])
{
	for (enum delta_kind kind = 0; kind < DELTA_KINDS; kind++) {
		size_t *n;
		struct wire_column **columns = columns_of(e->tick, kind, &n);

		e->max_objects[kind] = n_objects[kind];
		*columns = make_columns(e->arena, delta_kinds[kind].n_metrics);
		*n = delta_kinds[kind].n_metrics;
		if (!*columns || n_objects[kind] > delta_kinds[kind].max)
			return -ENOMEM;
	}
	return 0;
}

int delta_begin(struct delta_encoder *e, struct delta_state *s, struct arena *a,
		struct wire_tick *tick, size_t n_processes, const size_t n_objects[DELTA_KINDS])
{
	*e = (struct delta_encoder){.state = s,
				    .arena = a,
				    .tick = tick,
				    .max_processes = n_processes};
	shrink(s, n_processes);
	tick->host_metrics = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_metrics));
	tick->host_deltas = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_deltas));
	tick->n_host = 0;
	tick->columns = make_columns(a, METRIC_COUNT);
	tick->n_columns = METRIC_COUNT;
	/* After a tick that half came in there is no base to differ from. */
	e->failed = (!tick->keyframe && !s->ready) || n_processes > WIRE_MAX_PROCESSES ||
		    !tick->host_metrics || !tick->host_deltas || !tick->columns ||
		    begin_objects(e, n_objects) < 0 || mark_reborn(e) < 0;
	return e->failed ? -ENOMEM : 0;
}

/* Puts what differs from the base (NULL = nothing known) into the columns. */
static void put_changes(struct delta_encoder *e, struct wire_column *columns, unsigned n_metrics,
			size_t room, uint32_t id, const int64_t *base, const int64_t *v)
{
	for (unsigned i = 0; i < n_metrics && !e->failed; i++) {
		struct wire_column *c = &columns[i];
		int64_t before = base ? base[i] : METRIC_ABSENT;
		int64_t now = in_range(v[i]);

		if (now == before)
			continue;
		if (c->n + c->n_lost >= room)
			e->failed = true;
		else if (now == METRIC_ABSENT)
			e->failed = !put_lost(e->arena, c, id);
		else
			e->failed = !put_delta(e->arena, c, id, now - or_zero(before));
	}
}

void delta_process(struct delta_encoder *e, uint32_t id, const int64_t v[METRIC_COUNT])
{
	const struct delta_state *s = e->state;
	/* The base may be used: not in a keyframe, not of a process that went. */
	bool based = !e->tick->keyframe && id < s->n_slots && s->slots[id].live &&
		     !is_marked(e->reborn, id);
	int64_t base[METRIC_COUNT];

	if (id >= WIRE_MAX_PROCESSES)
		e->failed = true;
	if (based)
		delta_values(&s->slots[id], base);
	put_changes(e, e->tick->columns, METRIC_COUNT, e->max_processes, id, based ? base : NULL,
		    v);
}

void delta_put_object(struct delta_encoder *e, enum delta_kind kind, uint32_t id, const int64_t *v)
{
	const struct delta_state *s = e->state;
	bool based = !e->tick->keyframe && delta_object(s, kind, id) &&
		     !is_marked(e->reborn_objects[kind], id);
	size_t *n;

	if (id >= delta_kinds[kind].max)
		e->failed = true;
	put_changes(e, *columns_of(e->tick, kind, &n), delta_kinds[kind].n_metrics,
		    e->max_objects[kind], id, based ? delta_object_at(s, kind, id) : NULL, v);
}

void delta_host(struct delta_encoder *e, const int64_t v[HOST_METRIC_COUNT])
{
	struct wire_tick *t = e->tick;

	for (int i = 0; i < HOST_METRIC_COUNT && !e->failed; i++) {
		int64_t before = t->keyframe ? METRIC_ABSENT : e->state->host[i];

		/* The wire has no 'lost' for the host: a figure that is gone keeps its last. */
		int64_t now = in_range(v[i]);

		if (now == METRIC_ABSENT || now == before)
			continue;
		t->host_metrics[t->n_host] = (uint32_t)i;
		t->host_deltas[t->n_host++] = now - or_zero(before);
	}
}

static size_t drop_empty(struct wire_column *columns, size_t n_columns)
{
	size_t n = 0;

	for (size_t i = 0; i < n_columns; i++)
		if (columns[i].n || columns[i].n_lost)
			columns[n++] = columns[i];
	return n;
}

static int make_room_for_objects(struct delta_state *s, const struct wire_tick *t,
				 enum delta_kind kind)
{
	size_t top = 0;

	for (size_t i = 0; i < delta_announced(t, kind); i++)
		top = MAX_OF(top, (size_t)delta_announced_id(t, kind, i));
	if (top >= delta_kinds[kind].max)
		return -ENOMEM;
	return delta_announced(t, kind) ? delta_grow_objects(s, kind, top) : 0;
}

/* Room in the base for what is born; all that can fail comes before the base changes. */
static int make_room(struct delta_state *s, const struct wire_tick *t)
{
	size_t top = 0;
	int rc;

	for (size_t i = 0; i < t->n_born; i++)
		top = MAX_OF(top, (size_t)t->born[i].id);
	rc = top >= WIRE_MAX_PROCESSES ? -ENOMEM : delta_grow(s, top);
	for (enum delta_kind kind = 0; kind < DELTA_KINDS && !rc; kind++)
		rc = make_room_for_objects(s, t, kind);
	return rc;
}

int delta_finish(struct delta_encoder *e, struct buf *out)
{
	struct wire_tick *t = e->tick;
	size_t before = out->len;

	if (e->failed)
		return -ENOMEM;
	t->n_columns = drop_empty(t->columns, t->n_columns);
	for (enum delta_kind kind = 0; kind < DELTA_KINDS; kind++) {
		size_t *n;
		struct wire_column *columns = *columns_of(t, kind, &n);

		*n = drop_empty(columns, *n);
	}
	if (make_room(e->state, t) < 0)
		return -ENOMEM;
	wire_pack_tick(out, t);
	if (buf_status(out) || delta_apply(e->state, t, NULL) < 0) {
		out->len = before;
		return -ENOMEM;
	}
	return 0;
}
