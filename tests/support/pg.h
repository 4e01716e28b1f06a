/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.h - a temporary PostgreSQL for C tests: the product's own private one, in a folder of /tmp
 * that is removed afterwards.
 */
#ifndef MEMHERD_TESTS_SUPPORT_PG_H
#define MEMHERD_TESTS_SUPPORT_PG_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "collector/store/db_sync.h"
#include "collector/store/embedded.h"
#include "tests/support/test.h"

struct pg {
	char dir[64];
	struct embedded *server;
};

static inline int pg_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static inline void pg_start(struct pg *pg)
{
	struct embedded_config cfg = {.dir = pg->dir};
	struct error err;

	strcpy(pg->dir, "/tmp/memherd-test-XXXXXX");
	assert_non_null(mkdtemp(pg->dir));
	if (embedded_start(&cfg, &pg->server, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void pg_stop(struct pg *pg)
{
	embedded_free(&pg->server);
	nftw(pg->dir, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
