/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db_conn.h - inside of db.c: jobs, their steps, and one connection that runs them one by one.
 * Only db*.c include this.
 */
#ifndef MEMHERD_COLLECTOR_STORE_DB_CONN_H
#define MEMHERD_COLLECTOR_STORE_DB_CONN_H

#include <sys/queue.h>

#include "collector/store/db.h"

#define DB_MAX_PARAMS  32
#define DB_MAX_MESSAGE ((size_t)256 << 20) /* bytes of one statement's parameters or COPY rows */
#define DB_MIN_SERVER  140000              /* PostgreSQL 14: DETACH PARTITION CONCURRENTLY */

struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

struct db_result {
	struct pg_result *pg;
};

/* ---- db_value.c ---- */

/* Parameters in libpq's shape, all bytes in one buffer. */
struct db_values {
	struct buf data;
	int n;
	uint32_t oids[DB_MAX_PARAMS];
	uint8_t types[DB_MAX_PARAMS]; /* enum db_type */
	int lengths[DB_MAX_PARAMS];
	size_t offsets[DB_MAX_PARAMS];
};
int db_values_init(struct db_values *v, const struct db_param *params, size_t n) must_use;
void db_values_fini(struct db_values *v);
/* The pointer array for libpq; valid while v is. */
void db_values_pointers(const struct db_values *v, const char *out[DB_MAX_PARAMS]);
/* 0, or -errno as db.h lists. */
int db_result_errno(const struct pg_result *pg);
/* The server's message, one line. */
void db_result_error(const struct pg_result *pg, const char *what, struct error *err);
/* Puts the identifiers among v for :"1" .. in sql. */
int db_expand(struct pg_conn *pg, const char *sql, const struct db_values *v,
	      struct buf *out) must_use;
bool db_has_ident(const struct db_values *v);

/* ---- jobs ---- */

struct db_step {
	TAILQ_ENTRY(db_step) link;
	enum query q;
	struct db_values values;
	struct buf copy;
	bool is_copy;
	db_check *check;
};

struct db_tx {
	TAILQ_ENTRY(db_tx) link;
	TAILQ_HEAD(, db_step) steps;
	struct db *db;
	bool bare; /* one statement, no BEGIN */
	db_done *done;
	void *arg;
};

/* ---- db.c ---- */

/* A job that failed with rc was taken over by another pool: it is not told its end now. */
bool db_fall_back(struct db_tx *tx, int rc) must_use;

/* ---- db_conn.c ---- */

struct db_conn;
struct event_base;

/* What a connection tells its pool. Neither is called from within db_conn_new() or _free(). */
struct db_conn_owner {
	void *arg;
	void (*on_idle)(void *arg); /* can take a job */
	void (*on_lost)(void *arg); /* is down now */
};

int db_conn_new(struct event_base *base, const char *conninfo, const struct db_conn_owner *owner,
		struct db_conn **ret) must_use;
void db_conn_free(struct db_conn **c);
bool db_conn_up(const struct db_conn *c);   /* idle or busy */
bool db_conn_idle(const struct db_conn *c); /* may be given a job */
const char *db_conn_trouble(const struct db_conn *c);
/* As if the server had ended it. */
void db_conn_drop(struct db_conn *c);
/* Takes over the job; its done is called from the loop. */
void db_conn_run(struct db_conn *c, struct db_tx *tx);

#endif
