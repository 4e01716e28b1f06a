/* SPDX-License-Identifier: Apache-2.0 */
/* A round of samples: who came, who went, what everything measures now. */
#include <errno.h>
#include <string.h>

#include "collector/fleet/ingest_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/identity.h"

/* The agent's clock is believed while it differs less than this from ours. */
#define SKEW_TOLERATED_US (2 * USEC_PER_SEC)
/* A tick as old as that says nothing of the host's clock as it is now. */
#define FRESH_US (60 * USEC_PER_SEC)
/* A sample may not lie further ahead than this, whatever the agent's clock says. */
#define AHEAD_MAX_US (5 * 60 * USEC_PER_SEC)

int64_t ingest_time(const struct stream *s, int64_t t_wall_us)
{
	int64_t t = t_wall_us;
	int64_t latest = clock_wall_us() + AHEAD_MAX_US;

	if (s->skew_us > SKEW_TOLERATED_US || s->skew_us < -SKEW_TOLERATED_US)
		t -= s->skew_us;
	return MIN_OF(t, latest);
}

/*
 * The skew by the tick itself: its boot clock was held against our clock at the greeting, so that a
 * wall clock that was set since shows at once, and in what was kept from before, too. Ticks of
 * another boot have the greeting's.
 */
static int64_t skew_of(const struct taking *k, const struct wire_tick *tick)
{
	const struct host_clock *clock = &k->host->clock;
	const uint8_t *boot_id = tick->keyframe ? tick->boot_id : k->stream->delta.boot_id;

	if (memcmp(clock->boot_id, boot_id, sizeof(clock->boot_id)) != 0)
		return k->host->skew_us;
	return tick->t_wall_us - ((int64_t)tick->t_boot_us + clock->apart_us);
}

/* What was stored is read back by the skew that it was stored by. A stream keeps its skew while
 * that is about right: its times stay as even as they were sampled. */
static int64_t time_of(struct taking *k, const struct wire_tick *tick)
{
	struct stream *s = k->stream;
	int64_t skew = k->pack ? skew_of(k, tick) : s->skew_us;

	if (skew > s->skew_us + SKEW_TOLERATED_US || skew < s->skew_us - SKEW_TOLERATED_US) {
		s->skew_us = skew;
		if (tick->t_wall_us - skew > clock_wall_us() - FRESH_US)
			k->host->skew_us = skew; /* for what its other streams tell */
	}
	return ingest_time(s, tick->t_wall_us);
}

static void leave(struct taking *k, struct process *p, int64_t t_us, bool seen)
{
	struct ingest *in = k->in;

	if (k->pack)
		pack_exit(k->pack, p, t_us, seen);
	if (in->ops->on_exit)
		in->ops->on_exit(in->arg, k->host, p, t_us);
	registry_remove_process(k->host, p);
}

static void leave_cgroup(struct taking *k, struct cgroup *g, int64_t t_us)
{
	if (k->pack)
		pack_cgroup_gone(k->pack, g, t_us);
	registry_remove_cgroup(k->host, g);
}

/* The processes behind the ids that a tick says have gone; read before the ids are freed. */
static int64_t *exits_of(struct taking *k, const struct wire_tick *tick, size_t *ret_n)
{
	const struct stream *s = k->stream;
	int64_t *ids = arena_calloc(k->arena, tick->n_exited, sizeof(*ids));

	*ret_n = 0;
	for (size_t i = 0; ids && i < tick->n_exited; i++) {
		uint32_t id = tick->exited[i];

		if (id < s->delta.n_slots && s->delta.slots[id].live)
			ids[(*ret_n)++] = s->delta.slots[id].key;
	}
	return ids;
}

/* As exits_of(), of cgroups. */
static int64_t *gone_of(struct taking *k, const struct wire_tick *tick, size_t *ret_n)
{
	const struct delta_state *d = &k->stream->delta;
	int64_t *ids = arena_calloc(k->arena, tick->n_cgroups_gone, sizeof(*ids));

	*ret_n = 0;
	for (size_t i = 0; ids && i < tick->n_cgroups_gone; i++) {
		const struct delta_object *g = delta_object(d, DELTA_CGROUP, tick->cgroups_gone[i]);

		if (g)
			ids[(*ret_n)++] = g->key;
	}
	return ids;
}

static void take_gone(struct taking *k, const int64_t *ids, size_t n, int64_t t_us)
{
	for (size_t i = 0; i < n; i++) {
		struct cgroup *g = registry_find_cgroup(k->host, ids[i]);

		if (g && g->announced_us != t_us)
			leave_cgroup(k, g, t_us);
	}
}

static void take_cgroups(struct taking *k, const struct wire_tick *tick, int64_t t_us)
{
	for (size_t i = 0; i < tick->n_cgroups; i++) {
		const struct wire_cgroup *info = &tick->cgroups[i];
		int64_t id = identity_cgroup(info->path);
		struct cgroup *g = registry_find_cgroup(k->host, id);
		uint32_t rev = g ? g->rev : 0;

		g = registry_cgroup(k->host, id, info, t_us);
		if (!g)
			continue;
		g->announced_us = t_us;
		if (k->pack && g->rev != rev)
			pack_cgroup(k->pack, g, t_us);
	}
}

/* A process tells its cgroup by the stream's id + 1. */
static int64_t cgroup_of(const struct stream *s, const struct wire_process *info)
{
	const struct delta_object *g =
		info->cgroup_id ? delta_object(&s->delta, DELTA_CGROUP, info->cgroup_id - 1) : NULL;

	return g ? g->key : 0;
}

static void take_exits(struct taking *k, const int64_t *ids, size_t n, int64_t t_us)
{
	for (size_t i = 0; i < n; i++) {
		struct process *p = registry_find_process(k->host, ids[i]);

		/* Announced in the same tick: it lives on as another program (exec). */
		if (p && p->announced_us != t_us)
			leave(k, p, t_us, true);
	}
}

static void take_births(struct taking *k, const struct wire_tick *tick, int64_t t_us)
{
	for (size_t i = 0; i < tick->n_born; i++) {
		const struct wire_process *info = &tick->born[i];
		int64_t id =
			identity_process(k->stream->delta.boot_id, info->pid, info->start_ticks);
		bool was_known = registry_find_process(k->host, id) != NULL;
		struct process *p = registry_process(k->host, id, info, t_us);

		if (!p)
			continue;
		p->announced_us = t_us;
		p->cgroup_id = cgroup_of(k->stream, info);
		if (k->pack && !(was_known && info->known))
			pack_birth(k->pack, k->stream->delta.boot_id, p, t_us,
				   info->fresh && !was_known);
	}
}

/* A keyframe names every live process and cgroup: those we hold beyond it ended while nobody
 * watched. */
static void take_absent(struct taking *k, const struct wire_tick *tick, int64_t t_us)
{
	struct process *p;
	struct process *next;
	struct cgroup *g;
	struct cgroup *next_g;

	if (!tick->keyframe)
		return;
	HASH_ITER (hh, k->host->cgroups, g, next_g)
		if (g->last_seen_us < t_us)
			leave_cgroup(k, g, t_us);
	if (tick->skipped)
		return;
	HASH_ITER (hh, k->host->processes, p, next)
		if (p->last_seen_us < t_us)
			leave(k, p, t_us, false);
}

static void into_window(struct taking *k, struct series_id id, int64_t t_us, const int64_t *v)
{
	int rc = k->windows ? window_add(k->windows, &id, t_us, k->rcv_us, v) : 0;

	if (rc < 0 && rc != -ERANGE)
		k->in->stats.unwindowed++;
}

/* The process in that slot of the stream; NULL. */
static struct process *process_at(const struct taking *k, size_t id)
{
	const struct delta_state *d = &k->stream->delta;
	const struct delta_slot *slot = id < d->n_slots ? &d->slots[id] : NULL;

	if (!slot || !slot->live)
		return NULL;
	return registry_find_process(k->host, slot->key);
}

static void take_process(struct taking *k, struct process *p, const struct delta_slot *slot,
			 int64_t t_us)
{
	struct ingest *in = k->in;
	int64_t v[METRIC_COUNT];

	registry_drop_interpreters(p, t_us);
	delta_values(slot, v);
	gctotals_add(&k->host->gc, p->service, p->v, v);
	registry_sample(p, v, t_us);
	into_window(k, SERIES_OF_PROCESS(k->host->host_id, p->proc_id), t_us, v);
	if (in->ops->on_process)
		in->ops->on_process(in->arg, k->host, p, t_us);
	in->stats.samples++;
}

/* One is looked up while the one before is worked on; none leaves the registry meanwhile. */
static void take_processes(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;
	struct process *p, *next = process_at(k, 0);

	for (size_t id = 0; id < d->n_slots; id++) {
		p = next;
		next = process_at(k, id + 1);
		if (next)
			registry_expect(next);
		if (p)
			take_process(k, p, &d->slots[id], t_us);
	}
}

static void take_cgroup_values(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;

	for (size_t id = 0; id < d->objects[DELTA_CGROUP].n; id++) {
		const struct delta_object *o = delta_object(d, DELTA_CGROUP, id);
		struct cgroup *g = o ? registry_find_cgroup(k->host, o->key) : NULL;
		const int64_t *v;

		if (!g)
			continue;
		v = delta_object_values(d, DELTA_CGROUP, id);
		registry_cgroup_sample(g, v, t_us);
		into_window(k, SERIES_OF_CGROUP(k->host->host_id, g->cgroup_id), t_us, v);
	}
}

static void take_interpreters(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;

	for (size_t id = 0; id < d->objects[DELTA_INTERPRETER].n; id++) {
		const struct delta_object *o = delta_object(d, DELTA_INTERPRETER, id);
		struct process *p = o ? process_at(k, o->process) : NULL;
		const int64_t *v;
		int64_t key;

		if (!p)
			continue;
		v = delta_object_values(d, DELTA_INTERPRETER, id);
		key = identity_interpreter(p->proc_id, (uint64_t)o->key);
		into_window(k, SERIES_OF_INTERPRETER(k->host->host_id, key), t_us, v);
		if (registry_interpreter_sample(p, (uint64_t)o->key, v, t_us) < 0)
			log_warn("fleet host=%d pid=%u interpreter=%llu state=no_memory",
				 k->host->host_id, p->pid, (unsigned long long)o->key);
	}
}

/* Cgroups first: a rule about a process may ask for its limit. */
static void take_values(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;

	take_cgroup_values(k, t_us);
	take_interpreters(k, t_us);
	take_processes(k, t_us);
	registry_host_sample(k->host, d->host, t_us);
	into_window(k, SERIES_OF_HOST(k->host->host_id), t_us, d->host);
	if (k->in->ops->on_host)
		k->in->ops->on_host(k->in->arg, k->host, t_us);
}

int ingest_take_tick(struct taking *k, const struct wire_rec *r, struct error *err)
{
	struct wire_tick tick;
	int64_t *exited;
	int64_t *gone;
	size_t n_exited;
	size_t n_gone;
	int64_t t_us;
	int rc = wire_unpack_tick(k->arena, r->body, r->len, &tick, err);

	if (rc < 0)
		return rc;
	t_us = time_of(k, &tick);
	rc = ingest_turn_page(k, t_us, err);
	if (rc < 0)
		return rc;
	exited = exits_of(k, &tick, &n_exited);
	gone = gone_of(k, &tick, &n_gone);
	rc = delta_apply(&k->stream->delta, &tick, err);
	if (rc < 0)
		return rc;
	if (tick.keyframe)
		memcpy(k->host->boot_id, tick.boot_id, sizeof(k->host->boot_id));
	k->host->interval_ms = tick.interval_ms;
	take_cgroups(k, &tick, t_us);
	take_gone(k, gone, n_gone, t_us);
	take_births(k, &tick, t_us);
	take_exits(k, exited, n_exited, t_us);
	take_values(k, t_us);
	take_absent(k, &tick, t_us);
	if (k->pack)
		pack_time(k->pack, t_us);
	k->in->stats.newest_us = MAX_OF(k->in->stats.newest_us, t_us);
	return 0;
}

int ingest_store_tick_again(struct taking *k, const struct wire_rec *r, struct error *err)
{
	struct wire_tick tick;
	int64_t t_us;
	int rc = wire_unpack_tick(k->arena, r->body, r->len, &tick, err);

	if (rc < 0)
		return rc;
	t_us = time_of(k, &tick);
	rc = ingest_turn_page(k, t_us, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < tick.n_born; i++) {
		const struct wire_process *b = &tick.born[i];
		int64_t id = identity_process(k->stream->delta.boot_id, b->pid, b->start_ticks);
		const struct process *p = registry_find_process(k->host, id);

		if (p && !b->known)
			pack_birth(k->pack, k->stream->delta.boot_id, p, t_us, b->fresh);
	}
	for (size_t i = 0; i < tick.n_cgroups; i++) {
		const struct cgroup *g =
			registry_find_cgroup(k->host, identity_cgroup(tick.cgroups[i].path));

		if (g)
			pack_cgroup(k->pack, g, t_us);
	}
	pack_time(k->pack, t_us);
	return 0;
}
