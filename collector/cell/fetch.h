/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - GETs of cells' REST on the loop, several at a time.
 */
#ifndef MEMHERD_COLLECTOR_CELL_FETCH_H
#define MEMHERD_COLLECTOR_CELL_FETCH_H

#include <stdint.h>

#include "collector/cell/cell.h"
#include "common/buf.h"
#include "common/error.h"

#define FETCHES_MAX 512 /* at a time */

struct event_base;
struct fetcher;

int fetcher_new(struct event_base *base, struct fetcher **ret, struct error *err) must_use;
/* What is under way ends without a call back. */
void fetcher_free(struct fetcher **f);

struct fetch_limits {
	int64_t deadline_us;
	size_t max_bytes; /* of the answer */
};

/* status: of HTTP, with the answer's body, which is the callee's for the call; 0: there was none,
 * why says why not. Called once, from the loop. */
typedef void fetch_done(void *arg, long status, const struct buf *body, const char *why);

/* path from '/api/v1' on, encoded. -EBUSY at FETCHES_MAX; a token file that cannot be read or that
 * others may read: -errno with its reason. done is not called then. */
int fetch_get(struct fetcher *f, const struct cell *cell, const char *path,
	      const struct fetch_limits *limits, fetch_done *done, void *arg,
	      struct error *err) must_use;
/* Appends name=value, percent-encoded, with '&' before it where query is not empty. */
int fetch_query(struct buf *query, const char *name, const char *value) must_use;

#endif
