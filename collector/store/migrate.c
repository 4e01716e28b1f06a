/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/migrate.h"

#include <errno.h>

#include "collector/store/db_sync.h"

int migrate_newest(void)
{
	return migration_count ? migrations[migration_count - 1].version : 0;
}

static int one_row(struct db_sync *s, enum query q, struct db_result **ret, struct error *err)
{
	return db_sync_query(s, q, NULL, 0, ret, err);
}

/* The schema's version, 0 for an empty database. */
static int read_version(struct db_sync *s, struct error *err)
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
	struct db_result *r;
	int rc = db_sync_query(s, Q_MIGRATE_RECORD, &p, 1, &r, err);

	if (rc == 0)
		db_result_free(&r);
	return rc;
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

/* One migration in a transaction: 1 applied, 0 nothing left to do. The lock ends with it, so
 * starters take turns and each looks again at what is left. */
static int step(struct db_sync *s, struct error *err)
{
	struct db_result *r;
	int version, rc;

	rc = db_sync_script(s, "BEGIN", err);
	if (rc < 0)
		return rc;
	rc = one_row(s, Q_MIGRATE_LOCK, &r, err);
	if (rc < 0)
		goto rollback;
	db_result_free(&r);
	version = rc = read_version(s, err);
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

int migrate_run(struct db_sync *s, struct error *err)
{
	int applied = 0, rc;

	while ((rc = step(s, err)) > 0)
		applied++;
	return rc < 0 ? rc : applied;
}
