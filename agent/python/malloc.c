/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/malloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/python/chunks.h"
#include "agent/python/memory.h"
#include "common/buf.h"
#include "common/error.h"

#define PAGE          UINT64_C(4096)
#define FLAGS         UINT64_C(7)
#define IN_USE_BEFORE UINT64_C(1)
#define CHUNK_HEAD    16u /* prev_size and size */
#define CHUNK_MIN     32u
#define CACHE         (4u * CHUNK_SIZE)
/* sizeof(heap_info): 2.35 made it larger. */
static const uint32_t heap_info_sizes[] = {0x20, 0x30};
/* From an arena to its first chunk: sizeof(struct malloc_state) to the next multiple of 16. 2.27
 * made it larger. A wrong one is found out by the chunks that follow. */
static const uint32_t arena_sizes[] = {0x8a0, 0x890};
#define STARTS_MAX (ARRAY_SIZE(heap_info_sizes) * ARRAY_SIZE(arena_sizes))

/* The links of the chunks that the walk is at. */
struct walk {
	struct chunks *memory;
	int pagemap;
	uint64_t end;
	struct malloc_heap *sum;
};

bool malloc_is_heap(pid_t pid, uint64_t address, uint64_t *ret_size, bool *ret_first)
{
	uint64_t words[3]; /* ar_ptr, prev, size */

	if (address % MALLOC_HEAP_MAX || memory_read(pid, address, words, sizeof(words)) < 0 ||
	    words[2] < PAGE || words[2] > MALLOC_HEAP_MAX || words[2] % PAGE)
		return false;
	*ret_size = words[2];
	*ret_first = false;
	for (size_t i = 0; i < ARRAY_SIZE(heap_info_sizes); i++)
		*ret_first |= words[0] == address + heap_info_sizes[i];
	/* a later heap names the one before it */
	return *ret_first ? !words[1] : words[1] && words[1] % MALLOC_HEAP_MAX == 0;
}

/* Of an entry of /proc/PID/pagemap: present, and mapped here alone. The page of zeroes, which our
 * own reading of a page that is not there leaves behind, is mapped by many; so is what forks share,
 * which a trim would not give back to the host. */
#define ENTRY_OURS (UINT64_C(1) << 63 | UINT64_C(1) << 56)

/* How much of the pages between two addresses is resident. */
static int resident(int pagemap, uint64_t from, uint64_t to, uint64_t *ret)
{
	uint64_t entries[512];

	while (from < to) {
		size_t n = MIN_OF((size_t)((to - from) / PAGE), ARRAY_SIZE(entries));
		ssize_t got = pread(pagemap, entries, n * sizeof(*entries),
				    (off_t)(from / PAGE * sizeof(*entries)));

		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++)
			*ret += (entries[i] & ENTRY_OURS) == ENTRY_OURS ? PAGE : 0;
		from += (uint64_t)got / sizeof(*entries) * PAGE;
	}
	return 0;
}

/* A free chunk keeps its links at its front: pages wholly behind them can go. */
static int take_free(struct walk *w, uint64_t chunk, uint64_t size, bool gives)
{
	uint64_t from = (chunk + CHUNK_HEAD + 32 + PAGE - 1) & ~(PAGE - 1);
	uint64_t to = (chunk + size) & ~(PAGE - 1);

	w->sum->free_bytes += size;
	return gives && from < to ? resident(w->pagemap, from, to, &w->sum->gain_bytes) : 0;
}

static int read_size(struct walk *w, uint64_t chunk, uint64_t *ret)
{
	int r = chunks_read(w->memory, chunk + 8, ret, sizeof(*ret));

	return r == -EFAULT ? -EBADMSG : r;
}

/* From one chunk to the next until the top, which reaches the end. */
static int walk_chunks(struct walk *w, uint64_t at, bool is_main)
{
	uint64_t size;
	int r = read_size(w, at, &size);

	while (r == 0) {
		uint64_t bytes = size & ~FLAGS;
		uint64_t next_size;

		/* fence posts, where the arena went on in another place */
		if (w->end - at <= CHUNK_MIN)
			return 0;
		if (bytes < CHUNK_MIN || bytes % 16 || bytes > w->end - at)
			return -EBADMSG;
		w->sum->chunks++;
		if (w->end - at - bytes < CHUNK_MIN)
			/* the top: of the main arena alone a trim gives back its end */
			return take_free(w, at, bytes, is_main);
		r = read_size(w, at + bytes, &next_size);
		if (r == 0 && !(next_size & IN_USE_BEFORE))
			r = take_free(w, at, bytes, true);
		at += bytes;
		size = next_size;
	}
	return r;
}

static int open_pagemap(pid_t pid)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Where the first chunk may be: behind heap_info and, in an arena's first heap, the arena. */
static unsigned first_chunks(pid_t pid, uint64_t start, bool is_main, uint64_t *end,
			     uint64_t ret[STARTS_MAX])
{
	unsigned n = 0;
	uint64_t size;
	bool first;

	if (is_main) {
		ret[n++] = start;
		return n;
	}
	if (!malloc_is_heap(pid, start, &size, &first) || size > *end - start)
		return 0;
	*end = start + size;
	for (size_t i = 0; i < ARRAY_SIZE(heap_info_sizes); i++) {
		if (!first) {
			ret[n++] = start + heap_info_sizes[i];
			continue;
		}
		for (size_t k = 0; k < ARRAY_SIZE(arena_sizes); k++)
			ret[n++] = start + heap_info_sizes[i] + arena_sizes[k];
	}
	return n;
}

int malloc_walk(pid_t pid, uint64_t start, uint64_t end, bool is_main, struct malloc_heap *ret)
{
	auto_close int pagemap = open_pagemap(pid);
	struct chunk_source source = chunk_source_of(&pid);
	auto_chunks struct chunks *memory = NULL;
	uint64_t starts[STARTS_MAX];
	unsigned n = first_chunks(pid, start, is_main, &end, starts);
	int r = pagemap < 0 ? pagemap : chunks_new(&source, CACHE, &memory);

	if (r < 0)
		return r;
	r = -EBADMSG;
	for (unsigned i = 0; i < n && r == -EBADMSG; i++) {
		struct malloc_heap sum = {0};
		struct walk w = {memory, pagemap, end, &sum};

		r = walk_chunks(&w, starts[i], is_main);
		if (r < 0)
			continue;
		ret->chunks += sum.chunks;
		ret->free_bytes += sum.free_bytes;
		ret->gain_bytes += sum.gain_bytes;
	}
	return r;
}
