/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/heap.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/test.h"

#define MAPPING(head, rss) \
	head "\nSize: 4 kB\nRss: " rss " kB\nPss: 1 kB\nSwap: 3 kB\nVmFlags: rd\n"

static const char smaps[] =
	MAPPING("00400000-00600000 r-xp 00000000 fe:00 77   /usr/bin/python3.11", "100")
		MAPPING("01000000-02000000 rw-p 00000000 00:00 0    [heap]", "2000")
	/* An arena of malloc, and the part of it that is not in use yet. */
	MAPPING("7f0004000000-7f0004100000 rw-p 00000000 00:00 0 ", "512")
		MAPPING("7f0004100000-7f0008000000 ---p 00000000 00:00 0 ", "0")
	/* Python's, of 1 MiB each; merged by the kernel. */
	MAPPING("7f0011000000-7f0011300000 rw-p 00000000 00:00 0 ", "3072")
	/* A buffer: malloc's header makes it a page more. */
	MAPPING("7f0021000000-7f0021101000 rw-p 00000000 00:00 0 ", "1000")
	/* A thread's stack above its guard. */
	MAPPING("7f0030000000-7f0030001000 ---p 00000000 00:00 0 ",
		"0") MAPPING("7f0030001000-7f0030801000 rw-p 00000000 00:00 0 ", "40")
		MAPPING("7f0040000000-7f0040100000 rw-s 00000000 00:01 9 /dev/shm/ring (deleted)",
			"60")
			MAPPING("7f0050000000-7f0050100000 rw-s 00000000 00:01 9 /srv/data.bin",
				"70") MAPPING("7f0060000000-7f0060080000 rw-p 00000000 00:00 0 "
					      "[anon:cpython:pymalloc]",
					      "80")
				MAPPING("7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]",
					"30") "nonsense\nRss: x kB\n\n";

static void check(unsigned minor, int64_t pymalloc, int64_t native)
{
	int64_t p[HEAP_PART_COUNT];

	for (int i = 0; i < HEAP_PART_COUNT; i++)
		p[i] = HEAP_ABSENT;
	heap_parse(smaps, minor, p);
	assert_int_equal(p[HEAP_PART_FILE], 170 << 10);
	assert_int_equal(p[HEAP_PART_MALLOC], 2512 << 10);
	assert_int_equal(p[HEAP_PART_ARENAS], 2);
	assert_int_equal(p[HEAP_PART_PYMALLOC], pymalloc << 10);
	assert_int_equal(p[HEAP_PART_NATIVE], native << 10);
	assert_int_equal(p[HEAP_PART_STACKS], 70 << 10);
	assert_int_equal(p[HEAP_PART_SHMEM], 60 << 10);
	assert_int_equal(p[HEAP_PART_SWAP], 12 * (3 << 10));
	assert_int_equal(p[HEAP_PART_RSS], (100 + 2000 + 512 + 3072 + 1000 + 40 + 60 + 70 + 80 + 30)
						   << 10);
	/* What smaps does not tell stays as it was. */
	assert_true(p[HEAP_PART_OBJECTS] == HEAP_ABSENT);
	assert_true(p[HEAP_PART_TRIM_GAIN] == HEAP_ABSENT);
}

static void test_each_mapping_has_its_part(void **state unused_arg)
{
	check(11, 3072 + 80, 1000);
	check(9, 3072 + 80, 1000);
}

static void test_the_parts_are_the_whole(void **state unused_arg)
{
	const size_t odd = (64u << 20) + 4096;
	char *buffer = mmap(NULL, odd, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t p[HEAP_PART_COUNT];
	struct error err = {""};

	assert_true(buffer != MAP_FAILED);
	memset(buffer, 1, odd);
	assert_int_equal(heap_read(getpid(), 11, p, &err), 0);
	assert_true(p[HEAP_PART_NATIVE] + p[HEAP_PART_PYMALLOC] >= (int64_t)odd);
	assert_int_equal(p[HEAP_PART_RSS], p[HEAP_PART_FILE] + p[HEAP_PART_MALLOC] +
						   p[HEAP_PART_PYMALLOC] + p[HEAP_PART_NATIVE] +
						   p[HEAP_PART_STACKS] + p[HEAP_PART_SHMEM]);
	assert_true(p[HEAP_PART_PAGE_TABLES] > 0);
	munmap(buffer, odd);
	assert_true(heap_read(1 << 30, 11, p, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mapping_has_its_part),
		cmocka_unit_test(test_the_parts_are_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
