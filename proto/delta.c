/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/delta_inner.h"

#include <errno.h>
#include <string.h>

#include "proto/identity.h"

#define OBJECTS_MIN 16

const struct delta_kind_info delta_kinds[DELTA_KINDS] = {
	[DELTA_CGROUP] = {"cgroup", cgroup_metric_infos, CGROUP_METRIC_COUNT, WIRE_MAX_CGROUPS},
	[DELTA_INTERPRETER] = {"interpreter", interpreter_metric_infos, INTERPRETER_METRIC_COUNT,
			       WIRE_MAX_INTERPRETERS},
};

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

int64_t *delta_object_at(const struct delta_state *s, enum delta_kind kind, size_t id)
{
	return s->objects[kind].v + id * delta_kinds[kind].n_metrics;
}

static void clear_object(struct delta_state *s, enum delta_kind kind, size_t id)
{
	s->objects[kind].list[id] = (struct delta_object){0};
	all_absent(delta_object_at(s, kind, id), delta_kinds[kind].n_metrics);
}

const struct delta_object *delta_object(const struct delta_state *s, enum delta_kind kind,
					size_t id)
{
	const struct delta_objects *o = &s->objects[kind];

	return id < o->n && o->list[id].live ? &o->list[id] : NULL;
}

const int64_t *delta_object_values(const struct delta_state *s, enum delta_kind kind, size_t id)
{
	return delta_object_at(s, kind, id);
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
	for (enum delta_kind kind = 0; kind < DELTA_KINDS; kind++)
		for (size_t i = 0; i < s->objects[kind].n; i++)
			clear_object(s, kind, i);
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
	for (enum delta_kind kind = 0; kind < DELTA_KINDS; kind++) {
		free(s->objects[kind].list);
		free(s->objects[kind].v);
	}
	delta_init(s);
}

int delta_grow(struct delta_state *s, size_t id)
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

int delta_grow_objects(struct delta_state *s, enum delta_kind kind, size_t id)
{
	struct delta_objects *o = &s->objects[kind];
	size_t n = MAX_OF(o->n, (size_t)OBJECTS_MIN);
	struct delta_object *list;
	int64_t *v;

	if (id < o->n)
		return 0;
	while (n <= id)
		n = MORE_THAN(n);
	list = realloc(o->list, n * sizeof(*list));
	if (!list)
		return -ENOMEM;
	o->list = list;
	v = realloc(o->v, n * delta_kinds[kind].n_metrics * sizeof(*v));
	if (!v)
		return -ENOMEM;
	o->v = v;
	for (size_t i = o->n; i < n; i++)
		clear_object(s, kind, i);
	o->n = n;
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

/* ---- what a tick says of a kind ---- */

size_t delta_announced(const struct wire_tick *t, enum delta_kind kind)
{
	return kind == DELTA_CGROUP ? t->n_cgroups : t->n_interpreters;
}

uint32_t delta_announced_id(const struct wire_tick *t, enum delta_kind kind, size_t i)
{
	return kind == DELTA_CGROUP ? t->cgroups[i].id : t->interpreters[i].id;
}

static struct delta_object announced_object(const struct wire_tick *t, enum delta_kind kind,
					    size_t i)
{
	if (kind == DELTA_CGROUP)
		return (struct delta_object){.live = true,
					     .key = identity_cgroup(t->cgroups[i].path)};
	return (struct delta_object){.live = true,
				     .process = t->interpreters[i].process,
				     .key = (int64_t)t->interpreters[i].number};
}

static const uint32_t *gone(const struct wire_tick *t, enum delta_kind kind, size_t *ret_n)
{
	*ret_n = kind == DELTA_CGROUP ? t->n_cgroups_gone : t->n_interpreters_gone;
	return kind == DELTA_CGROUP ? t->cgroups_gone : t->interpreters_gone;
}

/* ---- decoder ---- */

static int be_born(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	for (size_t i = 0; i < t->n_born; i++) {
		const struct wire_process *p = &t->born[i];
		struct delta_slot *slot;

		if (p->id >= WIRE_MAX_PROCESSES)
			return error_set(err, -EBADMSG, "tick: id %u is out of range", p->id);
		if (delta_grow(s, p->id) < 0)
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
		slot->key = identity_process(s->boot_id, p->pid, p->start_ticks);
	}
	return 0;
}

static int objects_born(struct delta_state *s, const struct wire_tick *t, enum delta_kind kind,
			struct error *err)
{
	for (size_t i = 0; i < delta_announced(t, kind); i++) {
		uint32_t id = delta_announced_id(t, kind, i);

		if (delta_grow_objects(s, kind, id) < 0)
			return error_set(err, -ENOMEM, "tick: no memory for %u %ss", id,
					 delta_kinds[kind].name);
		if (delta_object(s, kind, id))
			return error_set(err, -EBADMSG, "tick: %s id %u is born twice",
					 delta_kinds[kind].name, id);
		clear_object(s, kind, id);
		s->objects[kind].list[id] = announced_object(t, kind, i);
	}
	return 0;
}

static int objects_go(struct delta_state *s, const struct wire_tick *t, enum delta_kind kind,
		      struct error *err)
{
	size_t n;
	const uint32_t *ids = gone(t, kind, &n);

	for (size_t i = 0; i < n; i++) {
		if (!delta_object(s, kind, ids[i]))
			return error_set(err, -EBADMSG, "tick: %s id %u goes and is not live",
					 delta_kinds[kind].name, ids[i]);
		clear_object(s, kind, ids[i]);
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

static int object_value(const struct delta_state *s, enum delta_kind kind, uint32_t id,
			unsigned metric, int64_t **ret)
{
	if (!delta_object(s, kind, id))
		return -EBADMSG;
	*ret = delta_object_at(s, kind, id) + metric;
	return 0;
}

static int cgroup_value(const struct delta_state *s, uint32_t id, unsigned metric, int64_t **ret)
{
	return object_value(s, DELTA_CGROUP, id, metric, ret);
}

static int interpreter_value(const struct delta_state *s, uint32_t id, unsigned metric,
			     int64_t **ret)
{
	return object_value(s, DELTA_INTERPRETER, id, metric, ret);
}

typedef int value_of(const struct delta_state *s, uint32_t id, unsigned metric, int64_t **ret);

static int add_column(struct delta_state *s, const struct wire_column *c, const char *name,
		      value_of *value, struct error *err)
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

static int add_columns(struct delta_state *s, const struct wire_column *columns, size_t n,
		       const struct metric_info *infos, value_of *value, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++)
		rc = add_column(s, &columns[i], infos[columns[i].metric].name, value, err);
	return rc;
}

static int apply(struct delta_state *s, const struct wire_tick *t, struct error *err)
{
	int rc;

	/* An id that exits may be given to a process that is born in the same round. */
	rc = t->keyframe ? 0 : go_away(s, t, err);
	for (enum delta_kind kind = 0; kind < DELTA_KINDS && !rc && !t->keyframe; kind++)
		rc = objects_go(s, t, kind, err);
	if (!rc)
		rc = be_born(s, t, err);
	for (enum delta_kind kind = 0; kind < DELTA_KINDS && !rc; kind++)
		rc = objects_born(s, t, kind, err);
	if (!rc)
		rc = add_columns(s, t->columns, t->n_columns, metric_infos, process_value, err);
	if (!rc)
		rc = add_columns(s, t->cgroup_columns, t->n_cgroup_columns, cgroup_metric_infos,
				 cgroup_value, err);
	if (!rc)
		rc = add_columns(s, t->interpreter_columns, t->n_interpreter_columns,
				 interpreter_metric_infos, interpreter_value, err);
	for (size_t i = 0; i < t->n_host && !rc; i++)
		rc = add(&s->host[t->host_metrics[i]], t->host_deltas[i],
			 host_metric_infos[t->host_metrics[i]].name, err);
	return rc;
}

int delta_apply(struct delta_state *s, const struct wire_tick *tick, struct error *err)
{
	int rc;

	if (tick->keyframe) {
		clear(s);
		memcpy(s->boot_id, tick->boot_id, sizeof(s->boot_id));
	} else if (!s->ready) {
		return error_set(err, -ENODATA, "tick: a delta without a keyframe before it");
	}
	rc = apply(s, tick, err);
	s->ready = rc == 0;
	return rc;
}
