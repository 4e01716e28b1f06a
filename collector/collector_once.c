/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that do one thing and end: migrate, db, check-config. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/collector_inner.h"
#include "collector/incident.h"
#include "collector/store/db_sync.h"
#include "collector/store/embedded.h"
#include "collector/store/migrate.h"
#include "collector/store/transfer.h"

int collector_migrate(const struct collector_options *o, struct error *err)
{
	struct embedded *own = NULL;
	struct db_sync *s = NULL;
	const char *conninfo;
	int rc = collector_database(o, &own, &conninfo, err);

	if (!rc)
		rc = db_sync_open(conninfo, o->database_relaxed, &s, err);
	if (!rc)
		rc = migrate_run(s, err);
	if (rc >= 0)
		printf("%d migrations applied, schema is at version %d\n", rc, migrate_newest());
	db_sync_free(&s);
	embedded_free(&own);
	return rc < 0 ? rc : 0;
}

int collector_db(const struct collector_options *o, const char *verb, const char *file,
		 struct error *err)
{
	struct embedded *own = NULL;
	struct transfer t = {.relaxed = o->database_relaxed};
	bool out = strcmp(verb, "export") == 0;
	int rc;

	if (!out && strcmp(verb, "import") != 0)
		return error_set(err, -EINVAL, "db '%s': expected export or import", verb);
	rc = collector_database(o, &own, &t.conninfo, err);
	if (!rc && own)
		t.bin_dir = embedded_bin_dir(own);
	if (!rc)
		rc = out ? transfer_export(&t, file, err) : transfer_import(&t, file, err);
	if (!rc)
		fprintf(stderr, "%s done\n", verb);
	embedded_free(&own);
	return rc;
}

int collector_check(const struct collector_options *o, struct error *err)
{
	struct registry registry;
	struct incidents *i = NULL;
	int rc;

	registry_init(&registry);
	rc = collector_check_secrets(o, err);
	if (!rc)
		rc = incidents_new(NULL, o->rules_dir, &registry, &i, err);
	incidents_free(&i);
	return rc;
}
