/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/token.h"

#include <errno.h>

#include "common/str.h"
#include "tests/support/test.h"

static struct token sample(void)
{
	struct token t = {.host = "collector.example", .port = 7422};

	for (size_t i = 0; i < 32; i++) {
		t.pin[i] = (uint8_t)i;
		t.secret[i] = (uint8_t)(255 - i);
	}
	return t;
}

static void what_is_formatted_is_parsed(void **state unused_arg)
{
	static const char *const hosts[] = {"a", "collector.example", "192.0.2.7", "2001:db8::7",
					    "fe80::1%eth0"};
	char text[TOKEN_TEXT_SIZE];
	char framed[TOKEN_TEXT_SIZE + 8];

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct token t = sample();
		struct token back;

		str_copy(t.host, sizeof(t.host), hosts[i]);
		assert_true(token_format(&t, text) > 0);
		assert_true(str_starts(text, "mh1."));
		snprintf(framed, sizeof(framed), " \t%s\r\n", text);
		assert_int_equal(token_parse(framed, &back, NULL), 0);
		assert_string_equal(back.host, hosts[i]);
		assert_int_equal(back.port, 7422);
		assert_memory_equal(back.pin, t.pin, 32);
		assert_memory_equal(back.secret, t.secret, 32);
	}
}

static void the_longest_host_fits(void **state unused_arg)
{
	struct token t = sample();
	struct token back;
	char text[TOKEN_TEXT_SIZE];

	memset(t.host, 'h', TOKEN_HOST_MAX);
	t.host[TOKEN_HOST_MAX] = '\0';
	assert_true(token_format(&t, text) > 0);
	assert_int_equal(token_parse(text, &back, NULL), 0);
	assert_string_equal(back.host, t.host);
}

static void bad_hosts_and_ports_get_no_token(void **state unused_arg)
{
	static const char *const hosts[] = {"", "a b", "a/b", "a\nb", "a;rm", "\xc3\xa9"};
	char text[TOKEN_TEXT_SIZE];
	struct token t = sample();

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		str_copy(t.host, sizeof(t.host), hosts[i]);
		assert_int_equal(token_format(&t, text), -EINVAL);
	}
	t = sample();
	t.port = 0;
	assert_int_equal(token_format(&t, text), -EINVAL);
}

static void a_cut_token_is_refused_everywhere(void **state unused_arg)
{
	struct token t = sample();
	struct token back;
	struct error err;
	char text[TOKEN_TEXT_SIZE];
	int n = token_format(&t, text);

	for (int len = 0; len < n; len++) {
		char part[TOKEN_TEXT_SIZE];

		memcpy(part, text, (size_t)len);
		part[len] = '\0';
		err.msg[0] = '\0';
		assert_int_equal(token_parse(part, &back, &err), -EINVAL);
		assert_true(strlen(err.msg) > 0);
	}
}

static void hostile_texts_are_refused_with_a_reason(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{"", "empty"},           {" \n", "empty"},          {"hello", "begin with 'mh1.'"},
		{"mh1.", "version"},     {"mh1.!!!!", "base64url"}, {"mh1.AgA", "version 2"},
		{"mh1.AQ", "cut short"}, {"mh1.Af8", "cut short"},
	};
	struct token back;
	struct error err;
	char huge[4096];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		err.msg[0] = '\0';
		assert_int_equal(token_parse(cases[i].text, &back, &err), -EINVAL);
		assert_says(err, cases[i].says);
	}
	memset(huge, 'A', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	memcpy(huge, "mh1.", 4);
	assert_int_equal(token_parse(huge, &back, &err), -EINVAL);
	assert_says(err, "too long");
}

/* Every byte of a valid token changed in turn: accepted or refused, never another crash; and one
 * more byte at the end is refused. */
static void damaged_bytes_never_crash(void **state unused_arg)
{
	struct token t = sample();
	struct token back;
	struct error err;
	char text[TOKEN_TEXT_SIZE];
	int n = token_format(&t, text);

	for (int i = 0; i < n; i++) {
		char old = text[i];

		for (int c = 1; c < 256; c += 3) {
			text[i] = (char)c;
			if (token_parse(text, &back, &err) == 0)
				assert_true(back.port != 0 && strlen(back.host) > 0);
		}
		text[i] = old;
	}
	memcpy(text + n, "AAAA", 5);
	assert_int_equal(token_parse(text, &back, &err), -EINVAL);
	assert_says(err, "too many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_formatted_is_parsed),
		cmocka_unit_test(the_longest_host_fits),
		cmocka_unit_test(bad_hosts_and_ports_get_no_token),
		cmocka_unit_test(a_cut_token_is_refused_everywhere),
		cmocka_unit_test(hostile_texts_are_refused_with_a_reason),
		cmocka_unit_test(damaged_bytes_never_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
