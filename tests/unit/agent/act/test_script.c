/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/script.h"

#include "tests/support/test.h"

static void values_are_found_by_name(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(SCRIPT_ANSWER);
	char value[16];

	assert_null(script_value(&b, "found", value, sizeof(value)));
	buf_puts(&b, "founder\t1\nfound\t7\nfound\t8\nempty\t\nlong\t0123456789abcdefgh\nbad\t\x1b["
		     "2J\nlast\tx");
	buf_putc(&b, 0);
	b.len--;
	assert_string_equal(script_value(&b, "found", value, sizeof(value)), "7");
	assert_string_equal(script_value(&b, "empty", value, sizeof(value)), "");
	assert_string_equal(script_value(&b, "last", value, sizeof(value)), "x");
	assert_string_equal(script_value(&b, "long", value, sizeof(value)), "0123456789abcde");
	assert_string_equal(script_value(&b, "bad", value, sizeof(value)), "\\x1b[2J");
	assert_null(script_value(&b, "none", value, sizeof(value)));
	assert_null(script_value(&b, "foun", value, sizeof(value)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
