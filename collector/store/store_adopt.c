/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collector that is gone for good received and did not seal is sealed by the one that leads.
 *
 *   due? -> begin: its row gets a boot of ours -> read its batches -> seal its windows -> end
 *
 * Whose boot is in the collector's row seals what it received: each seal holds that row, so that
 * the two of us never seal the same batch, whenever the other one wakes up or starts anew. It reads
 * then where our cut is; what it committed meanwhile is younger than that.
 *
 * What is more than the windows may take is read a window at a time, and where that is too much the
 * window several times, each for a share of its hosts: their chunks, which are smaller, are
 * gathered and sealed in one transaction as ever.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"

#define EVERY_MAX_US (60 * USEC_PER_SEC)
#define PAGES_MAX    256 /* of the hosts of a window: a share of one in so many must fit */

/* Looks are as far apart as that is long, within reason. */
static void rest(struct store *s)
{
	store_timer(s->adopt.timer, MIN_OF(s->adopt.silent_us / 4, EVERY_MAX_US));
}

static void forget(struct store *s)
{
	if (!s->adopt.active)
		return;
	s->adopt.active = s->adopt.read = s->adopt.paged = false;
	window_set_free(&s->adopt.windows);
	store_seal_clear(&s->adopt.gathered);
	free(s->adopt.cuts);
	s->adopt.cuts = NULL;
	s->adopt.n_cuts = 0;
	s->adopt.ops.end(s->adopt.ops.arg);
}

static void give_up(struct store *s, const char *why)
{
	log_warn("store=adopt collector=%d name=%s state=waiting error=\"%s\"", s->adopt.writer,
		 s->adopt.name, why);
	s->stats.adopt_errors++;
	forget(s);
	rest(s);
}

/* ---- end ---- */

static int on_mine(void *arg unused_arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	return db_rows(r) ? 0 : -ESTALE;
}

int store_hold_writer(struct db_tx *tx, int writer, const uint8_t boot[16])
{
	const struct db_param params[] = {DB_P_INT2(writer), DB_P_UUID(boot)};

	return db_tx_query(tx, Q_SEAL_MINE, params, ARRAY_SIZE(params), on_mine);
}

static void on_ended(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	FAILPOINT("adopt.ended");
	if (rc < 0) {
		give_up(s, err && *err->msg ? err->msg : strerror(-rc));
		return;
	}
	log_info("store=adopt collector=%d name=%s state=done windows=%llu", s->adopt.writer,
		 s->adopt.name, (unsigned long long)s->adopt.sealed);
	forget(s);
	rest(s);
}

static int end(struct store *s)
{
	const struct db_param params[] = {DB_P_INT2(s->adopt.writer), DB_P_TIME(s->adopt.cut_us)};
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	if (rc < 0)
		return rc;
	rc = store_hold_writer(tx, s->adopt.writer, s->adopt.boot);
	if (rc == 0)
		rc = db_tx_query(tx, Q_ADOPT_END, params, ARRAY_SIZE(params), NULL);
	if (rc == 0)
		return db_tx_commit(&tx, on_ended, s);
	db_tx_free(&tx);
	return rc;
}

static bool is_over(const struct store *s, int64_t t0_us)
{
	return t0_us < clock_wall_us() - s->cfg.window_us - s->cfg.seal_grace_us;
}

static void end_when_sealed(struct store *s)
{
	if (is_over(s, window_oldest(s->adopt.windows)))
		store_timer(s->seal_timer, 0);
	else if (end(s) < 0)
		give_up(s, "the database is away");
}

static void on_page(void *arg, int rc, const struct db_result *r, const struct error *err);

static int ask_page(struct store *s)
{
	return store_replay_ask(s, s->adopt.from_us, &s->adopt.last, on_page);
}

static int add_cut(struct store *s, int64_t t0_us, int64_t cut_us)
{
	struct cut *to = realloc(s->adopt.cuts, (s->adopt.n_cuts + 1) * sizeof(*to));

	if (!to)
		return -ENOMEM;
	s->adopt.cuts = to;
	s->adopt.cuts[s->adopt.n_cuts++] = (struct cut){.t0_us = t0_us, .cut_us = cut_us};
	return window_set_cut(s->adopt.windows, t0_us, cut_us);
}

/* ---- too much at once ---- */

/* Reads its batches once more, for a share of the hosts of one window. */
static int read_page(struct store *s)
{
	int rc;

	s->adopt.ops.end(s->adopt.ops.arg);
	window_set_free(&s->adopt.windows);
	s->adopt.read = false;
	s->adopt.last = (struct store_replayed){0};
	rc = window_set_new(s->cfg.window_us, (size_t)s->cfg.window_bytes, &s->adopt.windows);
	for (size_t i = 0; i < s->adopt.n_cuts && rc == 0; i++)
		rc = window_set_cut(s->adopt.windows, s->adopt.cuts[i].t0_us,
				    s->adopt.cuts[i].cut_us);
	return rc == 0 ? ask_page(s) : rc;
}

static void read_window(struct store *s, int64_t t0_us, int pages)
{
	s->adopt.paged = true;
	s->adopt.target_us = t0_us;
	s->adopt.pages = pages;
	s->adopt.page = 0;
	store_seal_clear(&s->adopt.gathered);
	store_seal_gather(&s->adopt.gathered);
	if (read_page(s) < 0)
		give_up(s, "no memory, or the database is away");
}

static void read_less(struct store *s)
{
	char why[160];

	if (!s->adopt.paged) {
		log_info("store=adopt collector=%d name=%s state=paging", s->adopt.writer,
			 s->adopt.name);
		read_window(s, s->adopt.from_us + s->cfg.window_us, 1);
		return;
	}
	if (s->adopt.pages < PAGES_MAX) {
		read_window(s, s->adopt.target_us, s->adopt.pages * 2);
		return;
	}
	s->adopt.skip = s->adopt.writer;
	snprintf(why, sizeof(why),
		 "the window from %lld s holds more than %lld MiB of samples in one %dth of its "
		 "hosts",
		 (long long)(s->adopt.target_us / USEC_PER_SEC),
		 (long long)(s->cfg.window_bytes >> 20), PAGES_MAX);
	give_up(s, why);
}

/* Samples of a batch may lie in the window after that which it began in, but not beyond. */
static void next_window(struct store *s)
{
	int64_t t0 = s->adopt.target_us + s->cfg.window_us;

	if (add_cut(s, s->adopt.target_us, s->adopt.cut_us) < 0)
		give_up(s, "no memory");
	else if (t0 <= s->adopt.newest_us + s->cfg.window_us && is_over(s, t0))
		read_window(s, t0, s->adopt.pages);
	else if (end(s) < 0)
		give_up(s, "the database is away");
}

static void page_read(struct store *s)
{
	int rc = window_seal_begin(s->adopt.windows, s->adopt.target_us, store_seal_part,
				   &s->adopt.gathered);

	if (rc < 0) {
		s->adopt.skip = s->adopt.writer;
		give_up(s, "its chunks do not fit into memory");
		return;
	}
	if (++s->adopt.page < s->adopt.pages) {
		if (read_page(s) < 0)
			give_up(s, "no memory, or the database is away");
		return;
	}
	s->adopt.read = true;
	store_timer(s->seal_timer, 0);
}

/* Rows that hold nothing of the page: not decoded. */
static bool is_of_page(const struct store *s, const struct store_replayed *row)
{
	return !s->adopt.paged || (row->t0_us <= s->adopt.target_us &&
				   row->t0_us >= s->adopt.target_us - s->cfg.window_us &&
				   row->host_id % s->adopt.pages == s->adopt.page);
}

/* ---- its windows ---- */

bool store_adopt_due(const struct store *s, int64_t *ret_t0)
{
	if (!s->adopt.active || !s->adopt.read)
		return false;
	*ret_t0 = s->adopt.paged ? s->adopt.target_us : window_oldest(s->adopt.windows);
	return is_over(s, *ret_t0);
}

bool store_adopt_take(struct store *s, struct seal *ret)
{
	if (!s->adopt.paged)
		return false;
	ret->parts = take_ptr(s->adopt.gathered.parts);
	ret->n = s->adopt.gathered.n;
	ret->cap = s->adopt.gathered.cap;
	ret->data = s->adopt.gathered.data;
	s->adopt.gathered = (struct seal){0};
	return true;
}

void store_adopt_sealed(struct store *s, int rc)
{
	if (rc < 0) {
		give_up(s, "it is back");
		return;
	}
	FAILPOINT("adopt.sealed");
	s->adopt.sealed++;
	s->stats.adopted++;
	if (s->adopt.paged)
		next_window(s);
	else
		end_when_sealed(s);
}

/* ---- its batches ---- */

/* What it committed after we looked is sealed another time, by whoever is it then. */
static void give(struct store *s, const struct db_result *r, size_t i)
{
	struct store_replayed row;

	if (store_replay_read(r, i, &row) == s->adopt.writer && row.rcv_us <= s->adopt.cut_us) {
		row.windows = s->adopt.windows;
		store_note_batch(row.windows, row.t0_us, row.rcv_us);
	}
	if (is_of_page(s, &row) && store_inbox_open(s, &row))
		s->adopt.ops.row(s->adopt.ops.arg, &row);
	s->adopt.last = row;
	s->adopt.last.payload = NULL;
}

static void on_page(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	FAILPOINT("adopt.page");
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++)
		give(s, r, i);
	if (rc == 0 && !s->adopt.ops.whole(s->adopt.ops.arg))
		read_less(s);
	else if (rc == 0 && store_replay_is_last(r)) {
		if (s->adopt.paged) {
			page_read(s);
			return;
		}
		s->adopt.read = true;
		end_when_sealed(s);
	} else if (rc < 0 || ask_page(s) < 0)
		give_up(s, err && *err->msg ? err->msg : "the database is away");
}

/* ---- begin ---- */

static int on_taken(void *arg unused_arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	return db_int(r, 0, 0) ? 0 : -ESTALE;
}

static int on_cuts(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct store *s = arg;
	int rc = 0;

	for (size_t i = 0; i < db_rows(r) && rc == 0; i++)
		rc = add_cut(s, db_time(r, i, 0), db_time(r, i, 1));
	return rc;
}

static int on_unsealed(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct store *s = arg;

	s->adopt.from_us = db_is_null(r, 0, 0) ? INT64_MAX : db_time(r, 0, 0) - s->cfg.window_us;
	s->adopt.cut_us = db_time(r, 0, 1);
	s->adopt.newest_us = db_time(r, 0, 2);
	return 0;
}

static void on_begun(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc == -ESTALE) { /* it gave a sign, or we lead no more */
		forget(s);
		rest(s);
		return;
	}
	if (rc < 0) {
		give_up(s, err && *err->msg ? err->msg : strerror(-rc));
		return;
	}
	FAILPOINT("adopt.begun");
	log_info("store=adopt collector=%d name=%s state=reading", s->adopt.writer, s->adopt.name);
	s->adopt.read = s->adopt.from_us == INT64_MAX;
	if (s->adopt.read)
		end_when_sealed(s);
	else if (ask_page(s) < 0)
		give_up(s, "the database is away");
}

static int begin(struct store *s)
{
	const struct db_param take[] = {DB_P_INT2(s->adopt.writer), DB_P_UUID(s->adopt.boot),
					DB_P_INT8(s->adopt.silent_us), db_fence(s->db)};
	const struct db_param cuts[] = {DB_P_TIME(clock_wall_us() - s->cfg.keep_chunk_us),
					DB_P_INT2(s->adopt.writer)};
	struct db_tx *tx;
	int rc = window_set_new(s->cfg.window_us, (size_t)s->cfg.window_bytes, &s->adopt.windows);

	if (rc == 0)
		rc = db_tx_new(s->db, &tx);
	if (rc < 0)
		return rc;
	rc = db_tx_query(tx, Q_ADOPT_BEGIN, take, ARRAY_SIZE(take), on_taken);
	if (rc == 0)
		rc = db_tx_query(tx, Q_SEAL_CUTS, cuts, ARRAY_SIZE(cuts), on_cuts);
	if (rc == 0)
		rc = db_tx_query(tx, Q_ADOPT_UNSEALED, &take[0], 1, on_unsealed);
	if (rc == 0)
		return db_tx_commit(&tx, on_begun, s);
	db_tx_free(&tx);
	return rc;
}

static void on_due(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)err;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc == 0 && db_rows(r) == 0 && s->adopt.skip < 0)
		s->adopt.clear = s->leads;
	s->adopt.skip = -1;
	if (rc < 0 || db_rows(r) == 0 || !s->leads) {
		rest(s);
		return;
	}
	s->adopt.active = true;
	s->adopt.sealed = 0;
	s->adopt.writer = (int)db_int(r, 0, 0);
	(void)str_copy(s->adopt.name, sizeof(s->adopt.name), db_text(r, 0, 1));
	s->adopt.last = (struct store_replayed){0};
	random_bytes(s->adopt.boot, sizeof(s->adopt.boot));
	if (begin(s) < 0)
		give_up(s, "the database is away");
}

static void on_timer(int fd, short what, void *arg)
{
	struct store *s = arg;
	const struct db_param params[] = {DB_P_INT2(s->writer), DB_P_INT8(s->adopt.silent_us),
					  DB_P_INT8(s->cfg.window_us),
					  DB_P_INT8(s->cfg.seal_grace_us),
					  DB_P_INT2(s->adopt.skip)};

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (!s->leads || db_query(s->db, Q_ADOPT_DUE, params, ARRAY_SIZE(params), on_due, s) < 0)
		rest(s);
}

void store_adopt(struct store *s, int64_t silent_us, const struct store_adopt_ops *ops)
{
	if (!s->several || s->adopt.timer)
		return;
	s->adopt.silent_us = silent_us;
	s->adopt.skip = -1;
	s->adopt.ops = *ops;
	s->adopt.timer = evtimer_new(s->base, on_timer, s);
	if (s->adopt.timer)
		store_timer(s->adopt.timer, USEC_PER_SEC);
	else
		log_error("store=adopt error=\"no memory to look after other collectors\"");
}

void store_adopt_fini(struct store *s)
{
	if (s->adopt.timer)
		event_free(s->adopt.timer);
	s->adopt.timer = NULL;
	forget(s);
}
