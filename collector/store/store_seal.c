/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows that are over become chunks and rollup rows. What is being sealed and its cut are kept
 * until its transaction is known to be in: a repeat after a commit whose outcome was not heard
 * finds the cut recorded and writes nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#define ROWS_MAX       ((size_t)512 << 20)
#define PARTS_PER_SEAL 8            /* chunks of one series in one seal: full ones are followed */
#define LOOK_US        USEC_PER_SEC /* from one look for a window that is due to the next */
#define PATIENCE       20           /* graces, for a window that late data keeps coming into */

void store_seal_clear(struct seal *l)
{
	free(l->parts);
	buf_fini(&l->data);
	*l = (struct seal){0};
}

void store_seal_fini(struct store *s)
{
	store_seal_clear(&s->seal);
}

void store_seal_gather(struct seal *l)
{
	*l = (struct seal){0};
	buf_init(&l->data, ROWS_MAX);
}

int store_seal_part(void *arg, const struct window_part *w, const struct buf *chunk)
{
	struct seal *l = arg;

	if (l->n == l->cap) {
		size_t cap = MAX_OF(l->cap * 2, (size_t)256);
		struct seal_part *p = realloc(l->parts, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->parts = p;
		l->cap = cap;
	}
	l->parts[l->n++] = (struct seal_part){.w = *w, .at = l->data.len, .len = chunk->len};
	buf_put(&l->data, chunk->data, chunk->len);
	return buf_status(&l->data);
}

/* ---- rows ---- */

static void put_fields(struct buf *b, const struct db_param *p, unsigned n)
{
	db_copy_row(b, n);
	for (unsigned i = 0; i < n; i++)
		db_copy_field(b, &p[i]);
}

static void put_chunk(struct buf *b, const struct seal *l, const struct seal_part *p)
{
	const struct db_param fields[] = {
		DB_P_TIME(l->t0_us),
		DB_P_INT4(p->w.id.host_id),
		DB_P_INT8(p->w.id.obj_id),
		DB_P_INT2(p->part),
		DB_P_INT2((int64_t)p->w.n),
		DB_P_INT2(CHUNK_CODEC),
		DB_P_BYTES(l->data.data + p->at, p->len),
	};

	put_fields(b, fields, ARRAY_SIZE(fields));
}

static void put_host_chunk(struct buf *b, const struct seal *l, const struct seal_part *p)
{
	const struct db_param fields[] = {
		DB_P_TIME(l->t0_us),     DB_P_INT4(p->w.id.host_id),
		DB_P_INT2(p->w.id.kind), DB_P_INT8(p->w.id.obj_id),
		DB_P_INT2(p->part),      DB_P_INT2((int64_t)p->w.n),
		DB_P_INT2(CHUNK_CODEC),  DB_P_BYTES(l->data.data + p->at, p->len),
	};

	put_fields(b, fields, ARRAY_SIZE(fields));
}

/* A series that filled a chunk goes on in the next part. */
static void number_parts(struct seal *l, int64_t seals)
{
	for (size_t i = 0; i < l->n; i++) {
		struct seal_part *p = &l->parts[i];

		p->part = i && memcmp(&p[-1].w.id, &p->w.id, sizeof(p->w.id)) == 0
				  ? p[-1].part + 1
				  : (seals - 1) * PARTS_PER_SEAL;
	}
}

static void fill_chunks(const struct seal *l, struct buf *chunks, struct buf *hosts)
{
	db_copy_begin(chunks);
	db_copy_begin(hosts);
	for (size_t i = 0; i < l->n; i++) {
		const struct seal_part *p = &l->parts[i];

		if (p->w.id.kind == SERIES_PROCESS)
			put_chunk(chunks, l, p);
		else
			put_host_chunk(hosts, l, p);
	}
	db_copy_end(chunks);
	db_copy_end(hosts);
}

static int on_begun(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct store *s = arg;
	auto_buf struct buf chunks = BUF_INIT(ROWS_MAX), hosts = BUF_INIT(ROWS_MAX);
	auto_buf struct buf together = BUF_INIT(ROWS_MAX), alone = BUF_INIT(ROWS_MAX);
	int rc;

	MAGIC_CHECK(s, STORE_MAGIC);
	if (db_rows(r) == 0)
		return 0; /* it is in already */
	FAILPOINT("seal.rows");
	number_parts(&s->seal, db_int(r, 0, 0));
	fill_chunks(&s->seal, &chunks, &hosts);
	rc = store_rollup_rows(s, &together, &alone);
	if (rc == 0)
		rc = db_tx_copy(tx, Q_CHUNK_COPY, &chunks);
	if (rc == 0)
		rc = db_tx_copy(tx, Q_HOST_CHUNK_COPY, &hosts);
	if (rc == 0)
		rc = db_tx_copy(tx, Q_ROLLUP_WINDOW_COPY, &together);
	if (rc == 0)
		rc = db_tx_copy(tx, Q_ROLLUP_COPY, &alone);
	return rc;
}

/* ---- the transaction ---- */

static void count_sealed(struct store *s)
{
	s->stats.sealed++;
	for (size_t i = 0; i < s->seal.n; i++) {
		const struct seal_part *p = &s->seal.parts[i];

		if (p->w.id.kind != SERIES_PROCESS)
			continue;
		s->stats.sealed_samples += p->w.n;
		s->stats.sealed_bytes += p->len;
	}
}

static void seal_finish(struct store *s)
{
	store_replica_wrote(s);
	window_seal_done(s->seal.windows, s->seal.cut_us);
	store_seal_fini(s);
}

static bool is_adopted(const struct store *s)
{
	return s->seal.windows != s->windows;
}

static int seal_writer(const struct store *s)
{
	return is_adopted(s) ? s->adopt.writer : s->writer;
}

/* Of windows that are not ours: who adopted them is told. */
static void seal_ended(struct store *s, int rc)
{
	bool adopted = is_adopted(s);

	if (rc == 0)
		seal_finish(s);
	else
		store_seal_fini(s); /* they go */
	if (adopted)
		store_adopt_sealed(s, rc);
}

static void on_sealed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc == 0)
		rc = FAILPOINT_RC("seal.reply"); /* in, but nobody heard it */
	if (rc == -ESTALE && is_adopted(s)) {
		seal_ended(s, rc);
		store_timer(s->seal_timer, 0);
		return;
	}
	if (rc < 0) {
		log_warn("store=seal state=waiting error=\"%s\"", err ? err->msg : strerror(-rc));
		s->stats.seal_errors++;
		store_timer(s->seal_timer, STORE_BACKOFF_MAX_US);
		return;
	}
	partition_remember(&s->partitions, PARTITION_CHUNK, s->seal.t0_us);
	partition_remember(&s->partitions, PARTITION_HOST_CHUNK, s->seal.t0_us);
	partition_remember(&s->partitions, PARTITION_ROLLUP_WINDOW, s->seal.t0_us);
	partition_remember(&s->partitions, PARTITION_ROLLUP_1H, s->seal.t0_us);
	count_sealed(s);
	FAILPOINT("seal.committed");
	seal_ended(s, 0);
	store_timer(s->seal_timer, 0);
}

static int seal_send(struct store *s)
{
	const struct db_param params[] = {DB_P_TIME(s->seal.t0_us), DB_P_TIME(s->seal.cut_us),
					  DB_P_INT2(seal_writer(s))};
	const uint8_t *boot = is_adopted(s) ? s->adopt.boot : s->boot;
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	if (rc < 0)
		return rc;
	if (s->several)
		rc = store_hold_writer(tx, seal_writer(s), boot);
	if (rc == 0)
		rc = store_need_leaf(s, tx, PARTITION_CHUNK, s->seal.t0_us);
	if (rc == 0)
		rc = store_need_leaf(s, tx, PARTITION_HOST_CHUNK, s->seal.t0_us);
	if (rc == 0)
		rc = store_need_leaf(s, tx, PARTITION_ROLLUP_WINDOW, s->seal.t0_us);
	if (rc == 0)
		rc = store_need_leaf(s, tx, PARTITION_ROLLUP_1H, s->seal.t0_us);
	if (rc == 0)
		rc = db_tx_query(tx, Q_SEAL_BEGIN, params, ARRAY_SIZE(params), on_begun);
	if (rc < 0) {
		db_tx_free(&tx);
		return rc;
	}
	FAILPOINT("seal.commit");
	return db_tx_commit(&tx, on_sealed, s);
}

/* ---- when ---- */

/* Without memory for it nothing is lost but a row that says so: its samples are seen by themselves.
 */
void store_note_batch(struct window_set *ws, int64_t t0_us, int64_t rcv_us)
{
	(void)!window_stored(ws, t0_us, rcv_us);
}

/* The oldest window when it is over, quiet, and nothing queued belongs to it; what waits goes into
 * the queue then. */
static bool seal_due(struct store *s, int64_t now_us, int64_t *ret_t0)
{
	int64_t t0 = window_oldest(s->windows), end;

	if (!s->replay.done || t0 == INT64_MAX)
		return false;
	end = t0 + s->cfg.window_us;
	/* a look before it is due, so that it is stored by then */
	if (now_us >= end + s->cfg.seal_grace_us - LOOK_US - s->cfg.flush_us)
		store_hold_release_window(s, t0);
	if (now_us < end + s->cfg.seal_grace_us || store_queue_touches(s, t0))
		return false;
	*ret_t0 = t0;
	return now_us > end + PATIENCE * s->cfg.seal_grace_us ||
	       now_us > window_last_received(s->windows, t0) + s->cfg.seal_grace_us;
}

/* Starts on the next window: 0, or -EAGAIN when none is due. */
static int seal_start(struct store *s)
{
	int64_t now = clock_wall_us(), t0;
	int rc;

	if (seal_due(s, now, &t0))
		s->seal = (struct seal){.windows = s->windows,
					.t0_us = t0,
					.cut_us = store_receive_time(s)};
	else if (store_adopt_due(s, &t0))
		s->seal = (struct seal){.windows = s->adopt.windows,
					.t0_us = t0,
					.cut_us = s->adopt.cut_us};
	else
		return -EAGAIN;
	rc = 0;
	if (!is_adopted(s) || !store_adopt_take(s, &s->seal)) {
		buf_init(&s->seal.data, ROWS_MAX);
		rc = window_seal_begin(s->seal.windows, t0, store_seal_part, &s->seal);
	}
	if (rc < 0) {
		store_seal_fini(s);
		s->stats.seal_errors++;
		return rc;
	}
	s->seal.active = true;
	if (t0 + s->cfg.window_us >= now - s->cfg.keep_chunk_us)
		return 0;
	s->stats.too_late += s->seal.n;
	seal_ended(s, 0);
	return -EAGAIN;
}

void store_on_seal_timer(int fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (!s->seal.active && seal_start(s) < 0) {
		store_timer(s->seal_timer, LOOK_US);
		return;
	}
	if (seal_send(s) < 0)
		store_timer(s->seal_timer, USEC_PER_SEC);
}
