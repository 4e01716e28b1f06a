/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/micro.h"

#include <errno.h>

#include "tests/support/test.h"

static int parse(const char *text, size_t n, uint32_t *ret)
{
	/* of exactly that size, so that a sanitizer sees each byte too far */
	uint8_t *copy = malloc(n ? n : 1);
	int rc;

	memcpy(copy, text, n);
	rc = micro_parse(copy, n, 10, ret);
	free(copy);
	return rc;
}

#define PARSE(text, ret) parse((text), sizeof(text), (ret))

static void a_version_stands_alone_between_two_ends(void **state unused_arg)
{
	uint32_t v;

	assert_int_equal(PARSE("xx\0"
			       "3.10.13",
			       &v),
			 0);
	assert_int_equal(v, 0x030a0df0);
	assert_int_equal(PARSE("\0"
			       "3.10.0a7",
			       &v),
			 0);
	assert_int_equal(v, 0x030a00a7);
	assert_int_equal(PARSE("\0"
			       "3.10.0b4+",
			       &v),
			 0);
	assert_int_equal(v, 0x030a00b4);
	assert_int_equal(PARSE("\0"
			       "3.10.2.1\0"
			       "3.10.5",
			       &v),
			 0);
	assert_int_equal(v, 0x030a05f0);
	assert_int_equal(PARSE("/opt/versions/3.10.6", &v), 0);
	assert_int_equal(v, 0x030a06f0);
	assert_int_equal(PARSE("3.10.13", &v), -ENOENT);
	assert_int_equal(PARSE("libfoo-3.10.13", &v), -ENOENT);
	assert_int_equal(PARSE("\0"
			       "3.10.",
			       &v),
			 -ENOENT);
	assert_int_equal(PARSE("\0"
			       "3.10.x",
			       &v),
			 -ENOENT);
	assert_int_equal(PARSE("\0"
			       "3.10.123",
			       &v),
			 -ENOENT);
	assert_int_equal(PARSE("\0"
			       "3.11.1",
			       &v),
			 -ENOENT);
	assert_int_equal(PARSE("\0"
			       "3.10.1111111111111111",
			       &v),
			 -ENOENT);
}

static void a_cut_text_is_not_taken_for_a_whole_one(void **state unused_arg)
{
	static const char text[] = "\0"
				   "3.10.13rc1";
	uint32_t v;

	for (size_t n = 0; n < sizeof(text); n++)
		assert_int_equal(parse(text, n, &v), -ENOENT);
	assert_int_equal(parse(text, sizeof(text), &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_stands_alone_between_two_ends),
		cmocka_unit_test(a_cut_text_is_not_taken_for_a_whole_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
