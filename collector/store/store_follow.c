/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other collectors of the database stored is read after them, so that each of us knows the
 * whole fleet. Of one collector the order of receive times is the order of commits: a place per
 * collector says what was read. Our own receive times go on from those that were read, so that a
 * host that came over to us is younger here than it was there, whatever the clocks say.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/log.h"

#define EVERY_US    USEC_PER_SEC
#define REFRESH     10  /* looks between two at who there is and what was sealed */
#define PAGE_ROWS   512 /* of one collector in a look */
#define BACK_WINDOW 2   /* of one that was not heard of before */
/* A clock that is further ahead than this is not gone along with. */
#define AHEAD_MAX_US (300 * USEC_PER_SEC)

struct row {
	struct store_replayed r;
	int writer;
};

static struct place *place_of(struct store *s, int writer)
{
	for (size_t i = 0; i < s->follow.n; i++)
		if (s->follow.places[i].writer == writer)
			return &s->follow.places[i];
	return NULL;
}

static struct place *place_get(struct store *s, int writer)
{
	struct place *p = place_of(s, writer);

	if (p)
		return p;
	if (s->follow.n == STORE_WRITERS)
		return NULL;
	p = &s->follow.places[s->follow.n++];
	*p = (struct place){.writer = writer};
	return p;
}

void store_follow_saw(struct store *s, int writer, int64_t rcv_us)
{
	struct place *p = place_get(s, writer);

	if (p)
		p->rcv_us = MAX_OF(p->rcv_us, rcv_us);
	if (rcv_us < clock_wall_us() + AHEAD_MAX_US)
		s->last_rcv_us = MAX_OF(s->last_rcv_us, rcv_us);
}

/* ---- a look ---- */

static void tell(struct store *s, int rc)
{
	struct follower *f;

	while ((f = TAILQ_FIRST(&s->follow.served))) {
		TAILQ_REMOVE(&s->follow.served, f, link);
		f->done(f, rc);
	}
}

static void look_end(struct store *s, int rc, const struct error *err)
{
	s->follow.asking = false;
	if (rc < 0)
		log_debug("store=follow error=\"%s\"", err ? err->msg : "");
	tell(s, rc);
	if (s->follow.timer)
		store_timer(s->follow.timer, TAILQ_EMPTY(&s->follow.waiting) ? EVERY_US : 0);
}

static int by_received(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	if (a->r.rcv_us != b->r.rcv_us)
		return a->r.rcv_us < b->r.rcv_us ? -1 : 1;
	return a->writer - b->writer;
}

static void read_row(const struct store *s, const struct db_result *r, size_t i, struct row *ret)
{
	ret->writer = store_replay_read(r, i, &ret->r);
	ret->r.followed = true;
	ret->r.windows = s->others;
}

/* Where one collector's rows were cut off, nothing younger of the others is taken yet. */
static int64_t limit_of(const struct store *s, const struct row *rows, size_t n)
{
	int64_t limit = INT64_MAX;

	for (size_t k = 0; k < s->follow.n; k++) {
		int64_t last = 0;
		size_t count = 0;

		for (size_t i = 0; i < n; i++)
			if (rows[i].writer == s->follow.places[k].writer) {
				last = MAX_OF(last, rows[i].r.rcv_us);
				count++;
			}
		if (count == PAGE_ROWS)
			limit = MIN_OF(limit, last);
	}
	return limit;
}

static int look(struct store *s);

static void on_rows(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;
	size_t n = rc == 0 ? db_rows(r) : 0;
	auto_free struct row *rows = calloc(n + 1, sizeof(*rows));
	int64_t limit;

	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc == 0 && !rows)
		rc = -ENOMEM;
	if (rc < 0) {
		look_end(s, rc, err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		read_row(s, r, i, &rows[i]);
	limit = limit_of(s, rows, n);
	qsort(rows, n, sizeof(*rows), by_received);
	for (size_t i = 0; i < n && rows[i].r.rcv_us <= limit; i++) {
		store_follow_saw(s, rows[i].writer, rows[i].r.rcv_us);
		s->stats.followed++;
		if (store_inbox_open(s, &rows[i].r))
			s->follow.row(s->follow.arg, &rows[i].r);
	}
	if (limit < INT64_MAX)
		rc = look(s);
	if (limit == INT64_MAX || rc < 0)
		look_end(s, rc, NULL);
}

static int look(struct store *s)
{
	int64_t writers[STORE_WRITERS];
	int64_t places[STORE_WRITERS];
	size_t n = s->follow.n;
	const struct db_param params[] = {DB_P_INT4S(writers, n), DB_P_TIMES(places, n),
					  DB_P_INT8(PAGE_ROWS)};

	for (size_t i = 0; i < n; i++) {
		writers[i] = s->follow.places[i].writer;
		places[i] = s->follow.places[i].rcv_us;
	}
	return db_query(s->db, Q_FOLLOW, params, ARRAY_SIZE(params), on_rows, s);
}

static void look_or_end(struct store *s)
{
	int rc = s->follow.n ? look(s) : 0;

	if (!s->follow.n || rc < 0)
		look_end(s, rc, NULL);
}

/* ---- who there is, and what they sealed ---- */

static void on_others_sealed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0) {
		look_end(s, rc, err);
		return;
	}
	store_replica_wrote(s);
	for (size_t i = 0; i < db_rows(r); i++)
		window_drop(s->others, db_time(r, i, 0), db_time(r, i, 1));
	/* Of a collector that died: shown until it is back and has sealed them, or for so long. */
	window_drop_before(s->others, clock_wall_us() - s->cfg.keep_inbox_us);
	look_or_end(s);
}

static int ask_sealed(struct store *s)
{
	int64_t from_us = clock_wall_us() - s->cfg.keep_inbox_us - s->cfg.window_us;
	const struct db_param params[] = {DB_P_INT2(s->writer), DB_P_TIME(from_us)};

	return db_query(s->db, Q_FOLLOW_SEALED, params, ARRAY_SIZE(params), on_others_sealed, s);
}

static void on_writers(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	int64_t back_us = clock_wall_us();
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	back_us -= BACK_WINDOW * s->cfg.window_us;
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct place *p = place_get(s, (int)db_int(r, i, 0));

		if (p && !p->rcv_us)
			p->rcv_us = back_us;
	}
	if (rc == 0 && s->follow.n)
		rc = ask_sealed(s);
	else if (rc == 0)
		look_or_end(s);
	if (rc < 0)
		look_end(s, rc, err);
}

static void on_timer(int fd, short what, void *arg)
{
	struct store *s = arg;
	struct db_param p = DB_P_INT2(s->writer);
	bool refresh;

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (s->follow.asking)
		return;
	s->follow.asking = true;
	/* Who came over from a collector that is new must not find its batches unread. */
	refresh = s->follow.rounds++ % REFRESH == 0 || !TAILQ_EMPTY(&s->follow.waiting);
	TAILQ_CONCAT(&s->follow.served, &s->follow.waiting, link);
	if (!refresh)
		look_or_end(s);
	else if (db_query(s->db, Q_FOLLOW_WRITERS, &p, 1, on_writers, s) < 0)
		look_end(s, -ENOTCONN, NULL);
}

/* ---- the door ---- */

void store_follow(struct store *s, store_on_replayed *row, void *arg)
{
	if (!s->several || s->follow.timer)
		return;
	s->follow.row = row;
	s->follow.arg = arg;
	s->follow.timer = evtimer_new(s->base, on_timer, s);
	if (s->follow.timer)
		store_timer(s->follow.timer, 0);
	else
		log_error("store=follow error=\"no memory to follow other collectors\"");
}

void store_follow_back(struct store *s, int64_t span_us)
{
	int64_t from_us = clock_wall_us() - span_us;

	for (size_t i = 0; i < s->follow.n; i++)
		s->follow.places[i].rcv_us = MIN_OF(s->follow.places[i].rcv_us, from_us);
}

void store_follow_catch_up(struct store *s, struct follower *f)
{
	if (!s->follow.timer) {
		f->done(f, 0);
		return;
	}
	TAILQ_INSERT_TAIL(&s->follow.waiting, f, link);
	if (!s->follow.asking)
		store_timer(s->follow.timer, 0);
}

void store_follow_leave(struct store *s, struct follower *f)
{
	struct follower *at;

	TAILQ_FOREACH (at, &s->follow.waiting, link)
		if (at == f) {
			TAILQ_REMOVE(&s->follow.waiting, f, link);
			return;
		}
	TAILQ_FOREACH (at, &s->follow.served, link)
		if (at == f) {
			TAILQ_REMOVE(&s->follow.served, f, link);
			return;
		}
}

void store_follow_fini(struct store *s)
{
	if (s->follow.timer)
		event_free(s->follow.timer);
	s->follow.timer = NULL;
}
