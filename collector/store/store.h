/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - what the collector keeps: exactly-once batches, sealed windows, series.
 *
 * A batch that an agent sent is stored and its stream's last_seq moved in one transaction, and
 * only then acknowledged. In memory its samples go into the windows (window.h) as they arrive; a
 * window that is over is written as chunks and rollup rows in one transaction. After a restart the
 * batches of unsealed windows are given back (store_replay) so that memory is what it was.
 *
 * Everything runs on the loop; callbacks come from the loop, never from within the call.
 * With the database down, batches wait (bounded) and nothing is acknowledged.
 *
 * The verbs over other tables (store_host, store_alert, ...) take the struct db of store_db().
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_H
#define MEMHERD_COLLECTOR_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/db.h"
#include "collector/store/window.h"
#include "common/error.h"
#include "proto/wire.h"

struct event_base;
struct store;

struct store_config {
	const char *conninfo;
	unsigned connections;  /* of the pool */
	bool relaxed;          /* accept a server with fsync or synchronous_commit off */
	int64_t window_us;     /* recorded in the database at first start, fixed from then on */
	int64_t seal_grace_us; /* a window is sealed so long after its end */
	int64_t flush_us;      /* a batch waits at most so long for others */
	int64_t flush_bytes;   /* ... or until so many bytes are together */
	int64_t wait_us;       /* ticks wait at most so long for others of their host */
	int64_t queue_bytes;   /* store_put() refuses beyond */
	int64_t window_bytes;  /* memory of open windows; store_put() refuses beyond */
	int64_t keep_inbox_us; /* at least; never dropped before its windows are sealed */
	int64_t keep_chunk_us;
	int64_t keep_rollup_us;
	int64_t keep_day_us;      /* rollups of days */
	int64_t keep_evidence_us; /* chunks around alerts and kills */
	int64_t keep_event_us;
	/* One of several collectors on the database; all NULL: alone, and not written down. */
	const uint8_t *uuid;      /* 16 bytes: its own, the same over restarts */
	const uint8_t *ca_sha256; /* 32 bytes: collectors of one database share a CA */
	const char *name;         /* what people know it by */
	const char *replica;      /* history is read there; NULL or '': from the primary */
	int64_t replica_lag_us;   /* while it is behind by no more */
};

/* The defaults of storage.md 7: 30 min, 30 s, 200 ms, 1 MiB, 60 s, 64 MiB, 512 MiB, 3 h, 14/90/365
 * d, 2 y of days, 1 y of evidence. */
void store_config_init(struct store_config *cfg);

struct store_acked {
	int32_t host_id;
	int64_t epoch;
	int64_t conn;
	int64_t last_seq;
	int64_t t_us; /* of its first tick */
	int rc; /* 0 stored (now or before): acknowledge; -ESTALE fenced by a newer connection:
		 * drop; -EPROTO a hole before it: end the connection, its next Hello tells where we
		 * are */
};
/* In the order of store_put() within a stream; once for several batches that became one row. */
typedef void store_on_acked(void *arg, const struct store_acked *a);

/* Connects (blocking), checks the server, migrates, makes partitions, then opens the pool. */
int store_open(struct event_base *base, const struct store_config *cfg, store_on_acked *on_acked,
	       void *arg, struct store **ret, struct error *err) must_use;
/* Waits up to timeout for queued batches to be written, running the loop. 0 or -ETIMEDOUT. */
int store_drain(struct store *s, int64_t timeout_us) must_use;
void store_free(struct store **s);

struct db *store_db(struct store *s);
struct window_set *store_windows(struct store *s);
/* Our number among the collectors; 0 while alone. */
int store_writer(const struct store *s);
/* Our process among those of our uuid: 16 bytes. */
const uint8_t *store_boot(const struct store *s);
/* Receive time of our oldest batch that is in no chunk yet, INT64_MAX when none. */
int64_t store_oldest_unsealed(const struct store *s);
/* Retention and its like are ours to do, or another collector's. At first they are. */
void store_lead(struct store *s, bool leads);
/* Others have batches from this receive time on that are in no chunk: they are not dropped. */
void store_keep_from(struct store *s, int64_t rcv_us);
/* Start of the window that holds t. */
int64_t store_window_of(const struct store *s, int64_t t_us);
bool store_ready(const struct store *s);
/* Why not ready; '' when it is. */
const char *store_trouble(const struct store *s);
/* Receive time for the batch at hand: wall microseconds, strictly rising over restarts. The same
 * value goes into window_add() and store_put(); its row gets a later one, when its wait is over. */
int64_t store_receive_time(struct store *s);

struct store_stats {
	uint64_t batches;    /* committed */
	uint64_t bytes;      /* of payload, committed */
	uint64_t duplicates; /* already stored */
	uint64_t fenced;
	uint64_t dead_letters;
	uint64_t flush_errors;   /* transactions that failed and were tried again */
	uint64_t days;           /* made: a day of 256 hosts, again for late data */
	uint64_t sealed;         /* windows */
	uint64_t sealed_samples; /* of processes */
	uint64_t sealed_bytes;   /* of their chunks */
	uint64_t seal_errors;
	uint64_t followed; /* batches of other collectors, read */
	uint64_t too_late; /* parts dropped: older than chunks are kept */
	uint64_t adopted;  /* windows that were sealed for a collector that is gone */
	uint64_t adopt_errors;
	size_t queued_bytes;
	size_t queued_batches;
	int64_t oldest_queued_us; /* receive time, 0 = none */
	const char *refused;      /* why the last flush failed; '' = it did not */
};
void store_stats(const struct store *s, struct store_stats *ret);

/* ---- streams ---- */

/* last_seq[i] belongs to epochs[i] of the call; conn goes into this connection's batches. */
typedef void store_on_stream(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n,
			     const struct error *err);
/* A new connection of host: fences the one before it. What the host tells of its streams is kept
 * for the account (view stream_account). done is called once if 0 was returned. */
int store_stream_open(struct store *s, int32_t host_id, const struct wire_epoch *epochs, size_t n,
		      store_on_stream *done, void *arg) must_use;

/* ---- batches ---- */

struct store_process {
	int64_t proc_id;
	uint8_t boot_id[16];
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t ppid;
	uint32_t uid;
	const char *comm; /* strings as wire.h validates them; NULL = '' */
	const char *cmdline;
	const char *exe;
	const char *cgroup;
	const char *service;
	const char *container;
	const char *role; /* wire_role_word() */
	uint32_t slot;
	int64_t first_seen_us;
};

struct store_exit {
	int64_t proc_id;
	int64_t t_us;
};

/* How a process ended. It may come before the process itself: then a row is made of it. */
struct store_death {
	int64_t proc_id;
	uint8_t boot_id[16];
	uint32_t pid;
	uint64_t start_ticks;
	int64_t t_us;
	const char *cause;      /* KILL_CAUSE_LIST's word */
	const char *confidence; /* KILL_CONFIDENCE_LIST's word; '' = not told */
	int exit_code;          /* -1 = not known */
	int exit_signal;        /* 0 = none known */
	const char *verdict;    /* one sentence */
	const char *comm;       /* who it was, for a row that is made here; as the two below */
	const char *service;
	const char *container;
};

/* A memory cgroup, as it is told now. */
struct store_cgroup {
	int64_t cgroup_id;
	uint32_t version;
	const char *path;
	const char *name;
	const char *runtime;
	const char *image;
	const char *limited_by;
	int64_t t_us;
};

/* A kill: stored once by its id, with an event of kind 'oom_kill'. Told again, it stays as it is
 * unless it is better known now: read whole, or with the flight ring of that moment. */
struct store_kill {
	int64_t kill_id; /* identity_kill() */
	int64_t t_us;
	int64_t seq; /* of the record */
	const char *cause;
	const char *confidence;
	bool oom; /* a killer acted because memory was short */
	bool complete;
	bool replayed;
	int64_t proc_id; /* of the victim; 0 = not known */
	uint32_t pid;
	const char *comm; /* of the victim, as the two below */
	const char *service;
	const char *container;
	int64_t rss_bytes; /* -1 = not known */
	const char *limit_cgroup;
	const char *limit_owner;
	int64_t limit_bytes; /* -1 = not known */
	const char *verdict;
	const char *doc;   /* JSON text: the whole dossier */
	const char *event; /* JSON text: what the event tells */
};

/* A census of a Python process, which may not be stored (yet). Counts above what a column holds are
 * cut. */
struct store_census {
	int64_t census_id; /* identity_census() */
	int64_t t_us;
	int64_t proc_id;
	uint32_t pid;
	uint64_t start_ticks;
	const char *service; /* '' = not known, as comm */
	const char *comm;
	const char *method; /* CENSUS_METHOD_LIST's word */
	const char *reason; /* CENSUS_REASON_LIST's word */
	uint8_t command_id[16];
	int64_t version;
	int interpreters;
	int64_t pause_us;
	int64_t walk_us;
	int64_t objects;
	int64_t bytes;
	int types_total;
	int error_per_10000;
	const char *types; /* JSON text: an array of [name, count, bytes], the largest first */
	const char *parts; /* JSON text: an object of HEAP_PART_LIST's names */
	const char *note;
};

/* What Python that was run in a process found, which may not be stored (yet). */
struct store_snapshot {
	int64_t snapshot_id; /* identity_census() */
	int64_t t_us;
	int64_t proc_id;
	uint32_t pid;
	uint64_t start_ticks;
	const char *service; /* '' = not known, as comm */
	const char *comm;
	const char *kind;   /* snapshot_layout()'s word */
	const char *reason; /* CENSUS_REASON_LIST's word */
	uint8_t command_id[16];
	const char *subject; /* a type; '' = the whole process */
	const char *totals;  /* JSON text: an object, by the layout's names */
	const char *rows;    /* JSON text: an array of such, the largest first */
	const char *note;
};

/* Kept when it differs from the one before. */
struct store_posture {
	int64_t t_us;
	const char *doc; /* JSON text: an array of findings */
};

struct store_event {
	int64_t t_us; /* one that is older than events are kept or an hour ahead becomes rcv_us */
	int64_t seq;
	int idx;
	const char *kind; /* WIRE_EVENT_LIST's word */
	int64_t proc_id;  /* 0 = none */
	const char *doc;  /* JSON text */
};

struct store_gap {
	int64_t from_seq;
	int64_t to_seq;
	int64_t records;
	int reason;         /* enum wire_gap_reason */
	int64_t t_first_us; /* 0 = not known */
	int64_t t_last_us;
};

/* What is told of samples lies in one window: the batch is read back until that is sealed. */
struct store_batch {
	int32_t host_id;
	int64_t epoch;
	int64_t conn;
	int64_t first_seq;
	int64_t last_seq;       /* a gap's to_seq included */
	int64_t rcv_us;         /* store_receive_time() */
	int64_t t_us;           /* of its first tick; 0 = rcv_us */
	int64_t skew_us;        /* of the host's clock, as its samples were corrected by */
	int64_t wait_us;        /* it may wait so long for more of its stream; 0 = not at all */
	int writer;             /* set by store_put(): who received it */
	const uint8_t *payload; /* a Batch */
	size_t payload_len;
	const struct store_process *born; /* only those announced with strings */
	size_t n_born;
	const struct store_exit *exited;
	size_t n_exited;
	const struct store_event *events;
	size_t n_events;
	const struct store_gap *gaps;
	size_t n_gaps;
	const struct store_death *deaths;
	size_t n_deaths;
	const struct store_cgroup *cgroups;
	size_t n_cgroups;
	const struct store_exit *cgroups_gone; /* proc_id is the cgroup's id */
	size_t n_cgroups_gone;
	const struct store_kill *kills;
	size_t n_kills;
	const struct store_posture *postures;
	size_t n_postures;
	const struct store_census *censuses;
	size_t n_censuses;
	const struct store_snapshot *snapshots;
	size_t n_snapshots;
};

/*
 * Queues a copy. One that may wait and holds nothing but ticks is committed with those that follow
 * it, as one row; whatever else of its host comes, and store_hurry(), ends the wait. While other
 * collectors read what we store nothing waits.
 * -ENOBUFS: the caller stops reading that connection and tries again later. */
int store_put(struct store *s, const struct store_batch *b) must_use;
/* Somebody waits for the acknowledgement of what this host sent. */
void store_hurry(struct store *s, int32_t host_id);
/* May a frame of len bytes be taken from an agent? Says no before store_put() does, so that a frame
 * that was taken is put whole. */
bool store_has_room(const struct store *s, size_t len);

/* ---- start ---- */

struct store_replayed {
	int32_t host_id;
	int64_t epoch;
	int64_t first_seq;
	int64_t last_seq;
	int64_t rcv_us;             /* for window_add(): what is sealed already is ignored there */
	int64_t t0_us;              /* start of the window that it lies in */
	int64_t skew_us;            /* as the batch's */
	bool followed;              /* just stored; else it was before our start */
	struct window_set *windows; /* where its samples go; NULL: they only move the state on */
	int codec;                  /* of the row that it was read from (inbox.h) */
	const uint8_t *payload;     /* a Batch, or several */
	size_t payload_len;
};
typedef void store_on_replayed(void *arg, const struct store_replayed *r);
typedef void store_on_replay_done(void *arg, int rc, const struct error *err);
/* Gives back what may be in no chunk yet, and one window more so that a keyframe is among it, in
 * the order in which it came. Nothing is sealed or dropped before it is done. */
int store_replay(struct store *s, store_on_replayed *row, store_on_replay_done *done,
		 void *arg) must_use;

/* After store_replay(): what other collectors store is given from now on, some time after they did.
 * What comes twice is given twice. row as store_replay's. */
void store_follow(struct store *s, store_on_replayed *row, void *arg);
/* Once more what others received in the last span_us: a host was not known yet. */
void store_follow_back(struct store *s, int64_t span_us);

/* ---- of a collector that is gone ---- */

struct store_adopt_ops {
	/* What it received and is in no chunk, with what others received beside it, in the order in
	 * which it came: for a fleet of its own, apart from the one that is shown. */
	store_on_replayed *row;
	/* Every sample found room. */
	bool (*whole)(void *arg);
	/* That fleet is no longer needed. */
	void (*end)(void *arg);
	void *arg;
};
/* After store_replay(): as long as we lead, what a collector received that gave no sign for
 * silent_us and whose last window is over is sealed here, in its name. */
void store_adopt(struct store *s, int64_t silent_us, const struct store_adopt_ops *ops);

/* ---- reading ---- */

typedef void store_on_series(void *arg, int rc, const struct point *points, size_t n,
			     int64_t resolution_us, const struct error *err);
/*
 * The values of a metric of the series' kind in
 * [from, to), chunks and open windows together, oldest first. With more than max_points,
 * the time is cut into equal buckets, each told by its last value, and a gauge's by its highest
 * one too when that is not the last (two points): a spike is what people look for. resolution_us
 * is the bucket, 0 = every sample.
 * Where chunks have gone there is held evidence and, of a process's RSS, anon and swap, its hours
 * and days: the highest in the middle of each, the last at its end; resolution_us then is at least
 * that.
 */
int store_series(struct store *s, const struct series_id *id, unsigned metric, int64_t from_us,
		 int64_t to_us, size_t max_points, store_on_series *done, void *arg) must_use;

#endif
