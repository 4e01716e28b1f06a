/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - strings that many records share (services, containers), held once and counted.
 *
 * Bounded in number and bytes: what does not fit is NAMES_NONE and counted in refused, so that a
 * record loses its name but never its figures. An id is good as long as it is referred to.
 */
#ifndef MEMHERD_AGENT_SENSE_NAMES_H
#define MEMHERD_AGENT_SENSE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define NAMES_NONE 0u
/* Longer ones are cut. */
#define NAMES_TEXT_MAX 255u

struct name_entry {
	char *text; /* NULL = free */
	uint32_t hash;
	uint32_t refs; /* of a free one: the next free id */
};

struct names {
	struct name_entry *entries; /* by id - 1 */
	uint32_t cap;
	uint32_t count;
	uint32_t max;
	uint32_t free_head;
	size_t bytes; /* of all texts */
	size_t max_bytes;
	uint32_t *index; /* id by hash; 0 = empty */
	uint32_t mask;
	uint64_t refused;
};

void names_init(struct names *n, uint32_t max, size_t max_bytes);
void names_fini(struct names *n);

/* The id of text, referred to once more; NAMES_NONE for an empty one or when it does not fit. */
uint32_t names_ref(struct names *n, const char *text) must_use;
void names_unref(struct names *n, uint32_t id);
/* "" for NAMES_NONE. */
const char *names_text(const struct names *n, uint32_t id);
/* What it holds in all. */
size_t names_memory(const struct names *n);

#endif
