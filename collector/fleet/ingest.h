/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest.h - what an agent sent becomes the fleet in memory, open windows, rule input and a batch
 * for the store.
 *
 * Each record of a stream (host, epoch) moves memory once and goes to the store until it is
 * committed: what the store was given on this connection is skipped, a hole that no Gap record
 * covers refuses the batch. A record that does not decode is told as a gap
 * and the stream goes on. Memory moves at once, so rules and REST see a sample before it is
 * stored; the agent is told 'stored' only by the store's acknowledgement.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_INGEST_H
#define MEMHERD_COLLECTOR_FLEET_INGEST_H

#include "collector/fleet/death.h"
#include "collector/fleet/registry.h"
#include "collector/store/store.h"

struct ingest;

/* What follows the samples; each may be NULL. t_us is the sample's time on our clock. */
struct ingest_ops {
	void (*on_process)(void *arg, struct host *h, struct process *p, int64_t t_us);
	void (*on_host)(void *arg, struct host *h, int64_t t_us);
	/* Before the process leaves the registry. */
	void (*on_exit)(void *arg, struct host *h, struct process *p, int64_t t_us);
	/*
	 * Those below, but for on_action, are told once for what is news: not for what a connection
	 * brings again, not while replaying, and a kill not again when the agent tells it a second
	 * time.
	 */
	void (*on_kill)(void *arg, struct host *h, const struct wire_kill *k, int64_t kill_id,
			int64_t t_us);
	void (*on_death)(void *arg, struct host *h, const struct wire_event *e,
			 const struct death *d, int64_t t_us);
	/* h->posture is the new one, unless there was no memory for it. */
	void (*on_posture)(void *arg, struct host *h, const struct wire_posture *p, int64_t t_us);
	/* An event of kind 'action': what a host did by itself. Also of what a connection brings
	 * again; not while replaying. */
	void (*on_action)(void *arg, struct host *h, const struct wire_event *e);
	/* p, which the census is of, has it already; NULL when it is not known (yet). */
	void (*on_census)(void *arg, struct host *h, struct process *p, const struct wire_census *c,
			  int64_t census_id, int64_t t_us);
};

struct ingest_stats {
	uint64_t batches;
	uint64_t records;
	uint64_t samples;  /* one process at one time */
	uint64_t repeated; /* records that the store had been given before */
	uint64_t restored; /* records in memory that a new connection brought for the store again */
	uint64_t undecodable;
	uint64_t gaps;
	uint64_t kills; /* told, each once */
	uint64_t censuses;
	uint64_t unwindowed; /* samples that found no room in the open windows */
	int64_t newest_us;   /* time of the newest sample */
};

int ingest_new(struct registry *registry, struct store *store, const struct ingest_ops *ops,
	       void *arg, struct ingest **ret) must_use;
void ingest_free(struct ingest **in);

/* The agent's connection conn holds these streams now; committed is the last stored number. */
int ingest_open(struct ingest *in, struct host *h, uint64_t epoch, uint64_t committed,
		int64_t conn) must_use;
/* One Batch frame; it becomes a batch of the store for each window that it reaches into. 0;
 * -ENOBUFS when the store's queue is full (what of it was not queued is when it comes again: try
 * that later); -EBADMSG or -EPROTO when the agent must be told off, err says why. */
int ingest_batch(struct ingest *in, struct host *h, const uint8_t *payload, size_t len,
		 struct error *err) must_use;
/* A stored batch of a window that was not sealed when we stopped: memory only. */
void ingest_replay(struct ingest *in, struct host *h, const struct store_replayed *row);
/* A batch that connection conn brought was refused: the agent has a newer one, to another collector
 * unless that is ours. Its samples from t_us on are not ours to seal then. */
void ingest_fenced(struct ingest *in, int32_t host_id, uint64_t epoch, int64_t conn, int64_t t_us);
/* The host is to be forgotten: its streams go. */
void ingest_forget(struct ingest *in, int32_t host_id);
const struct ingest_stats *ingest_stats(const struct ingest *in);

#endif
