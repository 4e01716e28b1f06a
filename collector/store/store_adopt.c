/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collector that is gone for good received and did not seal is sealed by the one that leads.
 *
 *   due? -> begin: its row gets a boot of ours -> read its batches -> seal its windows -> end
 *
 * Whose boot is in the collector's row seals what it received: each seal holds that row, so that
 * the two of us never seal the same batch, whenever the other one wakes up or starts anew. It reads
 * then where our cut is; what it committed meanwhile is younger than that.
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

/* Looks are as far apart as that is long, within reason. */
static void rest(struct store *s)
{
	store_timer(s->adopt.timer, MIN_OF(s->adopt.silent_us / 4, EVERY_MAX_US));
}

static void forget(struct store *s)
{
	if (!s->adopt.active)
		return;
	s->adopt.active = s->adopt.read = false;
	window_set_free(&s->adopt.windows);
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

/* ---- its windows ---- */

bool store_adopt_due(const struct store *s, int64_t *ret_t0)
{
	if (!s->adopt.active || !s->adopt.read)
		return false;
	*ret_t0 = window_oldest(s->adopt.windows);
	return is_over(s, *ret_t0);
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
	end_when_sealed(s);
}

/* ---- its batches ---- */

static void on_page(void *arg, int rc, const struct db_result *r, const struct error *err);

static int ask_page(struct store *s)
{
	return store_replay_ask(s, s->adopt.from_us, &s->adopt.last, on_page);
}

/* What it committed after we looked is sealed another time, by whoever is it then. */
static void give(struct store *s, const struct db_result *r, size_t i)
{
	struct store_replayed row;

	if (store_replay_read(r, i, &row) == s->adopt.writer && row.rcv_us <= s->adopt.cut_us) {
		row.windows = s->adopt.windows;
		store_note_batch(row.windows, row.t0_us, row.rcv_us);
	}
	if (store_inbox_open(s, &row))
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
		give_up(s, "its samples do not fit into memory");
	else if (rc == 0 && store_replay_is_last(r)) {
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
		rc = window_set_cut(s->adopt.windows, db_time(r, i, 0), db_time(r, i, 1));
	return rc;
}

static int on_unsealed(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct store *s = arg;

	s->adopt.from_us = db_is_null(r, 0, 0) ? INT64_MAX : db_time(r, 0, 0) - s->cfg.window_us;
	s->adopt.cut_us = db_time(r, 0, 1);
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
	if (rc == 0 && db_rows(r) == 0)
		s->adopt.clear = s->leads;
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
					  DB_P_INT8(s->cfg.seal_grace_us)};

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
