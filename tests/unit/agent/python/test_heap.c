/* SPDX-License-Identifier: Apache-2.0 */
/* Pools and chunks forged in our own memory, read as another process's; and our own mappings. */
#include "agent/python/heap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/python/malloc.h"
#include "agent/python/pools.h"
#include "agent/python/smaps.h"
#include "tests/support/test.h"

/* ---- pools ---- */

static void header(uint8_t *h, uint32_t used, uint32_t size_class, uint32_t next, uint32_t last)
{
	const uint32_t words[] = {size_class, next, last};

	memset(h, 0, POOLS_HEADER_SIZE);
	memcpy(h, &used, sizeof(used));
	memcpy(h + 36, words, sizeof(words));
}

static void a_pool_is_told_from_other_memory(void **state unused_arg)
{
	uint8_t h[POOLS_HEADER_SIZE];
	struct pools p = {0};

	/* blocks of 64 bytes: ten carved, four in use */
	header(h, 4, 3, 48 + 640, 16384 - 64);
	assert_true(pools_judge(h, 16384, &p));
	assert_int_equal(p.used_bytes, 256);
	assert_int_equal(p.free_bytes, 384);
	assert_int_equal(p.fresh_bytes, 16384 - 48 - 640);
	assert_false(pools_judge(h, 4096, &p));
	header(h, 11, 3, 48 + 640, 16384 - 64);
	assert_false(pools_judge(h, 16384, &p)); /* more than were carved */
	header(h, 0, 32, 48, 16384 - 33 * 16);
	assert_false(pools_judge(h, 16384, &p)); /* no such class */
	header(h, 0, UINT32_MAX, 48, 16384);
	assert_false(pools_judge(h, 16384, &p));
	header(h, 4, 3, 48 + 641, 16384 - 64);
	assert_false(pools_judge(h, 16384, &p)); /* between two blocks */
	header(h, 4, 3, UINT32_MAX, 16384 - 64);
	assert_false(pools_judge(h, 16384, &p));
	header(h, 0, 0, 0, 0);
	assert_false(pools_judge(h, 16384, &p));
	assert_int_equal(p.count, 1);
}

static void a_scan_passes_over_holes(void **state unused_arg)
{
	size_t len = 64 * 4096;
	uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pools p = {0};

	assert_true(at != MAP_FAILED);
	for (unsigned i = 0; i < 64; i += 3)
		header(at + i * 4096, 1, 0, 64, 4096 - 16);
	assert_int_equal(munmap(at + 9 * 4096, 2 * 4096), 0);
	assert_int_equal(pools_scan(getpid(), (uintptr_t)at, (uintptr_t)at + len, 4096, &p), 0);
	assert_int_equal(p.count, 21); /* of 22 one was in the hole */
	assert_int_equal(pools_scan(getpid(), UINT64_MAX - 100, UINT64_MAX, 4096, &p), 0);
	munmap(at, len);
}

/* ---- chunks ---- */

struct forged {
	uint8_t *room;
	uint64_t *heap; /* at a multiple of 64 MiB */
};

#define HEAP_SIZE ((uint64_t)1 << 20)
#define FIRST     (0x20 + 0x8a0)

static struct forged forge(void)
{
	size_t len = 2 * MALLOC_HEAP_MAX;
	struct forged f = {mmap(NULL, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
			   NULL};

	assert_true(f.room != MAP_FAILED);
	f.heap = (uint64_t *)(((uintptr_t)f.room + MALLOC_HEAP_MAX - 1) & ~(MALLOC_HEAP_MAX - 1));
	f.heap[0] = (uintptr_t)f.heap + 0x20;
	f.heap[2] = HEAP_SIZE;
	return f;
}

static uint64_t *size_at(const struct forged *f, uint64_t offset)
{
	return (uint64_t *)((uintptr_t)f->heap + offset + 8);
}

static int walk(const struct forged *f, struct malloc_heap *h)
{
	*h = (struct malloc_heap){0};
	return malloc_walk(getpid(), (uintptr_t)f->heap, (uintptr_t)f->heap + MALLOC_HEAP_MAX,
			   false, h);
}

static void free_chunks_are_found_and_their_pages_counted(void **state unused_arg)
{
	struct forged f = forge();
	struct malloc_heap h;
	uint64_t size;
	bool first;

	assert_true(malloc_is_heap(getpid(), (uintptr_t)f.heap, &size, &first));
	assert_true(first);
	assert_int_equal(size, HEAP_SIZE);
	/* in use, free over ten pages, in use, the top */
	*size_at(&f, FIRST) = 0x1000 | 1;
	*size_at(&f, FIRST + 0x1000) = 0xa000 | 1;
	*size_at(&f, FIRST + 0xb000) = 0x40;
	*size_at(&f, FIRST + 0xb040) = (HEAP_SIZE - FIRST - 0xb040) | 1;
	assert_int_equal(walk(&f, &h), 0);
	assert_int_equal(h.chunks, 4);
	assert_int_equal(h.free_bytes, 0xa000 + HEAP_SIZE - FIRST - 0xb040);
	assert_int_equal(h.gain_bytes, 0); /* never touched, or of zeroes only */
	memset((uint8_t *)f.heap + FIRST + 0x1010, 7, 0x9000);
	assert_int_equal(walk(&f, &h), 0);
	assert_in_range(h.gain_bytes, 0x8000, 0x9000);
	munmap(f.room, 2 * MALLOC_HEAP_MAX);
}

/* Whatever stands there, the walk ends and says so. */
static void hostile_sizes_end_the_walk(void **state unused_arg)
{
	static const uint64_t sizes[] = {0,          8,         0x10,           0x28, UINT64_MAX,
					 1ULL << 63, HEAP_SIZE, HEAP_SIZE + 16, 7,    -4096ULL};
	struct forged f = forge();
	struct malloc_heap h;
	uint64_t size;
	bool first;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		*size_at(&f, FIRST) = 0x1000 | 1;
		*size_at(&f, FIRST + 0x1000) = sizes[i];
		assert_int_equal(walk(&f, &h), -EBADMSG);
		assert_int_equal(h.free_bytes, 0);
	}
	f.heap[2] = MALLOC_HEAP_MAX * 2;
	assert_false(malloc_is_heap(getpid(), (uintptr_t)f.heap, &size, &first));
	assert_int_equal(walk(&f, &h), -EBADMSG);
	f.heap[2] = HEAP_SIZE;
	f.heap[0] = 12345;
	assert_false(malloc_is_heap(getpid(), (uintptr_t)f.heap, &size, &first));
	assert_false(malloc_is_heap(getpid(), (uintptr_t)f.heap + 4096, &size, &first));
	munmap(f.room, 2 * MALLOC_HEAP_MAX);
}

/* ---- mappings ---- */

static void our_own_mappings_add_up(void **state unused_arg)
{
	int64_t parts[HEAP_PART_COUNT];
	struct error err = {""};
	struct smaps maps;
	struct smap m;
	bool heap = false, stack = false;
	int n = 0;

#ifdef MEMHERD_ASAN /* its malloc has no use for a [heap] */
	memset(sbrk(1 << 16), 1, 1 << 16);
#endif
	assert_int_equal(smaps_open(getpid(), &maps, &err), 0);
	while (smaps_next(&maps, &m) > 0) {
		n++;
		assert_true(m.start < m.end);
		assert_true(m.rss >= m.anonymous);
		heap |= strcmp(m.name, "[heap]") == 0 && m.writable && m.anonymous > 0;
		stack |= strcmp(m.name, "[stack]") == 0;
	}
	smaps_close(&maps);
	assert_true(n > 10 && heap && stack);
	assert_int_equal(heap_read(getpid(), -1, parts, &err), 0);
	assert_int_equal(parts[HEAP_PART_RSS], parts[HEAP_PART_MALLOC] + parts[HEAP_PART_NATIVE] +
						       parts[HEAP_PART_STACKS] +
						       parts[HEAP_PART_FILE] +
						       parts[HEAP_PART_SHMEM]);
	assert_true(parts[HEAP_PART_PYMALLOC] == HEAP_ABSENT);
	assert_true(heap_read(1 << 22, -1, parts, &err) < 0);
	assert_says(err, "smaps");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_is_told_from_other_memory),
		cmocka_unit_test(a_scan_passes_over_holes),
		cmocka_unit_test(free_chunks_are_found_and_their_pages_counted),
		cmocka_unit_test(hostile_sizes_end_the_walk),
		cmocka_unit_test(our_own_mappings_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
