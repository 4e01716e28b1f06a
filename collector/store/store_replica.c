/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_replica.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define REPLICA_MAGIC 0x7265706cu
#define EVERY_US      (2 * USEC_PER_SEC)
#define ANSWER_US     (3 * USEC_PER_SEC) /* what does not answer for so long hangs */

struct replica {
	unsigned magic;
	struct store *s;
	struct db *db;
	struct event *timer;
	uint8_t uuid[16];
	int64_t most_us;  /* behind */
	int64_t asked_us; /* boot clock: of the look under way; 0 = none */
	bool beacon_asked;
	bool used;
	int64_t beacon_us; /* the primary's clock: our sign of life, before the one under way */
	int64_t seen_us;   /* the same as the replica has it */
	int64_t need_us; /* of chunks: it must have this one; INT64_MAX: the next that is written */
	bool wrote;      /* chunks, since the beacon that is under way was sent */
	int64_t lag_us;
	uint64_t falls;
	char reason[256];
};

static void use(struct replica *r, const char *reason)
{
	bool used = !*reason;

	(void)str_copy(r->reason, sizeof(r->reason), reason);
	if (used == r->used)
		return;
	r->used = used;
	r->falls += !used;
	if (used)
		log_info("store=replica state=used lag_ms=%lld", (long long)(r->lag_us / 1000));
	else
		log_warn("store=replica state=left reason=\"%s\"", reason);
}

static void judge(struct replica *r)
{
	char why[128];

	if (!r->beacon_us)
		return;
	r->lag_us = MAX_OF(r->beacon_us - r->seen_us, (int64_t)0);
	(void)snprintf(why, sizeof(why), "it is %lld s behind",
		       (long long)(r->lag_us / USEC_PER_SEC));
	use(r, r->lag_us > r->most_us ? why : "");
}

/* ---- a look ---- */

static void on_beacon(void *arg, int rc, const struct db_result *res, const struct error *err)
{
	struct replica *r = arg;

	(void)err;
	MAGIC_CHECK(r, REPLICA_MAGIC);
	r->beacon_asked = false;
	if (rc < 0 || db_rows(res) == 0) /* the primary is away: the replica is as good as it was */
		return;
	r->beacon_us = db_time(res, 0, 0);
	if (r->need_us == INT64_MAX && !r->wrote)
		r->need_us = r->beacon_us;
}

static void send_beacon(struct replica *r)
{
	const struct db_param params[] = {DB_P_INT2(r->s->writer), DB_P_UUID(r->s->boot)};

	if (r->beacon_asked ||
	    db_query(r->s->db, Q_REPLICA_BEACON, params, ARRAY_SIZE(params), on_beacon, r) < 0)
		return;
	r->beacon_asked = true;
	r->wrote = false;
}

static void on_seen(void *arg, int rc, const struct db_result *res, const struct error *err)
{
	struct replica *r = arg;

	MAGIC_CHECK(r, REPLICA_MAGIC);
	r->asked_us = 0;
	if (rc < 0) {
		use(r, err && *err->msg ? err->msg : "it cannot be asked");
	} else if (db_rows(res) == 0) {
		r->lag_us = -1;
		use(r, "it is no replica of this database, or has nothing of this collector yet");
	} else {
		r->seen_us = db_time(res, 0, 0);
		judge(r);
	}
	send_beacon(r);
}

/* Not by db_query(): that would ask the primary where the replica fails. */
static int ask(struct replica *r)
{
	const struct db_param params[] = {DB_P_INT2(r->s->writer), DB_P_UUID(r->uuid)};
	struct db_tx *tx;
	int rc = db_ready(r->db) ? db_tx_new(r->db, &tx) : -ENOTCONN;

	if (rc < 0)
		return rc;
	rc = db_tx_query(tx, Q_REPLICA_SEEN, params, ARRAY_SIZE(params), NULL);
	if (rc == 0)
		return db_tx_commit(&tx, on_seen, r);
	db_tx_free(&tx);
	return rc;
}

static void on_look(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct replica *r = arg;
	int64_t now_us = clock_boot_us();

	MAGIC_CHECK(r, REPLICA_MAGIC);
	if (r->asked_us && now_us - r->asked_us > ANSWER_US) {
		use(r, "it does not answer");
		db_drop(r->db); /* what waits there goes to the primary; on_seen() is told, too */
	}
	if (r->asked_us)
		return;
	if (ask(r) == 0) {
		r->asked_us = now_us;
		return;
	}
	use(r, *db_trouble(r->db) ? db_trouble(r->db) : "it is not connected");
	send_beacon(r);
}

/* ---- the door ---- */

int store_replica_new(struct store *s, const struct store_config *cfg, struct error *err)
{
	const struct timeval every = {.tv_sec = EVERY_US / USEC_PER_SEC};
	struct replica *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return error_sys(err, -ENOMEM, "replica");
	s->replica = r;
	r->magic = REPLICA_MAGIC;
	r->s = s;
	r->most_us = cfg->replica_lag_us;
	r->lag_us = -1;
	r->need_us = INT64_MAX;
	memcpy(r->uuid, cfg->uuid, sizeof(r->uuid));
	(void)str_copy(r->reason, sizeof(r->reason), "it is not connected yet");
	rc = db_new(s->base, cfg->replica, cfg->connections, &r->db, err);
	if (rc < 0)
		return rc;
	db_set_fallback(r->db, s->db);
	r->timer = event_new(s->base, -1, EV_PERSIST, on_look, r);
	if (!r->timer || event_add(r->timer, &every) < 0)
		return error_sys(err, -ENOMEM, "replica");
	return 0;
}

void store_replica_free(struct store *s)
{
	struct replica *r = take_ptr(s->replica);

	if (!r)
		return;
	db_free(&r->db);
	if (r->timer)
		event_free(r->timer);
	r->magic = 0;
	free(r);
}

void store_replica_wrote(struct store *s)
{
	if (!s->replica)
		return;
	s->replica->need_us = INT64_MAX;
	s->replica->wrote = true;
}

struct db *store_reader(const struct store *s)
{
	return s->replica && s->replica->used ? s->replica->db : s->db;
}

struct db *store_reader_of_chunks(const struct store *s)
{
	return s->replica && s->replica->seen_us >= s->replica->need_us ? store_reader(s) : s->db;
}

void store_replica_state(const struct store *s, struct replica_state *ret)
{
	const struct replica *r = s->replica;

	*ret = (struct replica_state){.reason = "", .lag_us = -1};
	if (!r)
		return;
	*ret = (struct replica_state){
		.configured = true,
		.used = r->used,
		.reason = r->reason,
		.lag_us = r->lag_us,
		.falls = r->falls,
		.retried = db_retried(r->db),
	};
}
