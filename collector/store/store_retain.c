/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves ahead of time, and old ones dropped: detached concurrently first, because an insert would
 * queue behind a drop that waits for a reader. One leaf at a time. Of what has no leaves the old
 * rows are deleted, some at a time.
 *
 * A table that Citus distributes cannot be detached from concurrently (docs/adr/0035): its leaf is
 * dropped as it is, where the lock is had at once, else a little later.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/str.h"

#define MAGIC       0x72657461u
#define INTERVAL_US (60 * USEC_PER_SEC)
/* A leaf of censuses holds a month. */
#define LEAF_SPAN_US    (40 * 24 * 3600 * USEC_PER_SEC)
#define SEALS_LONGER_US (2LL * 24 * 3600 * USEC_PER_SEC)
#define ROWS_MAX        5000               /* deleted of a table in one round */
#define BUSY_US         (5 * USEC_PER_SEC) /* until a leaf that is read is tried again */

/* Of an incident's host: what led to it, and what came of it. */
#define HELD_BEFORE_S 7200
#define HELD_AFTER_S  1800

/* The leaf that is going. */
struct dropping {
	struct store_job job; /* first */
	unsigned magic;
	struct store *s;
	enum query detach;
	bool whole; /* no detaching: dropped while it is attached */
	char table[64];
	char leaf[64];
};

static void retain_end(struct store *s)
{
	s->retaining = false;
	store_timer(s->retain_timer, INTERVAL_US);
}

/* What ended before this may go. */
static int64_t horizon(const struct store *s, enum partition_table t, int64_t now_us)
{
	int64_t inbox;

	switch (t) {
	case PARTITION_INBOX:
		inbox = MIN_OF(now_us - s->cfg.keep_inbox_us, window_oldest_received(s->windows));
		inbox = MIN_OF(inbox, s->keep_from_us);
		if (!s->replay.done || (s->adopt.timer && !s->adopt.clear))
			return INT64_MIN;
		return MIN_OF(inbox, store_oldest_queued(s));
	case PARTITION_CHUNK:
	case PARTITION_HOST_CHUNK:
		return now_us - s->cfg.keep_chunk_us;
	case PARTITION_CHUNK_HELD:
	case PARTITION_HOST_CHUNK_HELD:
		return now_us - s->cfg.keep_evidence_us;
	case PARTITION_ROLLUP_WINDOW:
	case PARTITION_ROLLUP_1H:
		return now_us - s->cfg.keep_rollup_us;
	case PARTITION_ROLLUP_1D:
		return now_us - s->cfg.keep_day_us;
	case PARTITION_EVENT:
		/* a batch may hold an event as old as that */
		return now_us - s->cfg.keep_event_us - 24 * 3600 * USEC_PER_SEC;
	case PARTITION_CENSUS:
	case PARTITION_SNAPSHOT:
		return now_us - s->cfg.keep_rollup_us;
	case PARTITION_TABLES:
		break;
	}
	return INT64_MIN;
}

static int table_of(const char *name)
{
	for (int t = 0; t < PARTITION_TABLES; t++)
		if (strcmp(partition_name((enum partition_table)t), name) == 0)
			return t;
	return -1;
}

/* ---- dropping ---- */

static void dropping_free(struct store_job *job)
{
	free(job);
}

static void end_drop(struct dropping *d)
{
	if (d)
		store_job_end(&d->job);
}

static void on_dropped(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dropping *d = arg;
	struct store *s = d->s;

	(void)r, (void)err;
	MAGIC_CHECK(d, MAGIC);
	FAILPOINT("retain.dropped");
	end_drop(d);
	s->retaining = false;
	store_timer(s->retain_timer, rc == 0 ? 0 : INTERVAL_US); /* the next one */
}

static void drop(struct dropping *d)
{
	struct db_param p = DB_P_IDENT(d->leaf);

	FAILPOINT("retain.drop");
	if (db_query(d->s->db, Q_PARTITION_DROP, &p, 1, on_dropped, d) < 0) {
		retain_end(d->s);
		end_drop(d);
	}
}

static void on_detached(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dropping *d = arg;

	(void)r, (void)err;
	MAGIC_CHECK(d, MAGIC);
	FAILPOINT("retain.detached");
	if (rc < 0) { /* a reader holds it: finalized at the next round */
		retain_end(d->s);
		end_drop(d);
		return;
	}
	drop(d);
}

static int on_fence_held(void *arg unused_arg, struct db_tx *tx unused_arg,
			 const struct db_result *r)
{
	return db_int(r, 0, 0) ? 0 : -ESTALE;
}

/* What deletes, or drops at once, may not be an old leader that has just woken up. */
static int hold_lease(const struct store *s, struct db_tx *tx)
{
	const struct db_param fence = db_fence(s->db);

	return db_tx_query(tx, Q_LEASE_HOLD, &fence, 1, on_fence_held);
}

static void on_dropped_whole(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dropping *d = arg;
	struct store *s = d->s;

	MAGIC_CHECK(d, MAGIC);
	if (rc != -EAGAIN) {
		if (rc < 0)
			log_warn("store error=\"cannot drop %s: %s\"", d->leaf,
				 err ? err->msg : strerror(-rc));
		on_dropped(d, rc, r, err);
		return;
	}
	log_info("store leaf=%s state=busy hint=\"it is being read; tried again in %lld s\"",
		 d->leaf, BUSY_US / USEC_PER_SEC);
	end_drop(d);
	s->retaining = false;
	store_timer(s->retain_timer, BUSY_US);
}

static int drop_whole(struct dropping *d)
{
	const struct db_param leaf = DB_P_IDENT(d->leaf);
	struct db_tx *tx;
	int rc = db_tx_new(d->s->db, &tx);

	if (rc < 0)
		return rc;
	rc = hold_lease(d->s, tx);
	if (rc == 0)
		rc = db_tx_query(tx, Q_PARTITION_PATIENCE, NULL, 0, NULL);
	if (rc == 0)
		rc = db_tx_query(tx, Q_PARTITION_DROP, &leaf, 1, NULL);
	FAILPOINT("retain.drop");
	if (rc == 0)
		return db_tx_commit(&tx, on_dropped_whole, d);
	db_tx_free(&tx);
	return rc;
}

static struct dropping *dropping_new(struct store *s, const char *table, const char *leaf)
{
	struct dropping *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->magic = MAGIC;
	d->s = s;
	store_job_add(s, &d->job, dropping_free);
	(void)str_copy(d->table, sizeof(d->table), table);
	(void)str_copy(d->leaf, sizeof(d->leaf), leaf);
	return d;
}

static int detach(struct dropping *d)
{
	const struct db_param params[] = {DB_P_IDENT(d->table), DB_P_IDENT(d->leaf)};

	if (d->whole)
		return drop_whole(d);
	return db_query(d->s->db, d->detach, params, ARRAY_SIZE(params), on_detached, d);
}

static void on_held(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dropping *d = arg;

	(void)r;
	MAGIC_CHECK(d, MAGIC);
	if (rc < 0) /* then it stays until that works */
		log_warn("store error=\"cannot hold the evidence in %s: %s\"", d->leaf,
			 err ? err->msg : "");
	if (rc < 0 || detach(d) < 0) {
		retain_end(d->s);
		end_drop(d);
	}
}

/* Copies what outlives the chunks of the leaf, before that is touched. */
static int hold(struct dropping *d, enum partition_table t, int64_t end_us)
{
	bool process = t == PARTITION_CHUNK;
	int64_t start = partition_start(t, end_us - 1);
	const struct db_param params[] = {DB_P_TIME(start), DB_P_TIME(end_us),
					  DB_P_FLOAT8(HELD_BEFORE_S), DB_P_FLOAT8(HELD_AFTER_S)};
	struct db_tx *tx;
	int rc = db_tx_new(d->s->db, &tx);

	if (rc < 0)
		return rc;
	rc = store_need_leaf(d->s, tx, process ? PARTITION_CHUNK_HELD : PARTITION_HOST_CHUNK_HELD,
			     start);
	if (rc == 0)
		rc = db_tx_query(tx, process ? Q_HOLD_CHUNK : Q_HOLD_HOST_CHUNK, params,
				 ARRAY_SIZE(params), NULL);
	if (rc == 0)
		return db_tx_commit(&tx, on_held, d);
	db_tx_free(&tx);
	return rc;
}

/* Is there evidence to be kept of what ends then? */
static bool holds(const struct store *s, enum partition_table t, int64_t end_us)
{
	return (t == PARTITION_CHUNK || t == PARTITION_HOST_CHUNK) &&
	       end_us > clock_wall_us() - s->cfg.keep_evidence_us;
}

static bool let_go(struct store *s, enum partition_table t, const char *leaf, int64_t end_us,
		   bool pending, bool whole)
{
	struct dropping *d = dropping_new(s, partition_name(t), leaf);
	int rc = d ? 0 : -ENOMEM;

	if (d) {
		d->whole = whole;
		d->detach = pending ? Q_PARTITION_FINALIZE : Q_PARTITION_DETACH;
	}
	if (d && !pending && holds(s, t, end_us))
		rc = hold(d, t, end_us);
	else if (d)
		rc = detach(d);
	if (rc < 0)
		end_drop(d);
	return rc == 0;
}

static void on_orphans(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;
	struct dropping *d;

	(void)err;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0 || db_rows(r) == 0) {
		retain_end(s);
		return;
	}
	d = dropping_new(s, "", db_text(r, 0, 0));
	if (d)
		drop(d);
	else
		retain_end(s);
}

/* The first leaf that may go is started on; the round after it finds the next. */
static void on_listed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;
	int64_t now = clock_wall_us();

	(void)err;
	MAGIC_CHECK(s, STORE_MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		int t = table_of(db_text(r, i, 0));
		int64_t end = db_time(r, i, 3);
		bool pending = db_int(r, i, 2);

		if (t < 0 || (!pending && end > horizon(s, (enum partition_table)t, now)))
			continue;
		partition_forget(&s->partitions, (enum partition_table)t, end);
		if (!let_go(s, (enum partition_table)t, db_text(r, i, 1), end, pending,
			    db_int(r, i, 4)))
			break;
		return;
	}
	if (rc < 0 || db_query(s->db, Q_PARTITION_ORPHANS, NULL, 0, on_orphans, s) < 0)
		retain_end(s);
}

static int ask_list(struct store *s)
{
	const char *names[PARTITION_TABLES];
	struct db_param p = DB_P_TEXTS(names, PARTITION_TABLES);

	for (int t = 0; t < PARTITION_TABLES; t++)
		names[t] = partition_name((enum partition_table)t);
	return db_query(s->db, Q_PARTITION_LIST, &p, 1, on_listed, s);
}

/* ---- rows ---- */

static void on_deleted(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0)
		log_warn("store error=\"cannot delete what is old: %s\"", err ? err->msg : "");
	if (ask_list(s) < 0)
		retain_end(s);
}

static int delete_rows(struct store *s)
{
	int64_t now = clock_wall_us();
	const struct {
		enum query q;
		int64_t keep_us;
	} tables[] = {
		/* as long as figures of theirs are there */
		{Q_RETAIN_PROCESS, MAX_OF(s->cfg.keep_chunk_us, s->cfg.keep_rollup_us)},
		{Q_RETAIN_MAIL, s->cfg.keep_event_us},
		{Q_RETAIN_DEAD_LETTER, s->cfg.keep_chunk_us},
		{Q_RETAIN_GAP, s->cfg.keep_rollup_us},
		{Q_RETAIN_CGROUP, MAX_OF(s->cfg.keep_chunk_us, s->cfg.keep_rollup_us)},
		{Q_RETAIN_POSTURE, s->cfg.keep_event_us},
		/* no census that is still there names it */
		{Q_RETAIN_CENSUS_TYPE, s->cfg.keep_rollup_us + LEAF_SPAN_US},
		/* a dossier says it all where the rest has gone */
		{Q_RETAIN_OOM_KILL, MAX_OF(s->cfg.keep_event_us, s->cfg.keep_rollup_us)},
		/* a day is not looked at again when its hours have gone, a part not numbered when
		 * its chunks have */
		{Q_RETAIN_COMPACTION,
		 MAX_OF(s->cfg.keep_chunk_us, s->cfg.keep_rollup_us) + SEALS_LONGER_US},
		{Q_RETAIN_ROLLUP_DAY,
		 MAX_OF(s->cfg.keep_day_us, s->cfg.keep_rollup_us) + SEALS_LONGER_US},
	};
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	if (rc == 0)
		rc = hold_lease(s, tx);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(tables); i++) {
		const struct db_param params[] = {DB_P_TIME(now - tables[i].keep_us),
						  DB_P_INT4(ROWS_MAX)};

		rc = db_tx_query(tx, tables[i].q, params, ARRAY_SIZE(params), NULL);
	}
	if (rc == 0)
		rc = db_tx_commit(&tx, on_deleted, s);
	if (rc < 0)
		db_tx_free(&tx);
	return rc;
}

/* ---- ahead ---- */

static void on_made(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;
	int64_t now = clock_wall_us();

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0)
		log_warn("store error=\"cannot make leaves ahead: %s\"", err ? err->msg : "");
	for (int t = 0; rc == 0 && t < PARTITION_TABLES; t++) {
		int64_t at = now;

		for (int i = 0; i < PARTITION_AHEAD;
		     i++, at = partition_end((enum partition_table)t, at))
			partition_remember(&s->partitions, (enum partition_table)t, at);
	}
	/* Also when that failed: a full disk gets room by what goes. */
	if (delete_rows(s) < 0)
		retain_end(s);
}

static int make_ahead(struct store *s)
{
	int64_t now = clock_wall_us();
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	for (int t = 0; rc == 0 && t < PARTITION_TABLES; t++) {
		int64_t at = now;

		for (int i = 0; rc == 0 && i < PARTITION_AHEAD;
		     i++, at = partition_end((enum partition_table)t, at))
			rc = store_need_leaf(s, tx, (enum partition_table)t, at);
	}
	if (rc < 0) {
		db_tx_free(&tx);
		return rc;
	}
	return db_tx_commit(&tx, on_made, s);
}

void store_on_retain_timer(int fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (s->retaining)
		return;
	store_ask_sizes(s);
	window_forget(s->windows, clock_wall_us() - s->cfg.keep_chunk_us);
	window_forget(s->others, clock_wall_us() - s->cfg.keep_chunk_us);
	if (!s->leads) {
		store_timer(s->retain_timer, INTERVAL_US);
		return;
	}
	store_make_day(s);
	s->retaining = true;
	if (make_ahead(s) < 0)
		retain_end(s);
}
