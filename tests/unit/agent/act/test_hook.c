/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/hook.h"

#include <errno.h>
#include <signal.h>

#include "tests/support/test.h"

static const struct {
	const char *word;
	const char *value;
	const char *text; /* NULL: refused */
} rows[] = {
	{"signal", "USR1", "SIGUSR1"},
	{"signal", "SIGUSR2", "SIGUSR2"},
	{"signal", "HUP", "SIGHUP"},
	{"signal", "RTMIN+0", "SIGRTMIN+0"},
	{"signal", "SIGRTMIN+5", "SIGRTMIN+5"},
	{"signal", "RTMIN+31", NULL},
	{"signal", "RTMIN+-1", NULL},
	{"signal", "RTMIN", NULL},
	{"signal", "TERM", NULL},
	{"signal", "KILL", NULL},
	{"signal", "10", NULL},
	{"signal", "usr1", NULL},
	{"signal", "", NULL},
	{"http", "127.0.0.1:9000/shed", "POST http://127.0.0.1:9000/shed"},
	{"http", "[::1]:80/", "POST http://[::1]:80/"},
	{"http", "127.0.0.1:9000/a?b=c", "POST http://127.0.0.1:9000/a?b=c"},
	{"http", "127.0.0.1:9000", NULL},
	{"http", "127.0.0.1/shed", NULL},
	{"http", "127.0.0.1:0/shed", NULL},
	{"http", "127.0.0.1:65536/shed", NULL},
	{"http", "127.0.0.1:+9/shed", NULL},
	{"http", "127.0.0.1: 9/shed", NULL},
	{"http", "127.0.0.2:9/shed", NULL},
	{"http", "0.0.0.0:9/shed", NULL},
	{"http", "localhost:9/shed", NULL},
	{"http", "127.0.0.1.evil.example:9/shed", NULL},
	{"http", "http://127.0.0.1:9/shed", NULL},
	{"http", "127.0.0.1:9/a\r\nX: y", NULL},
	{"http", "127.0.0.1:9/a b", NULL},
	{"unix", "/run/shop.sock:/shed", "POST /shed to '/run/shop.sock'"},
	{"unix", "run/shop.sock:/shed", NULL},
	{"unix", "/run/shop.sock", NULL},
	{"unix", "/run/shop.sock:shed", NULL},
	{"unix", "/:/shed", NULL},
	{"unix", ":/shed", NULL},
};

static void what_is_a_hook_and_what_is_none(void **state unused_arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum hook_kind kind = hook_find(rows[i].word, strlen(rows[i].word));
		char text[HOOK_SOCKET_SIZE + HOOK_PATH_SIZE + 32];
		struct hook h = {.kind = HOOK_NONE};
		struct error err = {""};
		int rc = hook_parse(kind, rows[i].value, &h, &err);

		if (rc != (rows[i].text ? 0 : -EINVAL))
			fail_msg("%s=%s: %d %s", rows[i].word, rows[i].value, rc, err.msg);
		if (rc == 0)
			assert_string_equal(hook_text(text, &h), rows[i].text);
		else
			assert_says(err, "expected");
		if (rc < 0)
			assert_int_equal(h.kind, HOOK_NONE);
	}
}

static void what_is_too_long_is_refused(void **state unused_arg)
{
	char value[400] = "127.0.0.1:9/";
	struct error err = {""};
	struct hook h;

	memset(value + strlen(value), 'a', 300);
	assert_int_equal(hook_parse(HOOK_HTTP, value, &h, &err), -EINVAL);
	memset(value, 'a', 300);
	value[0] = '/';
	memcpy(value + 300, ":/x", 4);
	assert_int_equal(hook_parse(HOOK_UNIX, value, &h, &err), -EINVAL);
}

static void words_are_whole(void **state unused_arg)
{
	assert_int_equal(hook_find("http", 4), HOOK_HTTP);
	assert_int_equal(hook_find("http", 3), HOOK_NONE);
	assert_int_equal(hook_find("https", 5), HOOK_NONE);
	assert_int_equal(hook_find("", 0), HOOK_NONE);
}

static void a_signal_is_caught_by_its_bit(void **state unused_arg)
{
	static const char text[] = "Name:\tx\nSigIgn:\tffffffffffffffff\n"
				   "SigCgt:\t8000000200000200\nCapInh:\t0\n";

	assert_true(hook_is_caught(text, SIGUSR1)); /* 10 */
	assert_false(hook_is_caught(text, SIGUSR2));
	assert_true(hook_is_caught(text, 34));
	assert_true(hook_is_caught(text, 64));
	assert_false(hook_is_caught(text, 65));
	assert_false(hook_is_caught(text, 0));
	assert_false(hook_is_caught("", SIGUSR1));
	assert_false(hook_is_caught("\nSigCgt:\tzz\n", SIGUSR1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_hook_and_what_is_none),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(words_are_whole),
		cmocka_unit_test(a_signal_is_caught_by_its_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
