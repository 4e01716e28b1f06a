/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_size.h - what the database takes, by table: asked for once a minute in the store's own
 * rounds, so that REST and /metrics ask nobody.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_SIZE_H
#define MEMHERD_COLLECTOR_STORE_STORE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define STORE_SIZES_MAX 64

struct store;

/* A table with all its leaves. */
struct store_size {
	char table[64];
	int64_t bytes; /* indexes and TOAST included */
	int64_t index_bytes;
	int64_t toast_bytes; /* with its index */
	int64_t rows;        /* the server's estimate */
	int leaves;          /* 0 = not partitioned */
	int64_t oldest_us;   /* start of the oldest leaf, end of the newest; 0 = no leaf */
	int64_t newest_us;
};

struct store_sizes {
	int64_t measured_us; /* 0 = not yet */
	size_t n;
	struct store_size tables[STORE_SIZES_MAX]; /* the largest first */
};

/* As last heard, also while the database is away. */
const struct store_sizes *store_sizes(const struct store *s);

#endif
