/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <errno.h>

#include "tests/support/test.h"

static void a_message_comes_with_its_code(void **state unused_arg)
{
	struct error err;

	assert_int_equal(error_set(&err, -EINVAL, "bad '%s'", "x"), -EINVAL);
	assert_string_equal(err.msg, "bad 'x'");
	assert_int_equal(error_sys(&err, -ENOENT, "cannot open '%s'", "f"), -ENOENT);
	assert_string_equal(err.msg, "cannot open 'f': No such file or directory");
	error_wrap(&err, "host %d", 7);
	assert_string_equal(err.msg, "host 7: cannot open 'f': No such file or directory");
}

static void nobody_need_listen(void **state unused_arg)
{
	assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(error_sys(NULL, -EIO, "x"), -EIO);
	error_wrap(NULL, "x");
}

static void long_messages_are_cut_at_the_end(void **state unused_arg)
{
	char text[2000];
	struct error err = {.msg = "inner"};

	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t room = 0; room < 12; room++) {
		size_t n = sizeof(err.msg) - 1 - room;

		error_set(&err, -1, "inner");
		error_wrap(&err, "%.*s", (int)n, text);
		assert_true(strlen(err.msg) < sizeof(err.msg));
		assert_int_equal(strspn(err.msg, "y"), n);
		error_sys(&err, -EIO, "%.*s", (int)n, text);
		assert_true(strlen(err.msg) < sizeof(err.msg));
	}
	assert_int_equal(error_set(&err, -1, "%s", text), -1);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	error_wrap(&err, "out");
	assert_int_equal(strncmp(err.msg, "out: yyy", 8), 0);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_with_its_code),
		cmocka_unit_test(nobody_need_listen),
		cmocka_unit_test(long_messages_are_cut_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
