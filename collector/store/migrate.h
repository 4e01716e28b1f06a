/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migrate.h - brings a database's schema to this binary's: the files of sql/migrations in order,
 * each in a transaction with its number (meta 'schema_version'). Starters at the same time wait for
 * each other on an advisory lock. Synchronous: called before the loop runs.
 */
#ifndef MEMHERD_COLLECTOR_STORE_MIGRATE_H
#define MEMHERD_COLLECTOR_STORE_MIGRATE_H

#include "common/error.h"

struct db_sync;

/* The number of migrations applied, or -errno: -EPROTO for a database newer than the binary. */
int migrate_run(struct db_sync *s, struct error *err) must_use;
/* The version of the schema that is there, 0 for an empty database; -EPROTO for tables of something
 * else. */
int migrate_version(struct db_sync *s, struct error *err) must_use;
/* Highest number that this binary knows. */
int migrate_newest(void);

#endif
