/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_inner.h - the store's state, shared by store.c and its parts store_ingest.c, store_hold.c,
 * store_seal.c, store_replay.c, store_retain.c and store_series.c; nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_INNER_H
#define MEMHERD_COLLECTOR_STORE_STORE_INNER_H

#include <sys/queue.h>
#include <uthash.h>

#include "collector/store/inbox.h"
#include "collector/store/partition.h"
#include "collector/store/store.h"
#include "collector/store/store_size.h"

#define STORE_MAGIC           0x73746f72u
#define STORE_GROUP_MAX       4096 /* batches in a transaction */
#define STORE_BACKOFF_MIN_US  100000
#define STORE_BACKOFF_MAX_US  5000000
#define STORE_DEAD_LETTER_MAX 65536 /* bytes kept of one */
#define STORE_ROOM_PERCENT    80    /* of the queue: then nothing more is read from agents */

struct event;

/* What the database said about a queued batch. */
enum verdict {
	VERDICT_NONE,
	VERDICT_STORE,
	VERDICT_KNOWN,
	VERDICT_FENCED,
	VERDICT_HOLE,
	VERDICT_AGAIN
};

struct pending {
	TAILQ_ENTRY(pending) link;
	struct store_batch b; /* points into this allocation; the payload is at its end */
	size_t size;
	int codec; /* of the payload: inbox.h */
	enum verdict verdict;
	bool dead;     /* alone in its group it could not be stored: goes to dead_letter */
	int64_t t0_us; /* window of b.t_us */
	char reason[256];
};

/* What a host's ticks wait in for the next ones (store_hold.c): not in the queue yet. */
struct hold {
	int32_t host_id;
	int64_t due_us; /* clock_boot_us() */
	struct pending *p;
	UT_hash_handle hh;
};

/* A chunk of the window on its way. */
struct seal_part {
	struct window_part w;
	size_t at; /* in seal.data */
	size_t len;
	int64_t part; /* of its key: known once the transaction has begun */
};

/* A window on its way into chunks. Kept until its transaction is known to be in. */
struct seal {
	bool active;
	struct window_set *windows; /* it is of these: our own, or the adopted ones */
	int64_t t0_us;
	int64_t cut_us;
	struct seal_part *parts;
	size_t n, cap;
	struct buf data;
};

struct replay {
	bool active;
	bool done; /* nothing is sealed or dropped before */
	int64_t from_us;
	struct store_replayed last;
	store_on_replayed *row;
	store_on_replay_done *on_done;
	void *arg;
};

#define STORE_WRITERS 64 /* other collectors that are followed */

/* Up to where another collector's batches were read. */
struct place {
	int writer;
	int64_t rcv_us;
};

struct follow {
	struct event *timer; /* NULL until store_follow() */
	bool asking;
	unsigned rounds;
	struct place places[STORE_WRITERS];
	size_t n;
	store_on_replayed *row;
	void *arg;
	TAILQ_HEAD(, follower) waiting; /* for the look that comes, then for that under way */
	TAILQ_HEAD(, follower) served;
};

/* Who waits until all that was stored before is read. */
struct follower {
	TAILQ_ENTRY(follower) link;
	void (*done)(struct follower *f, int rc);
};

/* All that was received before is in chunks. */
struct cut {
	int64_t t0_us, cut_us;
};

/* What a collector that is gone left unsealed, on its way into chunks. */
struct adoption {
	struct event *timer; /* NULL until store_adopt() */
	int64_t silent_us;
	struct store_adopt_ops ops;
	bool clear;  /* we led and found nobody to adopt: the inbox may be cleaned up */
	bool active; /* the ones below hold */
	int writer;
	char name[128];
	uint8_t boot[16]; /* that we gave it: who has it seals what it received */
	struct window_set *windows;
	int64_t cut_us; /* its youngest batch */
	int64_t from_us;
	int64_t newest_us; /* start of the youngest window that a batch of its begins in */
	struct cut *cuts;  /* of its windows that are sealed */
	size_t n_cuts;
	bool paged;           /* it was too much at once: a window after the other .. */
	int64_t target_us;    /* .. this one .. */
	int pages, page;      /* .. so many times, each its share of the hosts .. */
	struct seal gathered; /* .. whose chunks are gathered here */
	int skip;             /* who did not fit even so: others first; -1 nobody */
	struct store_replayed last;
	bool read; /* all of it: windows may be sealed */
	uint64_t sealed;
};

/* State of a query under way, first in its struct: what waits when the store is freed is freed
 * with it, without a callback. */
struct store_job {
	LIST_ENTRY(store_job) link;
	void (*free)(struct store_job *job);
};

struct store {
	unsigned magic;
	LIST_HEAD(, store_job) jobs;
	struct event_base *base;
	struct store_config cfg;
	struct db *db;
	struct window_set *windows;
	struct partitions partitions;
	store_on_acked *on_acked;
	void *arg;
	int64_t last_rcv_us;
	struct store_stats stats;

	TAILQ_HEAD(, pending) queue;
	struct hold *holds; /* by host */
	size_t held_bytes;
	struct event *hold_timer;
	struct inbox *inbox;
	struct event *flush_timer;
	struct pending *
		*group; /* the batches of the transaction under way, by (host, epoch, seq) */
	size_t n_group;
	size_t group_max; /* shrinks to find a batch that cannot be stored */
	bool flushing;
	bool hurried; /* somebody waits for what is in the queue */
	int64_t backoff_us;
	char refused[256]; /* why the last flush failed */

	struct event *seal_timer;
	struct seal seal;
	struct event *retain_timer;
	bool retaining;
	bool making_day;
	struct store_sizes sizes;
	struct replay replay;
	int writer;
	uint8_t boot[16];
	int64_t keep_from_us; /* what other collectors still need of the inbox */
	bool several;         /* there may be other collectors */
	bool leads;
	struct window_set *others; /* windows of what they received */
	struct follow follow;
	struct adoption adopt;
	struct replica *replica; /* NULL: none */
};

/* Adds steps that make the leaves for t, where they are not known yet. */
int store_need_leaf(struct store *s, struct db_tx *tx, enum partition_table t,
		    int64_t t_us) must_use;
void store_job_add(struct store *s, struct store_job *job, void (*free)(struct store_job *job));
/* Takes it off the list and frees it. */
void store_job_end(struct store_job *job);
/* Turns the bytes of a row into its Batch; false where they are damaged: it is set aside as a dead
 * letter then. They live until the next call. */
bool store_inbox_open(struct store *s, struct store_replayed *r) must_use;
void store_timer(struct event *timer, int64_t us);

/* A copy of the batch, in one allocation that it is the only owner of; NULL without memory. */
struct pending *store_pending_new(const struct store_batch *b) must_use;
/* The same with its payload as the inbox has it. */
struct pending *store_pending_pack(struct store *s, const struct store_batch *b) must_use;
/* Puts it at the end of the queue and has it flushed. */
void store_enqueue(struct store *s, struct pending *p);
void store_ingest_fini(struct store *s);

/* Takes the batch where it may wait and is of ticks alone. */
bool store_hold_take(struct store *s, const struct store_batch *b);
/* What waits of that host goes into the queue; true if there was any. */
bool store_hold_release(struct store *s, int32_t host_id);
void store_hold_release_all(struct store *s);
/* What waits for a window that starts at t0 or before goes into the queue. */
void store_hold_release_window(struct store *s, int64_t t0_us);
void store_on_hold_timer(int fd, short what, void *arg);
void store_hold_fini(struct store *s);
/* Receive time of the oldest queued batch, INT64_MAX when none; what waits is not in the queue. */
int64_t store_oldest_queued(const struct store *s);
/* A queued batch may still bring samples for the window from t0. */
bool store_queue_touches(const struct store *s, int64_t t0_us);

void store_on_flush_timer(int fd, short what, void *arg);
void store_on_seal_timer(int fd, short what, void *arg);
void store_on_retain_timer(int fd, short what, void *arg);
void store_seal_fini(struct store *s);
void store_seal_clear(struct seal *l);
/* Begins to gather what is sealed: window_seal_begin() with store_seal_part() adds a window's. */
void store_seal_gather(struct seal *l);
int store_seal_part(void *seal, const struct window_part *w, const struct buf *chunk) must_use;
/* A batch is stored: its window is sealed, with or without samples. */
void store_note_batch(struct window_set *ws, int64_t t0_us, int64_t rcv_us);
void store_ask_sizes(struct store *s);
/* The days that are due, one after the other; nothing while one is being made. */
void store_make_day(struct store *s);
void store_follow_fini(struct store *s);
/* A batch of another collector was read at start. */
void store_follow_saw(struct store *s, int writer, int64_t rcv_us);
/* Calls f->done when what others had stored by now was given; at once when there is nobody. */
void store_follow_catch_up(struct store *s, struct follower *f);
void store_follow_leave(struct store *s, struct follower *f);
/* A page of the inbox from window from_us on, after last; arg of done is s. */
int store_replay_ask(struct store *s, int64_t from_us, const struct store_replayed *last,
		     db_done *done) must_use;
bool store_replay_is_last(const struct db_result *r);
/* Row i as it is stored, but for where its samples go. Who received it. */
int store_replay_read(const struct db_result *r, size_t i, struct store_replayed *ret);
/* First in a transaction that seals what writer received: it is undone with -ESTALE where another
 * process than boot does that. */
int store_hold_writer(struct db_tx *tx, int writer, const uint8_t boot[16]) must_use;
void store_adopt_fini(struct store *s);
int store_replica_new(struct store *s, const struct store_config *cfg, struct error *err) must_use;
void store_replica_free(struct store *s);
/* A window has gone into chunks, and from memory. */
void store_replica_wrote(struct store *s);
/* A window of it that is to be sealed; false when there is none. */
bool store_adopt_due(const struct store *s, int64_t *ret_t0);
/* Its chunks, where they are gathered already: moved to ret. */
bool store_adopt_take(struct store *s, struct seal *ret);
/* What came of that: 0; -ESTALE another process seals it now. */
void store_adopt_sealed(struct store *s, int rc);

/* The seal's figures: rows of rollup_window, and of rollup_1h for what does not fit there. */
int store_rollup_rows(const struct store *s, struct buf *together, struct buf *alone) must_use;
/* The windows of an hour share the range of 'part' in rollup_1h between them: how many each has. */
int store_rollup_parts(int64_t window_us);

#endif
