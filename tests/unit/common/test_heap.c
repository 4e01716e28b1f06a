/* SPDX-License-Identifier: Apache-2.0 */
#include "common/heap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "tests/support/test.h"

#define MIB ((size_t)1 << 20)

/* A sanitizer has a heap of its own, which keeps what was freed. */
#if defined(MEMHERD_ASAN) || defined(__SANITIZE_THREAD__)
#define MOST_KIB (1L << 30)
#else
#define MOST_KIB 2048L
#endif

static long resident_kib(void)
{
	long size = 0;
	long resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *touched(size_t n)
{
	void *p = malloc(n);

	assert_non_null(p);
	memset(p, 1, n);
	return p;
}

/* Without heap_tune() the first block teaches glibc to keep the second one in its heap, where what
 * was allocated after it holds it fast. */
static void a_large_block_goes_back_below_a_small_one(void **state unused_arg)
{
	void *first;
	void *second;
	void *pin;
	long before;

	heap_tune();
	first = touched(16 * MIB);
	free(first);
	before = resident_kib();
	second = touched(8 * MIB);
	pin = touched(1000);
	free(second);
	assert_true(resident_kib() - before < MOST_KIB);
	free(pin);
}

static void many_small_ones_go_back_when_told(void **state unused_arg)
{
	enum { MANY = 4096 };
	static void *all[MANY];
	void *pin;
	long before = resident_kib();

	for (unsigned i = 0; i < MANY; i++)
		all[i] = touched(4000);
	pin = touched(1000);
	for (unsigned i = 0; i < MANY; i++)
		free(all[i]);
	heap_trim();
	assert_true(resident_kib() - before < MOST_KIB);
	free(pin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_block_goes_back_below_a_small_one),
		cmocka_unit_test(many_small_ones_go_back_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
