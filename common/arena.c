/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arena.h"

#include <stdint.h>
#include <string.h>

#define ALIGN     16
#define BLOCK_MIN 4096

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	size_t pad_; /* keeps data 16-byte aligned behind the header */
	uint8_t data[];
};

void arena_init(struct arena *a, size_t budget)
{
	*a = (struct arena){.budget = budget};
}

void arena_fini(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	while (a->head && a->head->next) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	if (a->head)
		a->head->used = 0;
	a->used = 0;
}

static struct arena_block *block_new(struct arena *a, size_t size)
{
	size_t room = MAX_OF(size, (size_t)BLOCK_MIN);
	struct arena_block *b;

	/* Blocks double so that a large message costs few mallocs. */
	if (a->head)
		room = MAX_OF(room, MIN_OF(a->head->size * 2, (size_t)1 << 20));
	b = malloc(sizeof(*b) + room);
	if (!b)
		return NULL;
	b->size = room;
	b->used = 0;
	b->next = a->head;
	a->head = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	void *p;

	if (size > a->budget)
		return NULL;
	size = (MAX_OF(size, (size_t)1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (size > a->budget || a->used > a->budget - size)
		return NULL;
	if (!b || b->size - b->used < size)
		b = block_new(a, size);
	if (!b)
		return NULL;
	p = b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	p = arena_alloc(a, total);
	if (p)
		memset(p, 0, total);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}
