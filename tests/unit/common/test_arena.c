/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "common/arena.h"

#include "tests/support/alloc.h"
#include "tests/support/test.h"

static void memory_is_aligned_and_apart(void **state unused_arg)
{
	auto_arena struct arena a;
	uint8_t *last = NULL;

	arena_init(&a, 1 << 20);
	for (size_t n = 0; n < 300; n++) {
		uint8_t *p = arena_alloc(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_ptr_not_equal(p, last);
		memset(p, 0xaa, n);
		last = p;
	}
}

static void the_budget_is_never_passed(void **state unused_arg)
{
	auto_arena struct arena a;

	arena_init(&a, 1000);
	assert_null(arena_alloc(&a, 1001));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, 1000)); /* 1008 with its padding */
	assert_non_null(arena_alloc(&a, 992));
	assert_null(arena_alloc(&a, 1));
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 1));
}

static void zeroed_rooms_do_not_overflow(void **state unused_arg)
{
	auto_arena struct arena a;
	uint8_t *p;

	arena_init(&a, SIZE_MAX);
	assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
	p = arena_alloc(&a, 64);
	memset(p, 0xff, 64);
	arena_reset(&a);
	p = arena_calloc(&a, 16, 4);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
}

static void copies_end_with_nul(void **state unused_arg)
{
	auto_arena struct arena a;

	arena_init(&a, 100);
	assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(&a, "", 0), "");
	assert_null(arena_strndup(&a, "x", SIZE_MAX));
}

static void reset_keeps_a_block_and_fini_none(void **state unused_arg)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	for (int i = 0; i < 50; i++)
		assert_non_null(arena_alloc(&a, 4000));
	arena_reset(&a);
	assert_int_equal(a.used, 0);
	alloc_fail_at(1); /* the kept block serves the next use without malloc */
	assert_non_null(arena_alloc(&a, 1000));
	alloc_fail_off();
	arena_fini(&a);
	assert_null(a.head);
	arena_fini(&a);
}

static void no_memory_is_null_and_costs_no_budget(void **state unused_arg)
{
	auto_arena struct arena a;

	arena_init(&a, 1 << 20);
	alloc_fail_at(1);
	assert_null(arena_alloc(&a, 10));
	assert_int_equal(a.used, 0);
	alloc_fail_at(1);
	assert_null(arena_strndup(&a, "x", 1));
	alloc_fail_at(1);
	assert_null(arena_calloc(&a, 1, 1));
	alloc_fail_off();
	assert_non_null(arena_alloc(&a, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_and_apart),
		cmocka_unit_test(the_budget_is_never_passed),
		cmocka_unit_test(zeroed_rooms_do_not_overflow),
		cmocka_unit_test(copies_end_with_nul),
		cmocka_unit_test(reset_keeps_a_block_and_fini_none),
		cmocka_unit_test(no_memory_is_null_and_costs_no_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
