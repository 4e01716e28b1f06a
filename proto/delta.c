/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/delta.h"

#include <errno.h>
#include <string.h>

/* Values are KiB, counts and milliseconds: 2^53 is far above all and exact in JSON's numbers. */
#define VALUE_MAX (INT64_C(1) << 53)
#define SLOTS_MIN 64

static void clear_host(struct delta_state *s)
{
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		s->host[i] = METRIC_ABSENT;
}

static void clear_values(struct delta_slot *slot)
{
	slot->live = false;
	for (int i = 0; i < METRIC_COUNT; i++)
		slot->v[i] = METRIC_ABSENT;
}

static void clear_slot(struct delta_slot *slot)
{
	*slot = (struct delta_slot){0};
	clear_values(slot);
}

/* Who had been told of stays: a keyframe announces those again without their strings. */
static void clear(struct delta_state *s)
{
	for (size_t i = 0; i < s->n_slots; i++)
		clear_values(&s->slots[i]);
	clear_host(s);
	s->ready = false;
}

void delta_init(struct delta_state *s)
{
	*s = (struct delta_state){0};
	clear_host(s);
}

void delta_fini(struct delta_state *s)
{
	free(s->slots);
	delta_init(s);
}

static int grow(struct delta_state *s, size_t id)
{
	struct delta_slot *slots;
	size_t n = MAX_OF(s->n_slots, (size_t)SLOTS_MIN);

	if (id < s->n_slots)
		return 0;
	while (n <= id)
		n *= 2;
	slots = realloc(s->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = s->n_slots; i < n; i++)
		clear_slot(&slots[i]);
	s->slots = slots;
	s->n_slots = n;
	return 0;
}

static int64_t or_zero(int64_t v)
{
	return v == METRIC_ABSENT ? 0 : v;
}

/* One odd figure of /proc must not make the receiver refuse the whole tick. */
static int64_t in_range(int64_t v)
{
	if (v == METRIC_ABSENT)
		return v;
	return MIN_OF(MAX_OF(v, 0), VALUE_MAX);
}

/* ---- encoder ---- */

static int make_columns(struct delta_encoder *e, size_t n)
{
	struct wire_column *columns = arena_calloc(e->arena, METRIC_COUNT, sizeof(*columns));

	if (!columns)
		return -ENOMEM;
	for (int i = 0; i < METRIC_COUNT; i++) {
		struct wire_column *c = &columns[i];

		c->metric = (enum metric)i;
		c->ids = arena_alloc(e->arena, n * sizeof(*c->ids));
		c->deltas = arena_alloc(e->arena, n * sizeof(*c->deltas));
		c->lost = arena_alloc(e->arena, n * sizeof(*c->lost));
		if (!c->ids || !c->deltas || !c->lost)
			return -ENOMEM;
	}
	e->tick->columns = columns;
	e->tick->n_columns = METRIC_COUNT;
	return 0;
}

static int mark_reborn(struct delta_encoder *e)
{
	e->reborn = arena_calloc(e->arena, e->state->n_slots / 8 + 1, 1);
	if (!e->reborn)
		return -ENOMEM;
	for (size_t i = 0; i < e->tick->n_born; i++) {
		uint32_t id = e->tick->born[i].id;

		if (id < e->state->n_slots)
			e->reborn[id / 8] |= (uint8_t)(1u << id % 8);
	}
	return 0;
}

int delta_begin(struct delta_encoder *e, struct delta_state *s, struct arena *a,
		struct wire_tick *tick, size_t n_processes)
{
	*e = (struct delta_encoder){.state = s,
				    .arena = a,
				    .tick = tick,
				    .max_processes = n_processes};
	tick->host_metrics = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_metrics));
	tick->host_deltas = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_deltas));
	tick->n_host = 0;
	/* After a tick that half came in there is no base to differ from. */
	e->failed = (!tick->keyframe && !s->ready) || n_processes > WIRE_MAX_PROCESSES ||
		    !tick->host_metrics || !tick->host_deltas || mark_reborn(e) < 0 ||
		    make_columns(e, n_processes) < 0;
	return e->failed ? -ENOMEM : 0;
}

/* Whether the base of this id may be used: not in a keyframe, not of a process that went. */
static const struct delta_slot *base_of(const struct delta_encoder *e, uint32_t id)
{
	const struct delta_state *s = e->state;

	if (e->tick->keyframe || id >= s->n_slots || !s->slots[id].live)
		return NULL;
	return e->reborn[id / 8] & 1u << id % 8 ? NULL : &s->slots[id];
}

void delta_process(struct delta_encoder *e, uint32_t id, const int64_t v[METRIC_COUNT])
{
	const struct delta_slot *base = base_of(e, id);

	for (int i = 0; i < METRIC_COUNT && !e->failed; i++) {
		struct wire_column *c = &e->tick->columns[i];
		int64_t before = base ? base->v[i] : METRIC_ABSENT;
		int64_t now = in_range(v[i]);

		if (now == before)
			continue;
		if (c->n + c->n_lost >= e->max_processes || id >= WIRE_MAX_PROCESSES) {
			e->failed = true;
		} else if (now == METRIC_ABSENT) {
			c->lost[c->n_lost++] = id;
		} else {
			c->ids[c->n] = id;
			c->deltas[c->n++] = now - or_zero(before);
		}
	}
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

static void drop_empty_columns(struct wire_tick *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].n || t->columns[i].n_lost)
			t->columns[n++] = t->columns[i];
	t->n_columns = n;
}

int delta_finish(struct delta_encoder *e, struct buf *out)
{
	size_t before = out->len;
	size_t top = 0;

	if (e->failed)
		return -ENOMEM;
	drop_empty_columns(e->tick);
	for (size_t i = 0; i < e->tick->n_born; i++)
		top = MAX_OF(top, (size_t)e->tick->born[i].id);
	/* All that can fail comes before the base changes. */
	if (top >= WIRE_MAX_PROCESSES || grow(e->state, top) < 0)
		return -ENOMEM;
	wire_pack_tick(out, e->tick);
	if (buf_status(out) || delta_apply(e->state, e->tick, NULL) < 0) {
		out->len = before;
		return -ENOMEM;
	}
	return 0;
}

/* ---- decoder ---- */

static int be_born(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	for (size_t i = 0; i < t->n_born; i++) {
		const struct wire_process *p = &t->born[i];
		struct delta_slot *slot;

		if (p->id >= WIRE_MAX_PROCESSES)
			return error_set(err, -EBADMSG, "tick: id %u is out of range", p->id);
		if (grow(s, p->id) < 0)
			return error_set(err, -ENOMEM, "tick: no memory for %u processes", p->id);
		slot = &s->slots[p->id];
		if (slot->live)
			return error_set(err, -EBADMSG, "tick: process id %u is born twice", p->id);
		slot->told = !p->known || (slot->told && slot->pid == p->pid &&
					   slot->start_ticks == p->start_ticks);
		clear_values(slot);
		slot->live = true;
		slot->pid = p->pid;
		slot->start_ticks = p->start_ticks;
	}
	return 0;
}

static int go_away(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	for (size_t i = 0; i < t->n_exited; i++) {
		uint32_t id = t->exited[i];

		if (id >= s->n_slots || !s->slots[id].live)
			return error_set(err, -EBADMSG, "tick: id %u exits and is not live", id);
		clear_slot(&s->slots[id]);
	}
	return 0;
}

static int add(int64_t *v, int64_t delta, const char *name, struct error *err)
{
	int64_t sum;

	if (__builtin_add_overflow(or_zero(*v), delta, &sum) || sum < 0 || sum > VALUE_MAX)
		return error_set(err, -EBADMSG, "tick: '%s' leaves its range", name);
	*v = sum;
	return 0;
}

static int add_column(struct delta_state *s, const struct wire_column *c, struct error *err)
{
	const char *name = metric_infos[c->metric].name;
	int rc = 0;

	for (size_t i = 0; i < c->n && !rc; i++) {
		if (c->ids[i] >= s->n_slots || !s->slots[c->ids[i]].live)
			return error_set(err, -EBADMSG, "tick: '%s' of id %u, which is not live",
					 name, c->ids[i]);
		rc = add(&s->slots[c->ids[i]].v[c->metric], c->deltas[i], name, err);
	}
	for (size_t i = 0; i < c->n_lost && !rc; i++) {
		if (c->lost[i] >= s->n_slots || !s->slots[c->lost[i]].live)
			return error_set(err, -EBADMSG, "tick: '%s' of id %u, which is not live",
					 name, c->lost[i]);
		s->slots[c->lost[i]].v[c->metric] = METRIC_ABSENT;
	}
	return rc;
}

static int apply(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	int rc;

	/* An id that exits may be given to a process that is born in the same round. */
	rc = t->keyframe ? 0 : go_away(s, t, err);
	if (!rc)
		rc = be_born(s, t, err);
	for (size_t i = 0; i < t->n_columns && !rc; i++)
		rc = add_column(s, &t->columns[i], err);
	for (size_t i = 0; i < t->n_host && !rc; i++)
		rc = add(&s->host[t->host_metrics[i]], t->host_deltas[i],
			 host_metric_infos[t->host_metrics[i]].name, err);
	return rc;
}

int delta_apply(struct delta_state *s, const struct wire_tick *tick, struct error *err)
{
	int rc;

	if (tick->keyframe)
		clear(s);
	else if (!s->ready)
		return error_set(err, -ENODATA, "tick: a delta without a keyframe before it");
	rc = apply(s, tick, err);
	s->ready = rc == 0;
	return rc;
}
