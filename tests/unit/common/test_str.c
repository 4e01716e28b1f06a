/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

#include "tests/support/test.h"

static void bytes_are_1024_based(void **state unused_arg)
{
	int64_t v;

	assert_int_equal(str_parse_bytes("512MiB", &v), 0);
	assert_int_equal(v, 512 << 20);
	assert_int_equal(str_parse_bytes("1.5K", &v), 0);
	assert_int_equal(v, 1536);
	assert_true(str_parse_bytes("12 parsecs", &v) < 0);
	assert_true(str_parse_bytes("", &v) < 0);
	assert_true(str_parse_bytes("-1", &v) < 0);
	assert_true(str_parse_bytes("inf", &v) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_1024_based)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
