/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/migrate.h"

#include <errno.h>

#include "collector/store/db_sync.h"
#include "collector/store/series.h"
#include "common/log.h"

int migrate_newest(void)
{
	return migration_count ? migrations[migration_count - 1].version : 0;
}

static int one_row(struct db_sync *s, enum query q, struct db_result **ret, struct error *err)
{
	return db_sync_query(s, q, NULL, 0, ret, err);
}

static int tell(struct db_sync *s, enum query q, const struct db_param *params, size_t n,
		struct error *err)
{
	struct db_result *r;
	int rc = db_sync_query(s, q, params, n, &r, err);

	if (rc == 0)
		db_result_free(&r);
	return rc;
}

int migrate_version(struct db_sync *s, struct error *err)
{
	struct db_result *r;
	bool meta, foreign;
	int rc;

	rc = one_row(s, Q_MIGRATE_EXISTS, &r, err);
	if (rc < 0)
		return rc;
	meta = db_int(r, 0, 0);
	foreign = !meta && db_int(r, 0, 1);
	db_result_free(&r);
	if (foreign)
		return error_set(err, -EPROTO,
				 "the database holds tables of something else: use an empty one");
	if (!meta)
		return 0;
	rc = one_row(s, Q_MIGRATE_VERSION, &r, err);
	if (rc < 0)
		return rc;
	rc = db_rows(r) ? (int)db_int(r, 0, 0) : 0;
	db_result_free(&r);
	return rc;
}

static int record(struct db_sync *s, int version, struct error *err)
{
	struct db_param p = DB_P_INT4(version);

	return tell(s, Q_MIGRATE_RECORD, &p, 1, err);
}

static int apply(struct db_sync *s, const struct migration *m, struct error *err)
{
	int rc = db_sync_script(s, m->sql, err);

	if (rc == 0)
		rc = record(s, m->version, err);
	if (rc < 0)
		error_wrap(err, "migration '%s'", m->name);
	return rc;
}

/* A transaction under a lock that ends with it, so starters take turns. */
static int begin(struct db_sync *s, struct error *err)
{
	int rc = db_sync_script(s, "BEGIN", err);

	if (rc < 0)
		return rc;
	rc = tell(s, Q_MIGRATE_LOCK, NULL, 0, err);
	if (rc == 0)
		rc = tell(s, Q_MIGRATE_PATIENCE, NULL, 0, err);
	if (rc < 0)
		(void)!db_sync_script(s, "ROLLBACK", NULL);
	return rc;
}

/* One migration: 1 applied, 0 nothing left to do. Each starter looks again at what is left. */
static int step(struct db_sync *s, struct error *err)
{
	int version, rc;

	rc = begin(s, err);
	if (rc < 0)
		return rc;
	version = rc = migrate_version(s, err);
	if (rc < 0)
		goto rollback;
	if (version > migrate_newest()) {
		rc = error_set(
			err, -EPROTO,
			"the database has schema %d, this program knows up to %d: it was used "
			"by a newer memherd-collector, upgrade this one",
			version, migrate_newest());
		goto rollback;
	}
	rc = 0;
	for (int i = 0; i < migration_count; i++) {
		if (migrations[i].version <= version)
			continue;
		rc = apply(s, &migrations[i], err);
		if (rc < 0)
			goto rollback;
		rc = 1;
		break;
	}
	return db_sync_script(s, "COMMIT", err) < 0 ? -EIO : rc;
rollback:
	(void)!db_sync_script(s, "ROLLBACK", NULL);
	return rc;
}

/* ---- what SQL is told of the program ---- */

static int tell_metrics(struct db_sync *s, int kind, struct error *err)
{
	const struct series_type *type = &series_types[kind];
	const char *names[CHUNK_MAX_COLUMNS], *units[CHUNK_MAX_COLUMNS], *helps[CHUNK_MAX_COLUMNS];
	int64_t counters[CHUNK_MAX_COLUMNS];
	unsigned n = type->spec->n_columns;

	for (unsigned i = 0; i < n; i++) {
		const struct metric_info *m = &type->infos[i];

		names[i] = m->name;
		units[i] = metric_unit_name(m->unit);
		helps[i] = m->help;
		counters[i] = m->kind == METRIC_COUNTER;
	}
	const struct db_param params[] = {
		DB_P_INT2(kind),      DB_P_TEXTS(names, n), DB_P_INT8S(counters, n),
		DB_P_TEXTS(units, n), DB_P_TEXTS(helps, n),
	};

	return tell(s, Q_METRIC_SET, params, ARRAY_SIZE(params), err);
}

/* In turn like the migrations: two who insert the same rows at once would meet in the table's
 * second unique index, which ON CONFLICT does not arbitrate. */
static int tell_all_metrics(struct db_sync *s, struct error *err)
{
	int rc = begin(s, err);

	if (rc < 0)
		return rc;
	for (int kind = 0; rc == 0 && kind < SERIES_KINDS; kind++)
		rc = tell_metrics(s, kind, err);
	if (rc == 0)
		return db_sync_script(s, "COMMIT", err);
	(void)!db_sync_script(s, "ROLLBACK", NULL);
	return rc;
}

/* The role that reads: no reason not to start where it cannot be made. */
static void set_up_reader(struct db_sync *s)
{
	struct error err = {""};
	struct db_result *r;

	if (one_row(s, Q_READER_SET_UP, &r, &err) < 0) {
		log_warn("store reader=memherd_reader error=\"%s\"", err.msg);
		return;
	}
	if (*db_text(r, 0, 0))
		log_info("store reader=memherd_reader state=incomplete "
			 "hint=\"an administrator of the database may run: %s\"",
			 db_text(r, 0, 0));
	db_result_free(&r);
}

int migrate_run(struct db_sync *s, struct error *err)
{
	int applied = 0, rc;

	while ((rc = step(s, err)) > 0)
		applied++;
	if (rc == 0)
		rc = tell_all_metrics(s, err);
	if (rc < 0)
		return rc;
	set_up_reader(s);
	return applied;
}
