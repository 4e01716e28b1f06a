/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/db.h"

#include <errno.h>
#include <event2/event.h>

#include "collector/store/db_conn.h"

#define MAGIC           0x64622020u
#define MAX_CONNECTIONS 16
#define MAX_WAITING     16384

struct db {
	unsigned magic;
	struct db_conn *conns[MAX_CONNECTIONS];
	unsigned n_conns;
	TAILQ_HEAD(, db_tx) waiting;
	unsigned n_waiting;
	struct db *fallback; /* NULL: none */
	uint64_t retried;
	bool fenced;
	int64_t fence;
	struct event *kick; /* jobs are started from the loop, so that done is never called from
			     * within the call that queued it */
};

/* The connections are all down: what waits is not kept waiting. */
static void fail_waiting(struct db *db)
{
	TAILQ_HEAD(, db_tx) failed = TAILQ_HEAD_INITIALIZER(failed);
	struct error err;
	struct db_tx *tx;

	error_set(&err, 0, "no connection to the database: %s", db_trouble(db));
	TAILQ_CONCAT(&failed, &db->waiting, link);
	db->n_waiting = 0;
	while ((tx = TAILQ_FIRST(&failed))) {
		TAILQ_REMOVE(&failed, tx, link);
		if (db_fall_back(tx, -ENOTCONN))
			continue;
		if (tx->done)
			tx->done(tx->arg, -ENOTCONN, NULL, &err);
		db_tx_free(&tx);
	}
}

static void dispatch(struct db *db)
{
	for (unsigned i = 0; i < db->n_conns; i++) {
		struct db_tx *tx = TAILQ_FIRST(&db->waiting);

		if (!tx)
			return;
		if (!db_conn_idle(db->conns[i]))
			continue;
		TAILQ_REMOVE(&db->waiting, tx, link);
		db->n_waiting--;
		db_conn_run(db->conns[i], tx);
	}
	if (!db_ready(db))
		fail_waiting(db);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(db, MAGIC);
	dispatch(db);
}

static void on_change(void *arg)
{
	struct db *db = arg;

	MAGIC_CHECK(db, MAGIC);
	event_active(db->kick, EV_TIMEOUT, 0);
}

int db_new(struct event_base *base, const char *conninfo, unsigned connections, struct db **ret,
	   struct error *err)
{
	struct db *db = calloc(1, sizeof(*db));
	struct db_conn_owner owner = {.arg = db, .on_idle = on_change, .on_lost = on_change};

	if (!db)
		return error_sys(err, -ENOMEM, "database pool");
	db->magic = MAGIC;
	TAILQ_INIT(&db->waiting);
	db->kick = event_new(base, -1, 0, on_kick, db);
	if (!db->kick)
		goto fail;
	connections = MAX_OF(1u, MIN_OF(connections, (unsigned)MAX_CONNECTIONS));
	for (; db->n_conns < connections; db->n_conns++)
		if (db_conn_new(base, conninfo, &owner, &db->conns[db->n_conns]) < 0)
			goto fail;
	*ret = db;
	return 0;
fail:
	db_free(&db);
	return error_sys(err, -ENOMEM, "database pool");
}

void db_free(struct db **slot)
{
	struct db *db = take_ptr(*slot);
	struct db_tx *tx;

	if (!db)
		return;
	for (unsigned i = 0; i < db->n_conns; i++)
		db_conn_free(&db->conns[i]);
	while ((tx = TAILQ_FIRST(&db->waiting))) {
		TAILQ_REMOVE(&db->waiting, tx, link);
		db_tx_free(&tx);
	}
	if (db->kick)
		event_free(db->kick);
	free(db);
}

bool db_ready(const struct db *db)
{
	for (unsigned i = 0; i < db->n_conns; i++)
		if (db_conn_up(db->conns[i]))
			return true;
	return false;
}

const char *db_trouble(const struct db *db)
{
	return db_ready(db) ? "" : db_conn_trouble(db->conns[0]);
}

void db_set_fence(struct db *db, int64_t fence)
{
	db->fenced = true;
	db->fence = fence;
}

struct db_param db_fence(const struct db *db)
{
	return db->fenced ? DB_P_INT8(db->fence) : DB_P_NULL;
}

struct db_param db_tx_fence(const struct db_tx *tx)
{
	return db_fence(tx->db);
}

/* ---- jobs ---- */

static int tx_new(struct db *db, bool bare, struct db_tx **ret)
{
	struct db_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return -ENOMEM;
	TAILQ_INIT(&tx->steps);
	tx->db = db;
	tx->bare = bare;
	*ret = tx;
	return 0;
}

void db_tx_free(struct db_tx **slot)
{
	struct db_tx *tx = take_ptr(*slot);
	struct db_step *s;

	if (!tx)
		return;
	while ((s = TAILQ_FIRST(&tx->steps))) {
		TAILQ_REMOVE(&tx->steps, s, link);
		db_values_fini(&s->values);
		buf_fini(&s->copy);
		free(s);
	}
	free(tx);
}

static int queue(struct db *db, struct db_tx *tx)
{
	if (!db_ready(db))
		return -ENOTCONN;
	if (db->n_waiting >= MAX_WAITING)
		return -ENOBUFS;
	TAILQ_INSERT_TAIL(&db->waiting, tx, link);
	db->n_waiting++;
	event_active(db->kick, EV_TIMEOUT, 0);
	return 0;
}

/* Bad data is bad everywhere. Steps may have been seen by their owner: only a lone one is run
 * again. */
bool db_fall_back(struct db_tx *tx, int rc)
{
	struct db *db = tx->db;

	if (!db->fallback || !tx->bare || rc == -EINVAL || rc == -EEXIST ||
	    queue(db->fallback, tx) < 0)
		return false;
	tx->db = db->fallback;
	db->retried++;
	return true;
}

void db_set_fallback(struct db *db, struct db *fallback)
{
	db->fallback = fallback;
}

uint64_t db_retried(const struct db *db)
{
	return db->retried;
}

void db_drop(struct db *db)
{
	for (unsigned i = 0; i < db->n_conns; i++)
		db_conn_drop(db->conns[i]);
}

int db_query(struct db *db, enum query q, const struct db_param *params, size_t n, db_done *done,
	     void *arg)
{
	struct db_tx *tx;
	int rc;

	rc = tx_new(db, true, &tx);
	if (rc < 0)
		return rc;
	tx->done = done;
	tx->arg = arg;
	rc = db_tx_query(tx, q, params, n, NULL);
	if (rc == 0)
		rc = queue(db, tx);
	if (rc == -ENOTCONN && db_fall_back(tx, rc))
		rc = 0;
	if (rc < 0)
		db_tx_free(&tx);
	return rc;
}

int db_tx_new(struct db *db, struct db_tx **ret)
{
	return tx_new(db, false, ret);
}

int db_tx_query(struct db_tx *tx, enum query q, const struct db_param *params, size_t n,
		db_check *check)
{
	struct db_step *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->q = q;
	s->check = check;
	rc = db_values_init(&s->values, params, n);
	if (rc < 0) {
		free(s);
		return rc;
	}
	TAILQ_INSERT_TAIL(&tx->steps, s, link);
	return 0;
}

int db_tx_copy(struct db_tx *tx, enum query q, struct buf *rows)
{
	struct db_step *s;

	if (buf_status(rows) < 0)
		return -ENOBUFS;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->q = q;
	s->is_copy = true;
	s->copy = *rows;
	*rows = BUF_INIT(rows->max);
	TAILQ_INSERT_TAIL(&tx->steps, s, link);
	return 0;
}

int db_tx_commit(struct db_tx **slot, db_done *done, void *arg)
{
	struct db_tx *tx = take_ptr(*slot);
	int rc;

	tx->done = done;
	tx->arg = arg;
	rc = queue(tx->db, tx);
	if (rc < 0)
		db_tx_free(&tx);
	return rc;
}
