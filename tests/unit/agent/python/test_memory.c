/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/support/test.h"

#define PAGE ((size_t)4096)

/* Two pages, the second of them not mapped any more. */
static uint8_t *page_before_a_hole(void)
{
	uint8_t *p =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(munmap(p + PAGE, PAGE), 0);
	for (size_t i = 0; i < PAGE; i++)
		p[i] = (uint8_t)i;
	return p;
}

static void all_or_a_fault(void **state unused_arg)
{
	uint8_t *p = page_before_a_hole();
	uint64_t at = (uintptr_t)p;
	uint8_t buf[PAGE];
	uint64_t word;

	assert_int_equal(memory_read(getpid(), at, buf, PAGE), 0);
	assert_memory_equal(buf, p, PAGE);
	assert_int_equal(memory_read(getpid(), at + 1, buf, PAGE), -EFAULT);
	assert_int_equal(memory_read(getpid(), at + PAGE, buf, 1), -EFAULT);
	assert_int_equal(memory_read(getpid(), UINT64_MAX - 8, buf, 32), -EFAULT);
	assert_int_equal(memory_read_u64(getpid(), at + 8, &word), 0);
	assert_int_equal(word, UINT64_C(0x0f0e0d0c0b0a0908));
	munmap(p, PAGE);
}

static void some_up_to_a_hole(void **state unused_arg)
{
	uint8_t *p = page_before_a_hole();
	uint8_t buf[PAGE];

	assert_int_equal(memory_read_some(getpid(), (uintptr_t)p + 100, buf, PAGE), PAGE - 100);
	assert_int_equal(memory_read_some(getpid(), (uintptr_t)p + PAGE, buf, PAGE), -EFAULT);
	munmap(p, PAGE);
}

static void spans_are_read_together_or_not(void **state unused_arg)
{
	uint8_t *p = page_before_a_hole();
	uint8_t a[2];
	uint8_t b[3];
	struct memory_span spans[MEMORY_MAX_SPANS + 1] = {{(uintptr_t)p + 7, a, sizeof(a)},
							  {(uintptr_t)p + 90, b, sizeof(b)}};

	assert_int_equal(memory_read_spans(getpid(), spans, 2), 0);
	assert_int_equal(a[1], 8);
	assert_int_equal(b[2], 92);
	spans[1].address = (uintptr_t)p + PAGE - 1;
	assert_int_equal(memory_read_spans(getpid(), spans, 2), -EFAULT);
	assert_int_equal(memory_read_spans(getpid(), spans, MEMORY_MAX_SPANS + 1), -EINVAL);
	munmap(p, PAGE);
}

static void one_that_has_ended_is_told(void **state unused_arg)
{
	pid_t pid = fork();
	uint8_t buf[8];

	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(memory_read(pid, 4096, buf, sizeof(buf)), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_or_a_fault),
		cmocka_unit_test(some_up_to_a_hole),
		cmocka_unit_test(spans_are_read_together_or_not),
		cmocka_unit_test(one_that_has_ended_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
