/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h - answers made of stored rows: a page of a list, or one row or 404. A handler asks
 * rows_db() for the database, gives the store's verb rows_list or rows_one as its db_done and the
 * call as its arg, and hands what the verb returned to rows_asked().
 */
#ifndef MEMHERD_COLLECTOR_API_ROWS_H
#define MEMHERD_COLLECTOR_API_ROWS_H

#include "collector/api/call.h"

#define ROWS_CURSOR_SIZE 112

struct row_kind {
	const char *name; /* of one, for 404: 'alert' */
	/* Row i of r as JSON; into cursor what, as parameter 'cursor', begins behind it. */
	void (*write)(struct json_writer *w, const struct db_result *r, size_t i,
		      char cursor[ROWS_CURSOR_SIZE]);
};

/* NULL: the call has been ended with 503. */
struct db *rows_db(struct call *c, const struct row_kind *kind) must_use;
/* The same for what may be some seconds old (api_reader()). */
struct db *rows_reader(struct call *c, const struct row_kind *kind) must_use;
void rows_asked(struct call *c, int rc);

/* At most c->limit rows (0: all); ask for one more, which tells whether there is a next page. */
void rows_list(void *arg, int rc, const struct db_result *r, const struct error *err);
/* The first row; 404 that names c->params[0] when there is none. */
void rows_one(void *arg, int rc, const struct db_result *r, const struct error *err);
/* A store's verb that finds one row by its id. */
typedef int rows_get_fn(struct db *db, int64_t id, db_done *done, void *arg);
/* A whole handler: the row that the number c->params[0] names. */
void rows_get(struct call *c, const struct row_kind *kind, rows_get_fn *get);
/* For a db_done of one's own: there is a row; false when the call has been ended. */
bool rows_found(struct call *c, int rc, const struct db_result *r) must_use;

#endif
