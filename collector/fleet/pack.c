/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/pack.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/arena.h"
#include "common/clock.h"
#include "proto/frame.h"

/* Strings and documents of the largest batch stay far below this. */
#define PACK_BUDGET ((size_t)32 * 1024 * 1024)

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
	return json_pack("{s:i, s:i, s:s, s:s, s:s}", "pid", (int)proc->pid, "uid", (int)proc->uid,
			 "comm", proc->comm, "cmdline", proc->cmdline, "service", proc->service);
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
	return store_put(store, &p->batch);
}
