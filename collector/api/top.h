/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.h - the rows that stand first of very many, in order, without keeping or sorting the rest: a
 * page of a fleet's processes costs a pass over them and a page of memory. Pure.
 */
#ifndef MEMHERD_COLLECTOR_API_TOP_H
#define MEMHERD_COLLECTOR_API_TOP_H

#include <stddef.h>

#include "common/check.h"

/* As of qsort(): below 0 when a stands before b. Never 0 for two rows, where the order should not
 * depend on who came first. */
typedef int top_compare(const void *a, const void *b);

struct top {
	unsigned char
		*rows; /* of size bytes each; a heap whose root stands last, until top_sort() */
	size_t size;
	size_t max;
	size_t n;
	top_compare *compare;
};

/* Room for the first max rows, at least 1. -ENOMEM. */
int top_init(struct top *t, size_t max, size_t size, top_compare *compare) must_use;
void top_fini(struct top *t);
/* Copies the row when it is among the first so far. */
void top_add(struct top *t, const void *row);
/* Once all were added: the first one first. */
void top_sort(struct top *t);
const void *top_get(const struct top *t, size_t i);

#endif
