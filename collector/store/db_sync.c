/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/db_sync.h"

#include <errno.h>
#include <libpq-fe.h>
#include <string.h>

#include "collector/store/db_conn.h"

struct db_sync {
	PGconn *pg;
};

static int check_safety(struct db_sync *s, bool relaxed, struct error *err)
{
	struct db_result *r;
	int rc;

	if (PQserverVersion(s->pg) < DB_MIN_SERVER)
		return error_set(err, -EPROTO,
				 "the database server is PostgreSQL %d, needed is 14 or newer",
				 PQserverVersion(s->pg) / 10000);
	rc = db_sync_query(s, Q_SESSION_SAFETY, NULL, 0, &r, err);
	if (rc < 0)
		return rc;
	if (!relaxed && !db_int(r, 0, 2))
		rc = error_set(
			err, -EPERM,
			"the database server has 'fsync' off: a crash would lose what agents "
			"were told is stored, set it on or 'durability = relaxed'");
	else if (!relaxed && !db_int(r, 0, 3))
		rc = error_set(err, -EPERM,
			       "the database has 'synchronous_commit' off: a crash would lose what "
			       "agents were told is stored, set it on or 'durability = relaxed'");
	db_result_free(&r);
	return rc;
}

int db_sync_open(const char *conninfo, bool relaxed, struct db_sync **ret, struct error *err)
{
	static const char *const keys[] = {"dbname", "application_name", "client_encoding",
					   "connect_timeout", NULL};
	const char *values[] = {conninfo, "memherd-collector", "UTF8", "10", NULL};
	struct db_sync *s = calloc(1, sizeof(*s));
	struct db_result *r;
	int rc;

	if (!s)
		return error_sys(err, -ENOMEM, "database");
	s->pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(s->pg) != CONNECTION_OK) {
		const char *why = PQerrorMessage(s->pg);

		rc = error_set(err, -ENOTCONN, "cannot connect to the database: %.*s",
			       (int)strcspn(why, "\n"), why);
		goto fail;
	}
	rc = db_sync_query(s, Q_SESSION_SETUP, NULL, 0, &r, err);
	if (rc < 0)
		goto fail;
	db_result_free(&r);
	rc = check_safety(s, relaxed, err);
	if (rc < 0)
		goto fail;
	*ret = s;
	return 0;
fail:
	db_sync_free(&s);
	return rc;
}

void db_sync_free(struct db_sync **slot)
{
	struct db_sync *s = take_ptr(*slot);

	if (!s)
		return;
	PQfinish(s->pg);
	free(s);
}

int db_sync_script(struct db_sync *s, const char *sql, struct error *err)
{
	PGresult *r = PQexec(s->pg, sql);
	int rc = db_result_errno(r);

	if (rc < 0)
		db_result_error(r, "statement", err);
	PQclear(r);
	return rc;
}

static PGresult *run(struct db_sync *s, enum query q, const struct db_values *v)
{
	static const int binary[DB_MAX_PARAMS] = {
		[0 ... DB_MAX_PARAMS - 1] = 1,
	};
	const char *pointers[DB_MAX_PARAMS];

	db_values_pointers(v, pointers);
	return PQexecParams(s->pg, query_texts[q].sql, v->n, v->oids, pointers, v->lengths, binary,
			    1);
}

int db_sync_query(struct db_sync *s, enum query q, const struct db_param *params, size_t n,
		  struct db_result **ret, struct error *err)
{
	struct db_result *r = calloc(1, sizeof(*r));
	struct db_values v;
	int rc;

	if (!r)
		return error_sys(err, -ENOMEM, "%s", query_texts[q].name);
	rc = db_values_init(&v, params, n);
	if (rc < 0) {
		free(r);
		return error_sys(err, rc, "%s", query_texts[q].name);
	}
	r->pg = run(s, q, &v);
	db_values_fini(&v);
	rc = db_result_errno(r->pg);
	if (rc < 0) {
		db_result_error(r->pg, query_texts[q].name, err);
		db_result_free(&r);
		return rc;
	}
	*ret = r;
	return 0;
}

int db_sync_environment(const char *conninfo, struct error *err)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	if (!options)
		return error_set(err, -EINVAL, "'database' cannot be understood");
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (o->val && o->envvar)
			(void)setenv(o->envvar, o->val, 1);
	PQconninfoFree(options);
	(void)setenv("PGAPPNAME", "memherd-collector db", 1);
	return 0;
}

void db_result_free(struct db_result **slot)
{
	struct db_result *r = take_ptr(*slot);

	if (!r)
		return;
	PQclear(r->pg);
	free(r);
}
