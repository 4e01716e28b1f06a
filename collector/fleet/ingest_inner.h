/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_inner.h - the state of ingest, shared by ingest.c and its parts: ingest_tick.c (samples)
 * and ingest_told.c (events, kills, postures, censuses, snapshots); nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_INGEST_INNER_H
#define MEMHERD_COLLECTOR_FLEET_INGEST_INNER_H

#include "collector/fleet/ingest.h"
#include "collector/fleet/pack.h"
#include "common/arena.h"
#include "proto/delta.h"

struct stream_key {
	int32_t host_id;
	uint32_t pad_;
	uint64_t epoch;
};

struct stream {
	struct stream_key key;
	int64_t conn;
	uint64_t applied; /* last number taken into memory */
	uint64_t put;     /* last number given to the store, as this connection tells it */
	int64_t skew_us;  /* of the agent's clock, as used for its samples */
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
	struct pack *pack;          /* NULL while replaying */
	uint64_t packed;            /* the number before the pack's first */
	int64_t packed_skew_us;     /* the stream's, when the pack was begun */
	int64_t rcv_us;             /* the store's receive time of the batch */
	struct window_set *windows; /* for its samples; NULL: none */
	bool followed;              /* read after another collector, as it came */
	bool again;                 /* the record at hand is in memory already */
	int trouble;                /* of the store, -errno: no fault of the record at hand */
};

/* A time that the agent told, on our clock. */
int64_t ingest_time(const struct stream *s, int64_t t_wall_us);

/* Before a tick of that time: the pack goes to the store and a new one begins when it lies in
 * another window, or the stream has another skew. On failure k->trouble says so, too. */
int ingest_turn_page(struct taking *k, int64_t t_us, struct error *err) must_use;

/* One record each: 0, or -errno with err; a record that does not decode changes nothing. */
int ingest_take_tick(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
int ingest_take_event(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
int ingest_take_kill(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
int ingest_take_posture(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
int ingest_take_census(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
int ingest_take_snapshot(struct taking *k, const struct wire_rec *r, struct error *err) must_use;
/* Of a tick that is in memory already: what of it goes to the store. */
int ingest_store_tick_again(struct taking *k, const struct wire_rec *r, struct error *err) must_use;

#endif
