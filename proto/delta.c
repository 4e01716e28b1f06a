/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/delta.h"

#include <errno.h>
#include <string.h>

#include "proto/identity.h"

/* Values are KiB, counts and milliseconds: 2^53 is far above all and exact in JSON's numbers. */
#define VALUE_MAX   (INT64_C(1) << 53)
#define SLOTS_MIN   64
#define CGROUPS_MIN 16
/* Elements that a column has room for at first; a power of two. */
#define COLUMN_FIRST ((size_t)32)

static void all_absent(int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = METRIC_ABSENT;
}

static void clear_host(struct delta_state *s)
{
	all_absent(s->host, HOST_METRIC_COUNT);
}

static void clear_values(struct delta_slot *slot)
{
	slot->live = false;
	all_absent(slot->v, METRIC_PYTHON_FIRST);
	free(slot->python);
	slot->python = NULL;
}

static void clear_cgroup(struct delta_cgroup *c)
{
	*c = (struct delta_cgroup){0};
	all_absent(c->v, CGROUP_METRIC_COUNT);
}

/* Of memory that was never a slot. */
static void make_slot(struct delta_slot *slot)
{
	*slot = (struct delta_slot){0};
	clear_values(slot);
}

static void clear_slot(struct delta_slot *slot)
{
	clear_values(slot);
	make_slot(slot);
}

/* Who had been told of stays: a keyframe announces those again without their strings. */
static void clear(struct delta_state *s)
{
	for (size_t i = 0; i < s->n_slots; i++)
		clear_values(&s->slots[i]);
	for (size_t i = 0; i < s->n_cgroups; i++)
		clear_cgroup(&s->cgroups[i]);
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
	for (size_t i = 0; i < s->n_slots; i++)
		free(s->slots[i].python);
	free(s->slots);
	free(s->cgroups);
	delta_init(s);
}

static int grow(struct delta_state *s, size_t id)
{
	struct delta_slot *slots;
	size_t n = MAX_OF(s->n_slots, (size_t)SLOTS_MIN);

	if (id < s->n_slots)
		return 0;
	while (n <= id)
		n = MORE_THAN(n);
	slots = realloc(s->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = s->n_slots; i < n; i++)
		make_slot(&slots[i]);
	s->slots = slots;
	s->n_slots = n;
	return 0;
}

static int grow_cgroups(struct delta_state *s, size_t id)
{
	struct delta_cgroup *cgroups;
	size_t n = MAX_OF(s->n_cgroups, (size_t)CGROUPS_MIN);

	if (id < s->n_cgroups)
		return 0;
	while (n <= id)
		n = MORE_THAN(n);
	cgroups = realloc(s->cgroups, n * sizeof(*cgroups));
	if (!cgroups)
		return -ENOMEM;
	for (size_t i = s->n_cgroups; i < n; i++)
		clear_cgroup(&cgroups[i]);
	s->cgroups = cgroups;
	s->n_cgroups = n;
	return 0;
}

void delta_values(const struct delta_slot *slot, int64_t v[METRIC_COUNT])
{
	memcpy(v, slot->v, sizeof(slot->v));
	if (slot->python)
		memcpy(v + METRIC_PYTHON_FIRST, slot->python,
		       METRIC_PYTHON_COUNT * sizeof(*slot->python));
	else
		all_absent(v + METRIC_PYTHON_FIRST, METRIC_PYTHON_COUNT);
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

static int mark_reborn(struct delta_encoder *e)
{
	const struct delta_state *s = e->state;

	e->reborn = arena_calloc(e->arena, s->n_slots / 8 + 1, 1);
	e->reborn_cgroups = arena_calloc(e->arena, s->n_cgroups / 8 + 1, 1);
	if (!e->reborn || !e->reborn_cgroups)
		return -ENOMEM;
	for (size_t i = 0; i < e->tick->n_born; i++)
		mark(e->reborn, s->n_slots, e->tick->born[i].id);
	for (size_t i = 0; i < e->tick->n_cgroups; i++)
		mark(e->reborn_cgroups, s->n_cgroups, e->tick->cgroups[i].id);
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

int delta_begin(struct delta_encoder *e, struct delta_state *s, struct arena *a,
		struct wire_tick *tick, size_t n_processes, size_t n_cgroups)
{
	*e = (struct delta_encoder){.state = s,
				    .arena = a,
				    .tick = tick,
				    .max_processes = n_processes,
				    .max_cgroups = n_cgroups};
	shrink(s, n_processes);
	tick->host_metrics = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_metrics));
	tick->host_deltas = arena_calloc(a, HOST_METRIC_COUNT, sizeof(*tick->host_deltas));
	tick->n_host = 0;
	tick->columns = make_columns(a, METRIC_COUNT);
	tick->n_columns = METRIC_COUNT;
	tick->cgroup_columns = make_columns(a, CGROUP_METRIC_COUNT);
	tick->n_cgroup_columns = CGROUP_METRIC_COUNT;
	/* After a tick that half came in there is no base to differ from. */
	e->failed = (!tick->keyframe && !s->ready) || n_processes > WIRE_MAX_PROCESSES ||
		    n_cgroups > WIRE_MAX_CGROUPS || !tick->host_metrics || !tick->host_deltas ||
		    !tick->columns || !tick->cgroup_columns || mark_reborn(e) < 0;
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

void delta_cgroup(struct delta_encoder *e, uint32_t id, const int64_t v[CGROUP_METRIC_COUNT])
{
	const struct delta_state *s = e->state;
	bool based = !e->tick->keyframe && id < s->n_cgroups && s->cgroups[id].live &&
		     !is_marked(e->reborn_cgroups, id);

	if (id >= WIRE_MAX_CGROUPS)
		e->failed = true;
	put_changes(e, e->tick->cgroup_columns, CGROUP_METRIC_COUNT, e->max_cgroups, id,
		    based ? s->cgroups[id].v : NULL, v);
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

/* Room in the base for what is born; all that can fail comes before the base changes. */
static int make_room(struct delta_state *s, const struct wire_tick *t)
{
	size_t top = 0;
	size_t top_cgroup = 0;

	for (size_t i = 0; i < t->n_born; i++)
		top = MAX_OF(top, (size_t)t->born[i].id);
	for (size_t i = 0; i < t->n_cgroups; i++)
		top_cgroup = MAX_OF(top_cgroup, (size_t)t->cgroups[i].id);
	if (top >= WIRE_MAX_PROCESSES || top_cgroup >= WIRE_MAX_CGROUPS || grow(s, top) < 0)
		return -ENOMEM;
	return t->n_cgroups ? grow_cgroups(s, top_cgroup) : 0;
}

int delta_finish(struct delta_encoder *e, struct buf *out)
{
	struct wire_tick *t = e->tick;
	size_t before = out->len;

	if (e->failed)
		return -ENOMEM;
	t->n_columns = drop_empty(t->columns, t->n_columns);
	t->n_cgroup_columns = drop_empty(t->cgroup_columns, t->n_cgroup_columns);
	if (make_room(e->state, t) < 0)
		return -ENOMEM;
	wire_pack_tick(out, t);
	if (buf_status(out) || delta_apply(e->state, t, NULL) < 0) {
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

static int cgroups_born(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	for (size_t i = 0; i < t->n_cgroups; i++) {
		const struct wire_cgroup *c = &t->cgroups[i];

		if (grow_cgroups(s, c->id) < 0)
			return error_set(err, -ENOMEM, "tick: no memory for %u cgroups", c->id);
		if (s->cgroups[c->id].live)
			return error_set(err, -EBADMSG, "tick: cgroup id %u is born twice", c->id);
		clear_cgroup(&s->cgroups[c->id]);
		s->cgroups[c->id].live = true;
		s->cgroups[c->id].cgroup_id = identity_cgroup(c->path);
	}
	return 0;
}

static int cgroups_go(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	for (size_t i = 0; i < t->n_cgroups_gone; i++) {
		uint32_t id = t->cgroups_gone[i];

		if (id >= s->n_cgroups || !s->cgroups[id].live)
			return error_set(err, -EBADMSG, "tick: cgroup id %u goes and is not live",
					 id);
		clear_cgroup(&s->cgroups[id]);
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

static int64_t *python_value(struct delta_slot *slot, unsigned metric)
{
	if (!slot->python) {
		slot->python = malloc(METRIC_PYTHON_COUNT * sizeof(*slot->python));
		if (!slot->python)
			return NULL;
		all_absent(slot->python, METRIC_PYTHON_COUNT);
	}
	return &slot->python[metric - METRIC_PYTHON_FIRST];
}

/* Where a value of an id is; -EBADMSG when the id is not live, -ENOMEM. */
static int process_value(const struct delta_state *s, uint32_t id, unsigned metric, int64_t **ret)
{
	if (id >= s->n_slots || !s->slots[id].live)
		return -EBADMSG;
	*ret = metric < METRIC_PYTHON_FIRST ? &s->slots[id].v[metric]
					    : python_value(&s->slots[id], metric);
	return *ret ? 0 : -ENOMEM;
}

static int cgroup_value(const struct delta_state *s, uint32_t id, unsigned metric, int64_t **ret)
{
	if (id >= s->n_cgroups || !s->cgroups[id].live)
		return -EBADMSG;
	*ret = &s->cgroups[id].v[metric];
	return 0;
}

static int add_column(struct delta_state *s, const struct wire_column *c, const char *name,
		      int (*value)(const struct delta_state *s, uint32_t id, unsigned metric,
				   int64_t **ret),
		      struct error *err)
{
	for (size_t i = 0; i < c->n + c->n_lost; i++) {
		bool lost = i >= c->n;
		uint32_t id = lost ? c->lost[i - c->n] : c->ids[i];
		int64_t *v;
		int rc = value(s, id, c->metric, &v);

		if (rc == -ENOMEM)
			return error_set(err, rc, "tick: no memory for '%s'", name);
		if (rc < 0)
			return error_set(err, rc, "tick: '%s' of id %u, which is not live", name,
					 id);
		if (lost)
			*v = METRIC_ABSENT;
		else if (add(v, c->deltas[i], name, err) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int apply(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	int rc;

	/* An id that exits may be given to a process that is born in the same round. */
	rc = t->keyframe ? 0 : go_away(s, t, err);
	if (!rc && !t->keyframe)
		rc = cgroups_go(s, t, err);
	if (!rc)
		rc = be_born(s, t, err);
	if (!rc)
		rc = cgroups_born(s, t, err);
	for (size_t i = 0; i < t->n_columns && !rc; i++)
		rc = add_column(s, &t->columns[i], metric_infos[t->columns[i].metric].name,
				process_value, err);
	for (size_t i = 0; i < t->n_cgroup_columns && !rc; i++)
		rc = add_column(s, &t->cgroup_columns[i],
				cgroup_metric_infos[t->cgroup_columns[i].metric].name, cgroup_value,
				err);
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
