/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/pack.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/arena.h"
#include "common/clock.h"
#include "proto/frame.h"

/* Strings and documents of the largest batch stay below this: dossiers of small parties grow most.
 */
#define PACK_BUDGET ((size_t)64 * 1024 * 1024)

/* A growing array of one of the store's structs. */
struct list {
	void *items;
	size_t n;
	size_t cap;
};

struct pack {
	struct store_batch batch;
	struct arena arena;
	struct buf bytes;
	struct list born;
	struct list exited;
	struct list events;
	struct list gaps;
	struct list deaths;
	struct list cgroups;
	struct list cgroups_gone;
	struct list kills;
	struct list postures;
	struct list censuses;
	struct list snapshots;
	int event_idx; /* within the record at hand */
	bool failed;
};

static void *list_add(struct pack *p, struct list *l, size_t size)
{
	if (l->n == l->cap) {
		size_t cap = MAX_OF(l->cap * 2, (size_t)8);
		void *more = reallocarray(l->items, cap, size);

		if (!more) {
			p->failed = true;
			return NULL;
		}
		l->items = more;
		l->cap = cap;
	}
	return memset((char *)l->items + l->n++ * size, 0, size);
}

int pack_new(const struct store_batch *head, uint64_t before, struct pack **ret)
{
	struct pack *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->batch = *head;
	p->batch.first_seq = (int64_t)before + 1;
	p->batch.last_seq = (int64_t)before;
	arena_init(&p->arena, PACK_BUDGET);
	buf_init(&p->bytes, FRAME_MAX_PAYLOAD + 64);
	wire_batch_begin(&p->bytes, (uint64_t)head->epoch);
	*ret = p;
	return 0;
}

void pack_free(struct pack **p)
{
	if (!*p)
		return;
	free((*p)->born.items);
	free((*p)->exited.items);
	free((*p)->events.items);
	free((*p)->gaps.items);
	free((*p)->deaths.items);
	free((*p)->cgroups.items);
	free((*p)->cgroups_gone.items);
	free((*p)->kills.items);
	free((*p)->postures.items);
	free((*p)->censuses.items);
	free((*p)->snapshots.items);
	buf_fini(&(*p)->bytes);
	arena_fini(&(*p)->arena);
	free(*p);
	*p = NULL;
}

/* The process may leave the registry before the batch is queued. */
static const char *keep(struct pack *p, const char *s)
{
	const char *copy = arena_strndup(&p->arena, s, strlen(s));

	if (!copy)
		p->failed = true;
	return copy;
}

/* Takes over doc. */
static void add_event(struct pack *p, int64_t t_us, const char *kind, int64_t proc_id, json_t *doc)
{
	auto_free char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	struct store_event *e = text ? list_add(p, &p->events, sizeof(*e)) : NULL;

	json_decref(doc);
	if (!e) {
		p->failed = true;
		return;
	}
	e->t_us = t_us;
	e->seq = p->batch.last_seq + 1;
	e->idx = p->event_idx++;
	e->kind = kind;
	e->proc_id = proc_id;
	e->doc = keep(p, text);
}

static json_t *describe(const struct process *proc)
{
	return json_pack("{s:i, s:i, s:s, s:s, s:s, s:s}", "pid", (int)proc->pid, "uid",
			 (int)proc->uid, "comm", proc->comm, "cmdline", proc->cmdline, "service",
			 proc->service, "container", proc->container);
}

void pack_birth(struct pack *p, const uint8_t boot_id[16], const struct process *proc, int64_t t_us,
		bool fresh)
{
	struct store_process *s = list_add(p, &p->born, sizeof(*s));

	if (!s)
		return;
	s->proc_id = proc->proc_id;
	memcpy(s->boot_id, boot_id, sizeof(s->boot_id));
	s->pid = proc->pid;
	s->start_ticks = proc->start_ticks;
	s->ppid = proc->ppid;
	s->uid = proc->uid;
	s->comm = keep(p, proc->comm);
	s->cmdline = keep(p, proc->cmdline);
	s->exe = keep(p, proc->exe);
	s->cgroup = keep(p, proc->cgroup);
	s->service = keep(p, proc->service);
	s->container = keep(p, proc->container);
	s->role = wire_role_word(proc->role);
	s->slot = proc->slot;
	s->first_seen_us = proc->first_seen_us;
	if (fresh)
		add_event(p, t_us, wire_event_word(WIRE_EVENT_PROCESS_START), proc->proc_id,
			  describe(proc));
}

void pack_exit(struct pack *p, const struct process *proc, int64_t t_us, bool seen)
{
	struct store_exit *x = list_add(p, &p->exited, sizeof(*x));
	json_t *doc = describe(proc);

	if (!x) {
		json_decref(doc);
		return;
	}
	x->proc_id = proc->proc_id;
	x->t_us = t_us;
	if (doc) {
		json_object_set_new(doc, "seen", json_boolean(seen));
		if (proc->v[METRIC_RSS] != METRIC_ABSENT)
			json_object_set_new(doc, "rss_bytes",
					    json_integer(proc->v[METRIC_RSS] * 1024));
	}
	add_event(p, t_us, wire_event_word(WIRE_EVENT_PROCESS_EXIT), proc->proc_id, doc);
}

void pack_event(struct pack *p, int64_t proc_id, const struct wire_event *e, int64_t t_us)
{
	json_t *doc = json_pack("{s:s}", "text", e->text);

	for (size_t i = 0; doc && i < e->n_details; i++)
		json_object_set_new(doc, e->keys[i], json_string(e->values[i]));
	add_event(p, t_us, wire_event_word(e->kind), proc_id, doc);
}

void pack_death(struct pack *p, const uint8_t boot_id[16], const struct wire_event *e,
		const struct death *d, int64_t t_us)
{
	struct store_death *s = list_add(p, &p->deaths, sizeof(*s));

	if (!s)
		return;
	s->proc_id = d->proc_id;
	memcpy(s->boot_id, boot_id, sizeof(s->boot_id));
	s->pid = e->pid;
	s->start_ticks = e->start_ticks;
	s->t_us = t_us;
	s->cause = kill_cause_word(d->cause);
	s->confidence = d->confidence < 0 ? "" : kill_confidence_word((unsigned)d->confidence);
	s->exit_code = d->exit_code;
	s->exit_signal = d->signal;
	s->verdict = keep(p, d->verdict);
	s->comm = keep(p, d->comm);
	s->service = keep(p, d->service);
	s->container = keep(p, d->container);
}

void pack_cgroup(struct pack *p, const struct cgroup *g, int64_t t_us)
{
	struct store_cgroup *s = list_add(p, &p->cgroups, sizeof(*s));

	if (!s)
		return;
	s->cgroup_id = g->cgroup_id;
	s->version = g->version;
	s->path = keep(p, g->path);
	s->name = keep(p, g->name);
	s->runtime = keep(p, g->runtime);
	s->image = keep(p, g->image);
	s->limited_by = keep(p, g->limited_by);
	s->t_us = t_us;
}

void pack_cgroup_gone(struct pack *p, const struct cgroup *g, int64_t t_us)
{
	struct store_exit *x = list_add(p, &p->cgroups_gone, sizeof(*x));

	if (x)
		*x = (struct store_exit){.proc_id = g->cgroup_id, .t_us = t_us};
}

void pack_kill(struct pack *p, const struct wire_kill *k, const struct dossier *d, int64_t t_us)
{
	struct store_kill *s = list_add(p, &p->kills, sizeof(*s));

	if (!s)
		return;
	*s = (struct store_kill){
		.kill_id = d->kill_id,
		.t_us = t_us,
		.seq = p->batch.last_seq + 1,
		.cause = kill_cause_word(k->cause),
		.confidence = kill_confidence_word(k->confidence),
		.oom = kill_cause_is_oom(k->cause),
		.complete = k->complete,
		.replayed = k->replayed,
		.proc_id = d->proc_id,
		.pid = k->victim.pid,
		.comm = keep(p, k->victim.comm),
		.service = keep(p, d->service),
		.container = keep(p, d->container),
		.rss_bytes = d->rss_bytes,
		.limit_cgroup = keep(p, k->limit_cgroup),
		.limit_owner = keep(p, k->limit_owner),
		.limit_bytes = d->limit_bytes,
		.verdict = keep(p, k->verdict),
		.doc = keep(p, d->doc),
		.event = keep(p, d->event),
	};
}

void pack_posture(struct pack *p, const char *findings, int64_t t_us)
{
	struct store_posture *s = list_add(p, &p->postures, sizeof(*s));

	if (s)
		*s = (struct store_posture){.t_us = t_us, .doc = keep(p, findings)};
}

static int at_most_int(uint32_t v)
{
	return (int)MIN_OF(v, (uint32_t)INT32_MAX);
}

void pack_census(struct pack *p, const struct wire_census *w, const struct census_doc *c,
		 int64_t t_us)
{
	struct store_census *s = list_add(p, &p->censuses, sizeof(*s));

	if (!s)
		return;
	*s = (struct store_census){
		.census_id = c->census_id,
		.t_us = t_us,
		.proc_id = c->proc_id,
		.pid = w->pid,
		.start_ticks = w->start_ticks,
		.service = keep(p, c->process ? c->process->service : ""),
		.comm = keep(p, c->process ? c->process->comm : ""),
		.method = census_method_word(w->method),
		.reason = census_reason_word(w->reason),
		.version = w->version,
		.interpreters = at_most_int(w->interpreters),
		.pause_us = (int64_t)w->pause_us,
		.walk_us = (int64_t)w->walk_us,
		.objects = (int64_t)w->objects,
		.bytes = (int64_t)w->bytes,
		.types_total = at_most_int(w->types_total),
		.error_per_10000 = at_most_int(w->error_per_10000),
		.types = keep(p, c->types),
		.parts = keep(p, c->parts),
		.note = keep(p, w->note),
	};
	if (w->has_command)
		memcpy(s->command_id, w->command_id, sizeof(s->command_id));
	add_event(p, t_us, wire_event_word(WIRE_EVENT_CENSUS), c->proc_id,
		  json_loads(c->event, 0, NULL));
}

void pack_snapshot(struct pack *p, const struct wire_snapshot *w, const struct snapshot_doc *d,
		   int64_t t_us)
{
	struct store_snapshot *s = list_add(p, &p->snapshots, sizeof(*s));

	if (!s)
		return;
	*s = (struct store_snapshot){
		.snapshot_id = d->snapshot_id,
		.t_us = t_us,
		.proc_id = d->proc_id,
		.pid = w->pid,
		.start_ticks = w->start_ticks,
		.service = keep(p, d->process ? d->process->service : ""),
		.comm = keep(p, d->process ? d->process->comm : ""),
		.kind = snapshot_layout(w->kind)->word,
		.reason = census_reason_word(w->reason),
		.subject = keep(p, w->subject),
		.totals = keep(p, d->totals),
		.rows = keep(p, d->rows),
		.note = keep(p, w->note),
	};
	if (w->has_command)
		memcpy(s->command_id, w->command_id, sizeof(s->command_id));
}

void pack_fail(struct pack *p)
{
	p->failed = true;
}

static void add_gap(struct pack *p, const struct store_gap *g)
{
	struct store_gap *to = list_add(p, &p->gaps, sizeof(*to));

	if (to)
		*to = *g;
}

void pack_gap(struct pack *p, uint64_t from, const struct wire_gap *g)
{
	const struct store_gap gap = {
		.from_seq = (int64_t)from,
		.to_seq = (int64_t)g->to_seq,
		.records = g->records,
		.reason = (int)g->reason,
		.t_first_us = g->t_first_us,
		.t_last_us = g->t_last_us,
	};

	add_gap(p, &gap);
	add_event(p, p->batch.rcv_us, wire_event_word(WIRE_EVENT_GAP), 0,
		  json_pack("{s:s, s:I, s:I}", "text", "the agent had to drop records", "records",
			    (json_int_t)g->records, "bytes", (json_int_t)g->bytes));
}

void pack_undecodable(struct pack *p, const struct wire_rec *r, const char *why)
{
	const struct store_gap gap = {
		.from_seq = (int64_t)r->seq,
		.to_seq = (int64_t)r->seq,
		.records = 1,
		.reason = WIRE_GAP_UNDECODABLE,
	};

	add_gap(p, &gap);
	add_event(p, p->batch.rcv_us, wire_event_word(WIRE_EVENT_GAP), 0,
		  json_pack("{s:s, s:I}", "text", why, "seq", (json_int_t)r->seq));
}

void pack_record(struct pack *p, const struct wire_rec *r)
{
	wire_batch_add(&p->bytes, r->seq, r->kind, r->body, r->len);
}

void pack_last(struct pack *p, uint64_t seq)
{
	p->batch.last_seq = (int64_t)seq;
	p->event_idx = 0;
}

void pack_time(struct pack *p, int64_t t_us)
{
	if (!p->batch.t_us)
		p->batch.t_us = t_us;
}

int64_t pack_t_us(const struct pack *p)
{
	return p->batch.t_us;
}

bool pack_empty(const struct pack *p)
{
	return p->batch.last_seq < p->batch.first_seq;
}

int pack_put(struct pack *p, struct store *store)
{
	if (p->failed || buf_status(&p->bytes) < 0)
		return -ENOMEM;
	p->batch.payload = p->bytes.data;
	p->batch.payload_len = p->bytes.len;
	p->batch.born = p->born.items;
	p->batch.n_born = p->born.n;
	p->batch.exited = p->exited.items;
	p->batch.n_exited = p->exited.n;
	p->batch.events = p->events.items;
	p->batch.n_events = p->events.n;
	p->batch.gaps = p->gaps.items;
	p->batch.n_gaps = p->gaps.n;
	p->batch.deaths = p->deaths.items;
	p->batch.n_deaths = p->deaths.n;
	p->batch.cgroups = p->cgroups.items;
	p->batch.n_cgroups = p->cgroups.n;
	p->batch.cgroups_gone = p->cgroups_gone.items;
	p->batch.n_cgroups_gone = p->cgroups_gone.n;
	p->batch.kills = p->kills.items;
	p->batch.n_kills = p->kills.n;
	p->batch.postures = p->postures.items;
	p->batch.n_postures = p->postures.n;
	p->batch.censuses = p->censuses.items;
	p->batch.n_censuses = p->censuses.n;
	p->batch.snapshots = p->snapshots.items;
	p->batch.n_snapshots = p->snapshots.n;
	return store_put(store, &p->batch);
}
