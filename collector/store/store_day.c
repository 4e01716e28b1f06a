/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days of figures, made of the rollup rows of sealed windows. A day is made in one transaction that
 * first records of how many seals; one that was sealed into since (late data) is due again and its
 * rows are put right. Nothing is lost or counted twice when the collector ends in between: what is
 * not recorded is due.
 */
#include <event2/event.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/log.h"

#define DAY_US      (24 * 3600 * USEC_PER_SEC)
#define PATIENCE    2 /* windows after its end that a day is made: most of what is late is in */
#define MARGIN_DAYS 1 /* the oldest day may have lost hours already */

static void days_end(struct store *s)
{
	s->making_day = false;
}

static void on_made(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	days_end(s);
	if (rc < 0) {
		log_warn("store error=\"cannot make a day's figures: %s\"", err ? err->msg : "");
		return;
	}
	s->stats.days++;
	store_make_day(s); /* the next one */
}

static int make(struct store *s, int64_t t0_us, int32_t shard)
{
	const struct db_param params[] = {DB_P_TIME(t0_us), DB_P_INT4(shard)};
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	if (rc < 0)
		return rc;
	rc = store_need_leaf(s, tx, PARTITION_ROLLUP_1D, t0_us);
	if (rc == 0)
		rc = db_tx_query(tx, Q_DAY_COUNT, params, ARRAY_SIZE(params), NULL);
	if (rc == 0)
		rc = db_tx_query(tx, Q_DAY_MAKE, params, ARRAY_SIZE(params), NULL);
	if (rc == 0)
		return db_tx_commit(&tx, on_made, s);
	db_tx_free(&tx);
	return rc;
}

static void on_due(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)err;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0 || db_rows(r) == 0 || make(s, db_time(r, 0, 0), (int32_t)db_int(r, 0, 1)) < 0)
		days_end(s);
}

void store_make_day(struct store *s)
{
	int64_t now = clock_wall_us();
	int64_t oldest = now - MIN_OF(s->cfg.keep_rollup_us, s->cfg.keep_day_us);
	int64_t before = now - PATIENCE * s->cfg.window_us - s->cfg.seal_grace_us;
	const struct db_param params[] = {
		DB_P_TIME(window_start(DAY_US, oldest) + MARGIN_DAYS * DAY_US),
		DB_P_TIME(window_start(DAY_US, before)),
	};

	if (s->making_day)
		return;
	s->making_day = true;
	if (db_query(s->db, Q_DAY_DUE, params, ARRAY_SIZE(params), on_due, s) < 0)
		days_end(s);
}
