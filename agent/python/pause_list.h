/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause_list.h - the collections that were seen, as many as are kept. Pure.
 */
#ifndef MEMHERD_AGENT_PYTHON_PAUSE_LIST_H
#define MEMHERD_AGENT_PYTHON_PAUSE_LIST_H

#include <stddef.h>

#include "agent/python/pairing.h"

#define PAUSE_LIST_MAX (1u << 18) /* 8 MiB; 870 collections a second for 300 s */

struct pause_list {
	int64_t from_ns; /* what began before is not taken; CLOCK_MONOTONIC */
	struct pause *rows;
	size_t n;
	size_t cap;
	uint64_t not_kept; /* beyond PAUSE_LIST_MAX, or without memory */
};

void pause_list_add(struct pause_list *l, const struct pause *one);
/* By their beginnings: what threads and rings told is in the order of neither. */
void pause_list_sort(struct pause_list *l);
void pause_list_fini(struct pause_list *l);

#endif
