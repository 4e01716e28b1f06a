/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "collector/fleet/death.h"
#include "collector/fleet/dossier.h"
#include "collector/fleet/pack.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/delta.h"
#include "proto/identity.h"

/* The agent's clock is believed while it differs less than this from ours. */
#define SKEW_TOLERATED_US (2 * USEC_PER_SEC)
/* A sample may not lie further ahead than this, whatever the agent's clock says. */
#define AHEAD_MAX_US (5 * 60 * USEC_PER_SEC)

struct stream_key {
	int32_t host_id;
	uint32_t pad_;
	uint64_t epoch;
};

struct stream {
	struct stream_key key;
	int64_t conn;
	uint64_t applied;    /* last number taken into memory */
	uint64_t put;        /* last number given to the store, as this connection tells it */
	int64_t skew_us;     /* of the agent's clock, as used for its samples */
	uint8_t boot_id[16]; /* from its last keyframe */
	struct delta_state delta;
	UT_hash_handle hh;
};

struct ingest {
	struct registry *registry;
	struct store *store;
	const struct ingest_ops *ops;
	void *arg;
	struct stream *streams;
	struct ingest_stats stats;
};

/* What one batch means, on its way through the records. */
struct taking {
	struct ingest *in;
	struct host *host;
	struct stream *stream;
	struct arena *arena;
	struct pack *pack; /* NULL while replaying */
	uint64_t packed;   /* the number before the pack's first */
	int64_t rcv_us;    /* the store's receive time of the batch */
	bool again;        /* the record at hand is in memory already */
	int trouble;       /* of the store, -errno: no fault of the record at hand */
};

int ingest_new(struct registry *registry, struct store *store, const struct ingest_ops *ops,
	       void *arg, struct ingest **ret)
{
	struct ingest *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->registry = registry;
	in->store = store;
	in->ops = ops;
	in->arg = arg;
	*ret = in;
	return 0;
}

static void stream_free(struct ingest *in, struct stream *s)
{
	HASH_DEL(in->streams, s);
	delta_fini(&s->delta);
	free(s);
}

void ingest_free(struct ingest **in)
{
	struct stream *s;
	struct stream *next;

	if (!*in)
		return;
	HASH_ITER (hh, (*in)->streams, s, next)
		stream_free(*in, s);
	free(*in);
	*in = NULL;
}

void ingest_forget(struct ingest *in, int32_t host_id)
{
	struct stream *s;
	struct stream *next;

	HASH_ITER (hh, in->streams, s, next)
		if (s->key.host_id == host_id)
			stream_free(in, s);
}

static struct stream *stream_find(struct ingest *in, int32_t host_id, uint64_t epoch)
{
	const struct stream_key key = {.host_id = host_id, .epoch = epoch};
	struct stream *s;

	HASH_FIND(hh, in->streams, &key, sizeof(key), s);
	return s;
}

static struct stream *stream_get(struct ingest *in, int32_t host_id, uint64_t epoch)
{
	struct stream *s = stream_find(in, host_id, epoch);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->key = (struct stream_key){.host_id = host_id, .epoch = epoch};
	delta_init(&s->delta);
	HASH_ADD(hh, in->streams, key, sizeof(s->key), s);
	if (!s->hh.tbl) {
		delta_fini(&s->delta);
		free(s);
		return NULL;
	}
	return s;
}

int ingest_open(struct ingest *in, struct host *h, uint64_t epoch, uint64_t committed, int64_t conn)
{
	struct stream *s = stream_get(in, h->host_id, epoch);

	if (!s)
		return -ENOMEM;
	s->conn = conn;
	/* What the connection before gave the store and is not committed is refused there from now
	 * on; the agent resends it. */
	s->put = committed;
	if (committed > s->applied) {
		s->applied = committed; /* by another collector: the base has moved without us */
		s->delta.ready = false;
	}
	return 0;
}

static int64_t sample_time(const struct stream *s, int64_t t_wall_us)
{
	int64_t t = t_wall_us;
	int64_t latest = clock_wall_us() + AHEAD_MAX_US;

	if (s->skew_us > SKEW_TOLERATED_US || s->skew_us < -SKEW_TOLERATED_US)
		t -= s->skew_us;
	return MIN_OF(t, latest);
}

static int pack_begin(struct taking *k, struct error *err)
{
	const struct stream *s = k->stream;
	const struct store_batch head = {.host_id = k->host->host_id,
					 .epoch = (int64_t)s->key.epoch,
					 .conn = s->conn,
					 .rcv_us = k->rcv_us,
					 .skew_us = s->skew_us};
	int rc = pack_new(&head, s->put, &k->pack);

	k->packed = s->put;
	return rc < 0 ? error_set(err, rc, "no memory for a batch") : 0;
}

/* What the store did not get is given to it when the batch comes again. */
static int pack_end(struct taking *k, struct error *err)
{
	int rc = pack_empty(k->pack) ? 0 : pack_put(k->pack, k->in->store);

	pack_free(&k->pack);
	if (rc == 0)
		return 0;
	k->stream->put = k->packed;
	return error_sys(err, rc, "cannot queue a batch");
}

/*
 * A stored batch lies in one window: whether that is sealed tells if the batch is read back after a
 * restart, and its keyframe is in it or in the one before. An agent that catches up after an outage
 * sends many windows at once.
 */
static int turn_page(struct taking *k, int64_t t_us, struct error *err)
{
	const struct store *store = k->in->store;
	int64_t before = k->pack ? pack_t_us(k->pack) : 0;

	if (!before || store_window_of(store, before) == store_window_of(store, t_us))
		return 0;
	k->trouble = pack_end(k, err);
	if (k->trouble == 0)
		k->trouble = pack_begin(k, err);
	return k->trouble;
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
			ids[(*ret_n)++] = identity_process(s->boot_id, s->delta.slots[id].pid,
							   s->delta.slots[id].start_ticks);
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
		uint32_t id = tick->cgroups_gone[i];

		if (id < d->n_cgroups && d->cgroups[id].live)
			ids[(*ret_n)++] = d->cgroups[id].cgroup_id;
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
	const struct delta_state *d = &s->delta;
	uint32_t id = info->cgroup_id - 1;

	return info->cgroup_id && id < d->n_cgroups && d->cgroups[id].live
		       ? d->cgroups[id].cgroup_id
		       : 0;
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
		int64_t id = identity_process(k->stream->boot_id, info->pid, info->start_ticks);
		bool was_known = registry_find_process(k->host, id) != NULL;
		struct process *p = registry_process(k->host, id, info, t_us);

		if (!p)
			continue;
		p->announced_us = t_us;
		p->cgroup_id = cgroup_of(k->stream, info);
		if (k->pack && !(was_known && info->known))
			pack_birth(k->pack, k->stream->boot_id, p, t_us, info->fresh && !was_known);
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
	if (window_add(store_windows(k->in->store), &id, t_us, k->rcv_us, v) < 0)
		k->in->stats.unwindowed++;
}

static void take_processes(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;
	struct ingest *in = k->in;

	for (size_t id = 0; id < d->n_slots; id++) {
		const struct delta_slot *slot = &d->slots[id];
		struct process *p;

		if (!slot->live)
			continue;
		p = registry_find_process(k->host, identity_process(k->stream->boot_id, slot->pid,
								    slot->start_ticks));
		if (!p)
			continue;
		registry_sample(p, slot->v, t_us);
		into_window(k, SERIES_OF_PROCESS(k->host->host_id, p->proc_id), t_us, slot->v);
		if (in->ops->on_process)
			in->ops->on_process(in->arg, k->host, p, t_us);
		in->stats.samples++;
	}
}

static void take_cgroup_values(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;

	for (size_t id = 0; id < d->n_cgroups; id++) {
		const struct delta_cgroup *slot = &d->cgroups[id];
		struct cgroup *g =
			slot->live ? registry_find_cgroup(k->host, slot->cgroup_id) : NULL;

		if (!g)
			continue;
		registry_cgroup_sample(g, slot->v, t_us);
		into_window(k, SERIES_OF_CGROUP(k->host->host_id, g->cgroup_id), t_us, slot->v);
	}
}

/* Cgroups first: a rule about a process may ask for its limit. */
static void take_values(struct taking *k, int64_t t_us)
{
	const struct delta_state *d = &k->stream->delta;

	take_cgroup_values(k, t_us);
	take_processes(k, t_us);
	registry_host_sample(k->host, d->host, t_us);
	into_window(k, SERIES_OF_HOST(k->host->host_id), t_us, d->host);
	if (k->in->ops->on_host)
		k->in->ops->on_host(k->in->arg, k->host, t_us);
}

static int take_tick(struct taking *k, const struct wire_rec *r, struct error *err)
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
	t_us = sample_time(k->stream, tick.t_wall_us);
	rc = turn_page(k, t_us, err);
	if (rc < 0)
		return rc;
	exited = exits_of(k, &tick, &n_exited);
	gone = gone_of(k, &tick, &n_gone);
	rc = delta_apply(&k->stream->delta, &tick, err);
	if (rc < 0)
		return rc;
	if (tick.keyframe) {
		memcpy(k->stream->boot_id, tick.boot_id, sizeof(k->stream->boot_id));
		memcpy(k->host->boot_id, tick.boot_id, sizeof(k->host->boot_id));
	}
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

/* How a process ended: told to its row, too. */
static void take_death(struct taking *k, const struct wire_event *e, const uint8_t boot_id[16],
		       int64_t t_us)
{
	const struct ingest *in = k->in;
	struct death d;

	if (!death_of(e, boot_id, &d))
		return;
	if (k->pack)
		pack_death(k->pack, boot_id, e, &d, t_us);
	if (k->pack && !k->again && in->ops->on_death)
		in->ops->on_death(in->arg, k->host, e, &d, t_us);
}

static int take_event(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const uint8_t *boot_id;
	struct wire_event e;
	int64_t t_us;
	int rc = wire_unpack_event(k->arena, r->body, r->len, &e, err);

	if (rc < 0)
		return rc;
	/* A stream without ticks knows no boot but the one that its events tell. */
	boot_id = e.has_boot_id ? e.boot_id : k->stream->boot_id;
	t_us = sample_time(k->stream, e.t_wall_us);
	if (k->pack)
		pack_event(k->pack, e.pid ? identity_process(boot_id, e.pid, e.start_ticks) : 0, &e,
			   t_us);
	take_death(k, &e, boot_id, t_us);
	return 0;
}

/* A gap takes the numbers up to *ret_last. */
static int take_gap(struct taking *k, const struct wire_rec *r, uint64_t *ret_last,
		    struct error *err)
{
	struct wire_gap g;
	int rc = wire_unpack_gap(k->arena, r->body, r->len, &g, err);

	if (rc < 0)
		return rc;
	if (g.to_seq < r->seq)
		return error_set(err, -EBADMSG,
				 "gap: ends at %" PRIu64 " before its start %" PRIu64, g.to_seq,
				 r->seq);
	*ret_last = g.to_seq;
	k->in->stats.gaps++;
	if (k->pack)
		pack_gap(k->pack, r->seq, &g);
	return 0;
}

/* Stored by its id whatever is known here: the store may lack what memory has. */
static void store_kill(struct taking *k, const struct wire_kill *kill, int64_t t_us)
{
	auto_dossier struct dossier d = {0};

	if (dossier_init(&d, k->host, kill, t_us) < 0)
		pack_fail(k->pack);
	else
		pack_kill(k->pack, kill, &d, t_us);
}

static int take_kill(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const struct ingest *in = k->in;
	struct wire_kill kill;
	int64_t id;
	int64_t t_us;
	int rc = wire_unpack_kill(k->arena, r->body, r->len, &kill, err);

	if (rc < 0)
		return rc;
	t_us = sample_time(k->stream, kill.t_wall_us);
	id = identity_kill(kill.boot_id, kill.seq);
	if (k->pack)
		store_kill(k, &kill, t_us);
	if (!registry_kill_is_new(k->host, id) || !k->pack)
		return 0;
	k->host->kills.scopes[dossier_scope(kill.cause)] += kill_cause_is_oom(kill.cause);
	k->in->stats.kills++;
	if (in->ops->on_kill)
		in->ops->on_kill(in->arg, k->host, &kill, id, t_us);
	return 0;
}

static int take_posture(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const struct ingest *in = k->in;
	auto_free char *findings = NULL;
	struct wire_posture posture;
	int64_t t_us;
	int rc = wire_unpack_posture(k->arena, r->body, r->len, &posture, err);

	if (rc < 0)
		return rc;
	t_us = sample_time(k->stream, posture.t_wall_us);
	findings = dossier_findings(&posture);
	if (!findings) {
		if (k->pack)
			pack_fail(k->pack);
		return 0;
	}
	registry_posture(k->host, findings, t_us);
	if (k->pack)
		pack_posture(k->pack, findings, t_us);
	if (k->pack && !k->again && in->ops->on_posture)
		in->ops->on_posture(in->arg, k->host, &posture, t_us);
	return 0;
}

static int take_record(struct taking *k, const struct wire_rec *r, uint64_t *ret_last,
		       struct error *err)
{
	*ret_last = r->seq;
	switch (r->kind) {
	case WIRE_TICK:
		return take_tick(k, r, err);
	case WIRE_EVENT:
		return take_event(k, r, err);
	case WIRE_GAP:
		return take_gap(k, r, ret_last, err);
	case WIRE_KILL:
		return take_kill(k, r, err);
	case WIRE_POSTURE:
		return take_posture(k, r, err);
	}
	return error_set(err, -EBADMSG, "record %" PRIu64 ": unknown kind %d", r->seq,
			 (int)r->kind);
}

static int store_tick_again(struct taking *k, const struct wire_rec *r, struct error *err)
{
	struct wire_tick tick;
	int64_t t_us;
	int rc = wire_unpack_tick(k->arena, r->body, r->len, &tick, err);

	if (rc < 0)
		return rc;
	t_us = sample_time(k->stream, tick.t_wall_us);
	rc = turn_page(k, t_us, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < tick.n_born; i++) {
		const struct wire_process *b = &tick.born[i];
		int64_t id = identity_process(k->stream->boot_id, b->pid, b->start_ticks);
		const struct process *p = registry_find_process(k->host, id);

		if (p && !b->known)
			pack_birth(k->pack, k->stream->boot_id, p, t_us, b->fresh);
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

/*
 * In memory already, but the store never said that it has it: the connection that brought it was
 * replaced while it was queued. Only stored, then. The base has moved on, so that exits among it
 * can no longer be told apart: those processes keep an open end in the database.
 */
static int store_again(struct taking *k, const struct wire_rec *r, uint64_t *ret_last,
		       struct error *err)
{
	*ret_last = r->seq;
	k->in->stats.restored++;
	return r->kind == WIRE_TICK ? store_tick_again(k, r, err)
				    : take_record(k, r, ret_last, err);
}

/* Takes the records in order; the ones before are never taken back. */
static int take_records(struct taking *k, const struct wire_batch *b, struct error *err)
{
	struct stream *s = k->stream;

	for (size_t i = 0; i < b->n; i++) {
		const struct wire_rec *r = &b->records[i];
		struct error why = {""};
		bool known = r->seq <= s->applied;
		uint64_t last;
		int rc;

		if (r->seq <= (k->pack ? s->put : s->applied)) {
			k->in->stats.repeated++;
			continue;
		}
		if (k->pack && r->seq != s->put + 1)
			return error_set(err, -EPROTO,
					 "stream %016" PRIx64 ": record %" PRIu64 " after %" PRIu64,
					 b->epoch, r->seq, s->put);
		k->again = known;
		rc = known ? store_again(k, r, &last, &why) : take_record(k, r, &last, &why);
		if (k->trouble < 0) {
			*err = why;
			return k->trouble;
		}
		if (rc < 0) {
			k->in->stats.undecodable++;
			s->delta.ready = s->delta.ready && known;
			if (k->pack)
				pack_undecodable(k->pack, r, why.msg);
		} else if (k->pack) {
			pack_record(k->pack, r);
		}
		s->applied = MAX_OF(s->applied, last);
		if (k->pack) {
			s->put = last;
			pack_last(k->pack, last);
		}
		k->in->stats.records++;
	}
	return 0;
}

int ingest_batch(struct ingest *in, struct host *h, const uint8_t *payload, size_t len,
		 struct error *err)
{
	auto_arena struct arena arena;
	struct wire_batch b;
	struct taking k = {.in = in, .host = h, .arena = &arena};
	int rc;

	/* Ticks are unpacked beside the batch that holds them. */
	arena_init(&arena, 2 * WIRE_BUDGET(len));
	if (!store_has_room(in->store, len))
		return error_set(err, -ENOBUFS, "the store's queue is full");
	rc = wire_unpack_batch(&arena, payload, len, &b, err);
	if (rc < 0)
		return rc;
	k.stream = stream_find(in, h->host_id, b.epoch);
	if (!k.stream)
		return error_set(err, -EPROTO, "stream %016" PRIx64 " was not announced", b.epoch);
	k.stream->skew_us = h->skew_us;
	k.rcv_us = store_receive_time(in->store);
	rc = pack_begin(&k, err);
	if (rc < 0)
		return rc;
	rc = take_records(&k, &b, err);
	in->stats.batches++;
	/* Also what was taken before a refused record: it is in memory, so it must be stored. */
	if (k.pack) {
		struct error why;
		int put = pack_end(&k, &why);

		if (put < 0 && rc == 0) {
			*err = why;
			rc = put;
		}
	}
	return rc;
}

void ingest_replay(struct ingest *in, struct host *h, const struct store_replayed *row)
{
	auto_arena struct arena arena;
	struct wire_batch b;
	struct error err = {""};
	struct taking k = {.in = in, .host = h, .arena = &arena, .rcv_us = row->rcv_us};

	arena_init(&arena, 2 * WIRE_BUDGET(row->payload_len));
	if (wire_unpack_batch(&arena, row->payload, row->payload_len, &b, &err) < 0) {
		log_warn("host=%d stored batch does not decode error=\"%s\"", h->host_id, err.msg);
		return;
	}
	k.stream = stream_get(in, h->host_id, b.epoch);
	if (!k.stream)
		return;
	k.stream->skew_us = row->skew_us;
	if (take_records(&k, &b, &err) < 0)
		log_warn("host=%d replay stopped short error=\"%s\"", h->host_id, err.msg);
	/* Numbers that are not among the records were stored as gaps. */
	k.stream->applied = MAX_OF(k.stream->applied, (uint64_t)row->last_seq);
}

const struct ingest_stats *ingest_stats(const struct ingest *in)
{
	return &in->stats;
}
