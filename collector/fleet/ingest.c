/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "collector/fleet/ingest_inner.h"
#include "common/log.h"

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
	s->skew_us = h->skew_us;
	/* What the connection before gave the store and is not committed is refused there from now
	 * on; the agent resends it. */
	s->put = committed;
	if (committed > s->applied) {
		s->applied = committed; /* by another collector: the base has moved without us */
		s->delta.ready = false;
	}
	return 0;
}

/*
 * How long its ticks may wait in the store for the next ones: six of them are committed together.
 * One that comes seldom gains nothing by it.
 */
#define WAIT_HALVES  11     /* of an interval */
#define WAIT_SLOWEST 30000u /* ms */
static int64_t wait_of(const struct host *h)
{
	bool waits = h->patient && h->interval_ms <= WAIT_SLOWEST;

	return waits ? (int64_t)h->interval_ms * 1000 * WAIT_HALVES / 2 : 0;
}

/* Over a newer connection of our own they come again, and are in the windows already. */
void ingest_fenced(struct ingest *in, int32_t host_id, uint64_t epoch, int64_t conn, int64_t t_us)
{
	const struct stream *s = stream_find(in, host_id, epoch);

	if (s && s->conn == conn && window_take_back(store_windows(in->store), host_id, t_us) < 0)
		log_error("host=%d samples of another collector are sealed here too: no memory",
			  (int)host_id);
}

static int pack_begin(struct taking *k, struct error *err)
{
	const struct stream *s = k->stream;
	const struct store_batch head = {.host_id = k->host->host_id,
					 .epoch = (int64_t)s->key.epoch,
					 .conn = s->conn,
					 .rcv_us = k->rcv_us,
					 .skew_us = s->skew_us,
					 .wait_us = wait_of(k->host)};
	int rc = pack_new(&head, s->put, &k->pack);

	k->packed = s->put;
	k->packed_skew_us = s->skew_us;
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
 * sends many windows at once. Its times are read back by one skew.
 */
int ingest_turn_page(struct taking *k, int64_t t_us, struct error *err)
{
	const struct store *store = k->in->store;
	int64_t before;

	if (!k->pack)
		return 0;
	before = pack_t_us(k->pack);
	if (k->packed_skew_us == k->stream->skew_us &&
	    (!before || store_window_of(store, before) == store_window_of(store, t_us)))
		return 0;
	k->trouble = pack_end(k, err);
	/* A place to read on from lies between any two batches: none has the time of another. */
	k->rcv_us = store_receive_time(k->in->store);
	if (k->trouble == 0)
		k->trouble = pack_begin(k, err);
	return k->trouble;
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

static int take_record(struct taking *k, const struct wire_rec *r, uint64_t *ret_last,
		       struct error *err)
{
	*ret_last = r->seq;
	switch (r->kind) {
	case WIRE_TICK:
		return ingest_take_tick(k, r, err);
	case WIRE_EVENT:
		return ingest_take_event(k, r, err);
	case WIRE_GAP:
		return take_gap(k, r, ret_last, err);
	case WIRE_KILL:
		return ingest_take_kill(k, r, err);
	case WIRE_POSTURE:
		return ingest_take_posture(k, r, err);
	case WIRE_CENSUS:
		return ingest_take_census(k, r, err);
	case WIRE_SNAPSHOT:
		return ingest_take_snapshot(k, r, err);
	}
	return error_set(err, -EBADMSG, "record %" PRIu64 ": unknown kind %d", r->seq,
			 (int)r->kind);
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
	return r->kind == WIRE_TICK ? ingest_store_tick_again(k, r, err)
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
	struct taking k = {.in = in,
			   .host = h,
			   .arena = &arena,
			   .windows = store_windows(in->store)};
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
	if (!k.stream->delta.ready) /* it has no ticks that tell, or none yet */
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
	struct taking k = {.in = in,
			   .host = h,
			   .arena = &arena,
			   .rcv_us = row->rcv_us,
			   .windows = row->windows,
			   .followed = row->followed};

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
