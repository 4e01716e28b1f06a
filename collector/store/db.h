/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h - the one user of libpq: asynchronous connections on the loop, statements by name.
 *
 * A statement is a file in sql/queries/ compiled into a table (build/gen/queries.h); text is never
 * built at run time. Parameters and result columns go in binary, so each statement fixes its result
 * types with casts: int2/int4/int8, bool, float8, text, bytea, timestamptz, uuid, jsonb as text.
 *
 * A struct db is a small pool; a query waits (bounded) for an idle connection. A broken connection
 * fails its query with -EPIPE and reconnects by itself with jittered back-off from 0.1 to 5 s;
 * while none is up, queries fail at once with -ENOTCONN, so that REST answers 503 and the loop
 * never waits.
 *
 * SQLSTATE of a failed query is in the result: classes 22 and 23 mean the data is bad (do not
 * retry), everything else that the server is (retry later).
 */
#ifndef MEMHERD_COLLECTOR_STORE_DB_H
#define MEMHERD_COLLECTOR_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "gen/queries.h" /* enum query: Q_<FILE NAME IN CAPITALS>, QUERY_COUNT */

struct db;
struct db_result;
struct event_base;

enum db_type {
	DB_NULL,
	DB_BOOL,
	DB_INT2,
	DB_INT4,
	DB_INT8,
	DB_FLOAT8,
	DB_TEXT,
	DB_BYTES, /* bytea */
	DB_UUID,  /* 16 bytes */
	DB_TIME,  /* timestamptz; microseconds since 1970 */
	DB_JSON,  /* jsonb from text */
	DB_INT8_ARRAY,
	DB_INT4_ARRAY,   /* DB_ABSENT elements are NULL */
	DB_FLOAT4_ARRAY, /* const double *; NAN elements are NULL */
	DB_TIME_ARRAY,   /* microseconds since 1970 */
	DB_TEXT_ARRAY,   /* const char *const *; NULL elements are '' */
	DB_IDENT, /* name of a table: put for :"1" .. in a statement that takes no parameters */
};

struct db_param {
	enum db_type type;
	int64_t i; /* BOOL INT* TIME */
	double d;
	const void *p; /* TEXT (NUL-terminated) BYTES UUID JSON; const int64_t * for most arrays */
	size_t n;      /* bytes, or elements of an array */
};

#define DB_ABSENT INT64_MIN

#define DB_P_NULL             ((struct db_param){.type = DB_NULL})
#define DB_P_BOOL(v)          ((struct db_param){.type = DB_BOOL, .i = (v)})
#define DB_P_INT2(v)          ((struct db_param){.type = DB_INT2, .i = (v)})
#define DB_P_INT4(v)          ((struct db_param){.type = DB_INT4, .i = (v)})
#define DB_P_INT8(v)          ((struct db_param){.type = DB_INT8, .i = (v)})
#define DB_P_FLOAT8(v)        ((struct db_param){.type = DB_FLOAT8, .d = (v)})
#define DB_P_TEXT(s)          ((struct db_param){.type = (s) ? DB_TEXT : DB_NULL, .p = (s)})
#define DB_P_JSON(s)          ((struct db_param){.type = (s) ? DB_JSON : DB_NULL, .p = (s)})
#define DB_P_BYTES(data, len) ((struct db_param){.type = DB_BYTES, .p = (data), .n = (len)})
#define DB_P_UUID(u)          ((struct db_param){.type = DB_UUID, .p = (u), .n = 16})
#define DB_P_TIME(us)         ((struct db_param){.type = DB_TIME, .i = (us)})
#define DB_P_INT8S(v, len)    ((struct db_param){.type = DB_INT8_ARRAY, .p = (v), .n = (len)})
#define DB_P_INT4S(v, len)    ((struct db_param){.type = DB_INT4_ARRAY, .p = (v), .n = (len)})
#define DB_P_FLOAT4S(v, len)  ((struct db_param){.type = DB_FLOAT4_ARRAY, .p = (v), .n = (len)})
#define DB_P_TIMES(v, len)    ((struct db_param){.type = DB_TIME_ARRAY, .p = (v), .n = (len)})
#define DB_P_TEXTS(v, len)    ((struct db_param){.type = DB_TEXT_ARRAY, .p = (v), .n = (len)})
#define DB_P_IDENT(s)         ((struct db_param){.type = DB_IDENT, .p = (s)})

/*
 * r is NULL when rc < 0 and the server was not reached. Called once per query, from the loop.
 * rc of what the server refused: -EINVAL for classes 22, 23 and 54 (-EEXIST for 23505), -EAGAIN for
 * class 40 and 55P03, -ETIMEDOUT for 57014, -ENOSPC for 53100, -EACCES for 42501, else -EIO.
 */
typedef void db_done(void *arg, int rc, const struct db_result *r, const struct error *err);

int db_new(struct event_base *base, const char *conninfo, unsigned connections, struct db **ret,
	   struct error *err) must_use;
/* Drops what waits without calling back. */
void db_free(struct db **db);
bool db_ready(const struct db *db);
/* Why not ready; '' when it is. */
const char *db_trouble(const struct db *db);

/*
 * Single statements that this pool cannot run, or that fail for a reason that is the server's, are
 * run on that other one instead, which must outlive it: for reads alone.
 */
void db_set_fallback(struct db *db, struct db *fallback);
/* How many were. */
uint64_t db_retried(const struct db *db);
/* Ends the connections, which then begin anew; what waits for them fails (or falls back). */
void db_drop(struct db *db);

/*
 * The lease's number (leader.h) that statements of the leader carry from now on; 0 = we do not
 * lead, they are refused. A pool that was never told carries NULL: nobody leads there, all is
 * allowed.
 */
void db_set_fence(struct db *db, int64_t fence);
struct db_param db_fence(const struct db *db);

/* Queues one statement. Parameters are copied. -ENOTCONN, -ENOBUFS (queue full): done is not
 * called. */
int db_query(struct db *db, enum query q, const struct db_param *params, size_t n, db_done *done,
	     void *arg) must_use;

/*
 * A transaction: steps run in order on one connection between BEGIN and COMMIT; the first that
 * fails rolls the rest back. check, where given, sees a step's result and may build later steps
 * (db_tx_* from within check append) or veto with -errno. done is called after COMMIT was confirmed
 * or with the error; -EINPROGRESS in rc says the COMMIT's outcome is not known (connection lost).
 */
struct db_tx;
struct db_param db_tx_fence(const struct db_tx *tx);
typedef int db_check(void *arg, struct db_tx *tx, const struct db_result *r);

int db_tx_new(struct db *db, struct db_tx **ret) must_use;
int db_tx_query(struct db_tx *tx, enum query q, const struct db_param *params, size_t n,
		db_check *check) must_use;
/* COPY ... FROM STDIN (FORMAT binary): rows is db_copy_begin() .. db_copy_end() content; taken
 * over. */
int db_tx_copy(struct db_tx *tx, enum query q, struct buf *rows) must_use;
/* Takes over tx. */
int db_tx_commit(struct db_tx **tx, db_done *done, void *arg) must_use;
void db_tx_free(struct db_tx **tx);

/* Binary COPY rows: begin, then per row db_copy_row() and its fields in column order, then end. */
void db_copy_begin(struct buf *b);
void db_copy_row(struct buf *b, unsigned columns);
void db_copy_field(struct buf *b, const struct db_param *p);
void db_copy_end(struct buf *b);

size_t db_rows(const struct db_result *r);
size_t db_columns(const struct db_result *r);
int64_t db_affected(const struct db_result *r);
bool db_is_null(const struct db_result *r, size_t row, unsigned col);
int64_t db_int(const struct db_result *r, size_t row, unsigned col);      /* bool int2 int4 int8 */
double db_float(const struct db_result *r, size_t row, unsigned col);     /* float8 */
const char *db_text(const struct db_result *r, size_t row, unsigned col); /* '' for NULL */
const uint8_t *db_bytes(const struct db_result *r, size_t row, unsigned col, size_t *len);
int64_t db_time(const struct db_result *r, size_t row, unsigned col); /* us since 1970 */
const char *db_sqlstate(const struct db_result *r);                   /* '' for success */

#endif
