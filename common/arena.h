/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is freed all at once and never passes a budget.
 *
 * A frame's message is unpacked into one (the budget is what stops a hostile frame from
 * growing a hundredfold, see proto/wire.h), a loop turn's scratch lives in one. Allocations
 * are aligned to 16 bytes. arena_reset() keeps the first block.
 */
#ifndef MEMHERD_COMMON_ARENA_H
#define MEMHERD_COMMON_ARENA_H

#include "common/check.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used;   /* bytes handed out since the last reset, padding included */
	size_t budget; /* most bytes that may be handed out between resets */
};

void arena_init(struct arena *a, size_t budget);
void arena_fini(struct arena *a);
void arena_reset(struct arena *a);
/* Uninitialised memory, or NULL when the budget or the system has no more. */
void *arena_alloc(struct arena *a, size_t size);
/* Zeroed room for n elements; NULL also when n * size overflows. */
void *arena_calloc(struct arena *a, size_t n, size_t size);
/* A NUL-terminated copy of len bytes. */
char *arena_strndup(struct arena *a, const char *s, size_t len);

static inline void auto_arena_(struct arena *a)
{
	arena_fini(a);
}
#define auto_arena __attribute__((cleanup(auto_arena_)))

#endif
