/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakeheap.h - a process's memory as an array, with a collector, types and objects in it as CPython
 * lays them out. Addresses begin at HEAP_BASE.
 */
#ifndef MEMHERD_TESTS_SUPPORT_FAKEHEAP_H
#define MEMHERD_TESTS_SUPPORT_FAKEHEAP_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "agent/python/census.h"
#include "agent/python/census_types.h"

#define HEAP_BASE 0x7f0000010000ull
#define HEAP_SIZE (1u << 20)
#define GC_SIZE   512u

struct heap {
	uint8_t bytes[HEAP_SIZE];
	size_t used;
	const struct layout *layout;
	uint64_t collector;
	unsigned reads;
	int fails; /* what every read returns, 0 = reads work */
};

static inline ssize_t heap_read(void *arg, uint64_t address, void *buf, size_t n)
{
	struct heap *h = arg;

	h->reads++;
	if (h->fails)
		return h->fails;
	if (address < HEAP_BASE || address - HEAP_BASE >= HEAP_SIZE)
		return -EFAULT;
	n = MIN_OF(n, HEAP_SIZE - (size_t)(address - HEAP_BASE));
	memcpy(buf, h->bytes + (address - HEAP_BASE), n);
	return (ssize_t)n;
}

static inline void put(struct heap *h, uint64_t address, const void *data, size_t n)
{
	memcpy(h->bytes + (address - HEAP_BASE), data, n);
}

static inline void put64(struct heap *h, uint64_t address, uint64_t v)
{
	put(h, address, &v, sizeof(v));
}

static inline uint64_t get64(const struct heap *h, uint64_t address)
{
	uint64_t v;

	memcpy(&v, h->bytes + (address - HEAP_BASE), sizeof(v));
	return v;
}

static inline uint64_t heap_take(struct heap *h, size_t n)
{
	uint64_t at = HEAP_BASE + h->used;

	h->used += (n + 15) & ~(size_t)15;
	return at;
}

/* Empty lists in a collector of 3.minor. */
static inline void heap_init(struct heap *h, unsigned minor)
{
	memset(h, 0, sizeof(*h));
	h->layout = layout_find(minor);
	h->collector = heap_take(h, GC_SIZE);
	for (unsigned g = 0; g <= LAYOUT_GENERATIONS; g++) {
		uint64_t head =
			h->collector + (g < LAYOUT_GENERATIONS ? h->layout->gc.generations + g * 24
							       : h->layout->gc.permanent);

		put64(h, head, head);
		put64(h, head + 8, head);
	}
}

/* 3 = the permanent one. */
static inline uint64_t heap_head(const struct heap *h, unsigned generation)
{
	return h->collector + (generation < LAYOUT_GENERATIONS
				       ? h->layout->gc.generations + generation * 24
				       : h->layout->gc.permanent);
}

static inline uint64_t heap_text(struct heap *h, const char *text)
{
	uint64_t at = heap_take(h, strlen(text) + 1);

	put(h, at, text, strlen(text) + 1);
	return at;
}

/* A compact ASCII str, interned or not. */
static inline uint64_t heap_str(struct heap *h, const char *text)
{
	size_t head = h->layout->minor >= 12 ? 40 : 48;
	uint64_t at = heap_take(h, head + strlen(text) + 1);

	put64(h, at + 16, strlen(text));
	put64(h, at + 32, 0xe7);
	put(h, at + head, text, strlen(text) + 1);
	return at;
}

static inline uint64_t heap_type(struct heap *h, const char *name, uint64_t flags, uint64_t basic,
				 uint64_t item)
{
	uint64_t at = heap_take(h, 1024);

	put64(h, at + TYPE_NAME, heap_text(h, name));
	put64(h, at + TYPE_BASIC_SIZE, basic);
	put64(h, at + TYPE_ITEM_SIZE, item);
	put64(h, at + TYPE_FLAGS, flags | TYPE_FLAG_READY | TYPE_FLAG_GC);
	return at;
}

/* An object of room bytes after its head, at the end of a generation's list; its own address. */
static inline uint64_t heap_object(struct heap *h, unsigned generation, uint64_t type, size_t room,
				   int64_t ob_size)
{
	uint64_t gc = heap_take(h, 32 + CENSUS_GC_HEAD + room) + 32;
	uint64_t head = heap_head(h, generation);
	uint64_t last = get64(h, head + 8) & ~3ull;

	put64(h, gc, head);
	put64(h, gc + 8, last);
	put64(h, last, gc);
	put64(h, head + 8, gc);
	put64(h, gc + 16, 1);
	put64(h, gc + 24, type);
	put64(h, gc + 32, (uint64_t)ob_size);
	return gc + CENSUS_GC_HEAD;
}

#endif
