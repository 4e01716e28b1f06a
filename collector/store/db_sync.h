/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db_sync.h - one blocking connection, for what happens before the loop runs (migrations, start-up
 * checks) and for tests. Results are read with the functions of db.h.
 */
#ifndef MEMHERD_COLLECTOR_STORE_DB_SYNC_H
#define MEMHERD_COLLECTOR_STORE_DB_SYNC_H

#include "collector/store/db.h"

struct db_sync;

/* relaxed: accept a server that may lose committed data in a crash (fsync or synchronous_commit
 * off). -EPROTO for a server that is too old, -EPERM for a lossy one. */
int db_sync_open(const char *conninfo, bool relaxed, struct db_sync **ret,
		 struct error *err) must_use;
void db_sync_free(struct db_sync **s);
/* Several statements without parameters (a migration). */
int db_sync_script(struct db_sync *s, const char *sql, struct error *err) must_use;
int db_sync_query(struct db_sync *s, enum query q, const struct db_param *params, size_t n,
		  struct db_result **ret, struct error *err) must_use;
/* Puts what conninfo says into this process's environment, as libpq's programs read it: for those
 * that it starts, whose arguments everybody sees. */
int db_sync_environment(const char *conninfo, struct error *err) must_use;
void db_result_free(struct db_result **r);

#endif
