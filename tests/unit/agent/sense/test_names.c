/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/names.h"

#include "tests/support/alloc.h"
#include "tests/support/test.h"

static void a_name_is_held_once(void **state unused_arg)
{
	struct names n;
	uint32_t a;
	uint32_t b;

	names_init(&n, 10, 1000);
	a = names_ref(&n, "nginx");
	assert_int_not_equal(a, NAMES_NONE);
	assert_int_equal(names_ref(&n, "nginx"), a);
	b = names_ref(&n, "nginx2");
	assert_int_not_equal(b, a);
	assert_string_equal(names_text(&n, a), "nginx");
	assert_int_equal(n.count, 2);
	names_unref(&n, a);
	assert_string_equal(names_text(&n, a), "nginx");
	names_unref(&n, a);
	assert_int_equal(n.count, 1);
	assert_int_equal(n.bytes, 7);
	assert_int_equal(names_ref(&n, "other"), a);
	assert_int_equal(names_ref(&n, ""), NAMES_NONE);
	assert_string_equal(names_text(&n, NAMES_NONE), "");
	assert_int_equal(n.refused, 0);
	names_fini(&n);
}

static void it_is_bounded_in_number_and_bytes(void **state unused_arg)
{
	struct names n;
	char text[400];

	names_init(&n, 2, 1000);
	assert_int_not_equal(names_ref(&n, "a"), NAMES_NONE);
	assert_int_not_equal(names_ref(&n, "b"), NAMES_NONE);
	assert_int_equal(names_ref(&n, "c"), NAMES_NONE);
	assert_int_not_equal(names_ref(&n, "a"), NAMES_NONE);
	assert_int_equal(n.refused, 1);
	names_fini(&n);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	names_init(&n, 100, 300);
	assert_int_equal(strlen(names_text(&n, names_ref(&n, text))), NAMES_TEXT_MAX);
	text[0] = 'y';
	assert_int_equal(names_ref(&n, text), NAMES_NONE);
	names_fini(&n);
}

/* Against a table that is too simple to be wrong. */
static void it_agrees_with_a_plain_list(void **state unused_arg)
{
	uint32_t ids[500] = {0};
	struct names n;
	unsigned seed = 7;

	names_init(&n, 1000, 100000);
	for (int i = 0; i < 20000; i++) {
		unsigned k = (seed = seed * 1103515245 + 12345) >> 8 & 511;
		char text[16];

		if (k >= 500)
			continue;
		snprintf(text, sizeof(text), "svc-%u", k);
		if (ids[k]) {
			assert_string_equal(names_text(&n, ids[k]), text);
			names_unref(&n, ids[k]);
			ids[k] = 0;
		} else {
			ids[k] = names_ref(&n, text);
			assert_int_not_equal(ids[k], 0);
		}
	}
	for (unsigned k = 0; k < 500; k++)
		names_unref(&n, ids[k]);
	assert_int_equal(n.count, 0);
	assert_int_equal(n.bytes, 0);
	names_fini(&n);
}

static void without_memory_there_is_no_name(void **state unused_arg)
{
	for (unsigned at = 1;; at++) {
		struct names n;
		uint32_t id;

		names_init(&n, 10, 1000);
		alloc_fail_at(at);
		id = names_ref(&n, "nginx");
		alloc_fail_off();
		if (alloc_failed()) {
			assert_int_equal(id, NAMES_NONE);
			assert_int_equal(n.refused, 1);
			assert_int_not_equal(names_ref(&n, "nginx"), NAMES_NONE);
		}
		names_fini(&n);
		if (!alloc_failed())
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_held_once),
		cmocka_unit_test(it_is_bounded_in_number_and_bytes),
		cmocka_unit_test(it_agrees_with_a_plain_list),
		cmocka_unit_test(without_memory_there_is_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
