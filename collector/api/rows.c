/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/rows.h"

#include <errno.h>

#include "collector/api/api.h"

struct db *rows_db(struct call *c, const struct row_kind *kind)
{
	struct db *db = api_db(c->api);

	c->rows = kind;
	if (!db)
		call_fail_db(c, -ENOTCONN);
	return db;
}

struct db *rows_reader(struct call *c, const struct row_kind *kind)
{
	struct db *db = api_reader(c->api);

	c->rows = kind;
	if (!db)
		call_fail_db(c, -ENOTCONN);
	return db;
}

void rows_asked(struct call *c, int rc)
{
	if (rc < 0)
		call_fail_db(c, rc);
}

void rows_list(void *arg, int rc, const struct db_result *r, const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	char cursor[ROWS_CURSOR_SIZE];
	size_t n;
	size_t shown;

	if (rc < 0) {
		call_fail_db(c, rc);
		return;
	}
	n = db_rows(r);
	shown = c->limit ? MIN_OF(n, (size_t)c->limit) : n;
	call_list(c);
	for (size_t i = 0; i < shown; i++)
		c->rows->write(&c->json, r, i, cursor);
	call_list_end(c, n > shown ? cursor : NULL);
}

bool rows_found(struct call *c, int rc, const struct db_result *r)
{
	if (rc >= 0 && db_rows(r) > 0)
		return true;
	if (rc < 0)
		call_fail_db(c, rc);
	else
		call_fail(c, 404, "there is no %s '%.64s'", c->rows->name, c->params[0]);
	return false;
}

void rows_one(void *arg, int rc, const struct db_result *r, const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	char cursor[ROWS_CURSOR_SIZE];

	if (!rows_found(c, rc, r))
		return;
	c->rows->write(&c->json, r, 0, cursor);
	call_reply(c, 200);
}

void rows_get(struct call *c, const struct row_kind *kind, rows_get_fn *get)
{
	struct db *db;
	int64_t id;

	if (!call_id(c, c->params[0], &id))
		return;
	db = rows_db(c, kind);
	if (db)
		rows_asked(c, get(db, id, rows_one, c));
}
