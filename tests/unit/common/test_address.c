/* SPDX-License-Identifier: Apache-2.0 */
#include "common/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/judge.h"
#include "tests/support/test.h"

static void an_address_is_taken_apart(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *host;
		uint16_t port;
	} good[] = {
		{"c.example:7421", "c.example", 7421},
		{"192.0.2.1:1", "192.0.2.1", 1},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
		{"[::]:0", "::", 0},
		{":7420", "", 7420},
		{"c:0", "c", 0},
	};
	char host[ADDRESS_HOST_SIZE];
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(address_parse(good[i].text, host, &port), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
		assert_null(judge_address(good[i].text));
	}
}

static void what_is_no_address_is_refused(void **state unused_arg)
{
	static const char *const bad[] = {
		"",       "c",     "c:",   ":",       "c:65536",
		"c:-1",   "c:+1",  "c:1x", "c:x",     "::1:5",
		"[::1:5", "[]:5",  "[",    "[::1]5",  "a b:5",
		"a/b:5",  "u@h:5", "c: 5", "[a b]:5", "c:99999999999999999999",
	};
	char host[ADDRESS_HOST_SIZE] = "kept";
	uint16_t port = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(address_parse(bad[i], host, &port), -EINVAL);
		assert_string_equal(judge_address(bad[i]), "address:port");
	}
	assert_string_equal(host, "kept");
	assert_int_equal(port, 7);
}

static void the_longest_host_fits(void **state unused_arg)
{
	char text[ADDRESS_HOST_SIZE + 8];
	char host[ADDRESS_HOST_SIZE];
	uint16_t port;

	memset(text, 'h', sizeof(text));
	memcpy(text + ADDRESS_HOST_SIZE, ":1", 3);
	assert_int_equal(address_parse(text, host, &port), -EINVAL);
	assert_int_equal(address_parse(text + 1, host, &port), 0);
	assert_int_equal(strlen(host), ADDRESS_HOST_SIZE - 1);
}

static void words_and_paths_are_judged(void **state unused_arg)
{
	assert_null(judge_path("/x"));
	assert_non_null(judge_path(""));
	assert_non_null(judge_path("x"));
	assert_null(judge_path_or_none(""));
	assert_non_null(judge_path_or_none("x"));
	assert_null(judge_log_level("warn"));
	assert_non_null(judge_log_level("WARN"));
	assert_non_null(judge_log_level(""));
	assert_null(judge_log_format("json"));
	assert_non_null(judge_log_format("jso"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_taken_apart),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(the_longest_host_fits),
		cmocka_unit_test(words_and_paths_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
