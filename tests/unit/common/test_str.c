/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

#include <errno.h>

#include "tests/support/test.h"

static void copies_end_and_say_when_they_cut(void **state unused_arg)
{
	char out[4];

	assert_true(str_copy(out, sizeof(out), "abc"));
	assert_string_equal(out, "abc");
	assert_false(str_copy(out, sizeof(out), "abcd"));
	assert_string_equal(out, "abc");
	assert_false(str_copy(out, 1, "abcd"));
	assert_string_equal(out, "");
	assert_false(str_copy(out, 0, "x"));
}

static void ends_and_trims(void **state unused_arg)
{
	char text[] = " \t a b\r\n";
	char blank[] = " \n";

	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("a", "ab"));
	assert_true(str_ends("abc", "bc"));
	assert_false(str_ends("c", "bc"));
	assert_string_equal(str_trim(text), "a b");
	assert_string_equal(str_trim(blank), "");
}

static void hostile_bytes_become_visible_text(void **state unused_arg)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{"plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x91", 17,
		 "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x91"},
		{"a\0b", 3, "a\\x00b"},
		{"\x1b[2J\n\x7f", 6, "\\x1b[2J\\x0a\\x7f"},
		{"\xff\xfe", 2, "\\xff\\xfe"},
		{"\xc0\xaf", 2, "\\xc0\\xaf"},                   /* overlong */
		{"\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf"},          /* overlong */
		{"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},          /* surrogate */
		{"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
		{"\xc2\x9b", 2, "\\xc2\\x9b"},                   /* C1: CSI */
		{"\xe2\x82", 2, "\\xe2\\x82"},                   /* cut */
		{"\xe2\x28\xa1", 3, "\\xe2(\\xa1"},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = str_safe(out, sizeof(out), cases[i].in, cases[i].len);

		assert_string_equal(out, cases[i].out);
		assert_int_equal(n, strlen(out));
		assert_true(str_is_safe(out, n));
		assert_int_equal(str_is_safe(cases[i].in, cases[i].len), i == 0);
	}
}

static void safe_text_is_cut_at_a_whole_character(void **state unused_arg)
{
	char out[8];

	for (size_t size = 1; size <= sizeof(out); size++) {
		size_t n = str_safe(out, size, "\xe2\x82\xac\xff", 4);

		assert_int_equal(n, size > 7 ? 7 : size > 3 ? 3 : 0);
		assert_true(str_is_safe(out, n));
	}
	assert_int_equal(str_safe(out, 0, "x", 1), 0);
}

static void whole_numbers_are_whole(void **state unused_arg)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "0x10", "ten", "--1"};
	int64_t v;

	assert_int_equal(str_parse_int("-9223372036854775808", &v), 0);
	assert_int_equal(v, INT64_MIN);
	assert_int_equal(str_parse_int("9223372036854775808", &v), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(str_parse_int(bad[i], &v), -EINVAL);
}

static void truth_has_eight_words(void **state unused_arg)
{
	bool v = false;

	assert_int_equal(str_parse_bool("Yes", &v), 0);
	assert_true(v);
	assert_int_equal(str_parse_bool("off", &v), 0);
	assert_false(v);
	assert_int_equal(str_parse_bool("y", &v), -EINVAL);
	assert_int_equal(str_parse_bool("", &v), -EINVAL);
}

static void bytes_are_1024_based(void **state unused_arg)
{
	static const char *const bad[] = {"",     "12 parsecs", "-1",  "inf", "nan",
					  "0x10", "1e",         "MiB", ".5M"};
	int64_t v;

	assert_int_equal(str_parse_bytes("512MiB", &v), 0);
	assert_int_equal(v, 512 << 20);
	assert_int_equal(str_parse_bytes("1.5K", &v), 0);
	assert_int_equal(v, 1536);
	assert_int_equal(str_parse_bytes("2 gb", &v), 0);
	assert_int_equal(v, 2LL << 30);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(str_parse_bytes(bad[i], &v), -EINVAL);
	assert_int_equal(str_parse_bytes("9000000000T", &v), -ERANGE);
	assert_int_equal(str_parse_bytes("1e999", &v), -ERANGE);
}

static void durations_have_units(void **state unused_arg)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {{"90", 90000000},     {"250ms", 250000},   {"7us", 7},
		    {"1.5h", 5400000000}, {"5min", 300000000}, {"7d", 604800000000}};
	int64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(str_parse_duration(good[i].text, &v), 0);
		assert_int_equal(v, good[i].us);
	}
	assert_int_equal(str_parse_duration("5 parsecs", &v), -EINVAL);
	assert_int_equal(str_parse_duration("99999999999999d", &v), -ERANGE);
}

static void quantities_are_shown_short(void **state unused_arg)
{
	char t[STR_UNIT_SIZE];

	assert_string_equal(str_bytes(t, 17), "17 B");
	assert_string_equal(str_bytes(t, 512 << 20), "512 MiB");
	assert_string_equal(str_bytes(t, 1610612736), "1.5 GiB");
	assert_string_equal(str_bytes(t, -2048), "-2 KiB");
	assert_string_equal(str_bytes(t, INT64_MAX), "8192 PiB");
	assert_string_equal(str_bytes(t, INT64_MIN), "-8192 PiB");
	assert_string_equal(str_duration(t, 250000), "250 ms");
	assert_string_equal(str_duration(t, 12000000), "12 s");
	assert_string_equal(str_duration(t, 41LL * 60 * 1000000), "41 min");
	assert_string_equal(str_duration(t, 11520LL * 1000000), "3.2 h");
	assert_string_equal(str_duration(t, 5LL * 86400 * 1000000), "5 d");
	assert_true(strlen(str_duration(t, INT64_MAX)) < sizeof(t));
}

static void times_are_rfc_3339(void **state unused_arg)
{
	static const char *const bad[] = {"",
					  "2026",
					  "2026-11-23",
					  "2026-11-23T01:02:03",
					  "2026-11-23 01:02:03Z",
					  "2026-13-01T00:00:00Z",
					  "2026-11-31T00:00:00Z",
					  "2026-11-23T24:00:00Z",
					  "2026-11-23T01:02:03X",
					  "2026-11-23T01:02:03+1:00",
					  "2026-11-23T01:02:03+01:00x",
					  "2026-11-23T01:02:03+25:00",
					  " 026-11-23T01:02:03Z",
					  "2026-+1-23T01:02:03Z",
					  "-6 parsecs",
					  "6h"};
	char t[STR_TIME_SIZE];
	int64_t v;

	assert_int_equal(str_parse_time("2026-11-23T01:02:03.004Z", 0, &v), 0);
	assert_string_equal(str_time(t, v), "2026-11-23T01:02:03.004Z");
	assert_int_equal(str_parse_time("2026-11-23T03:32:03.0041239+02:30", 0, &v), 0);
	assert_string_equal(str_time(t, v), "2026-11-23T01:02:03.004Z");
	assert_int_equal(str_parse_time("1969-12-31T23:59:59.5Z", 0, &v), 0);
	assert_int_equal(v, -500000);
	assert_string_equal(str_time(t, v), "1969-12-31T23:59:59.500Z");
	assert_int_equal(str_parse_time("-6h", 6LL * 3600 * 1000000 + 5, &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(str_parse_time("now", 77, &v), 0);
	assert_int_equal(v, 77);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (str_parse_time(bad[i], 0, &v) != -EINVAL)
			fail_msg("'%s' was taken for a time", bad[i]);
	assert_true(strlen(str_time(t, INT64_MAX)) < sizeof(t));
	assert_true(strlen(str_time(t, INT64_MIN)) < sizeof(t));
}

static void hex_is_exact(void **state unused_arg)
{
	uint8_t raw[3];
	char out[7];

	assert_int_equal(str_unhex(raw, 3, "00fFa5"), 0);
	str_hex(out, raw, 3);
	assert_string_equal(out, "00ffa5");
	assert_int_equal(str_unhex(raw, 3, "00ffa"), -EINVAL);
	assert_int_equal(str_unhex(raw, 3, "00ffa5a"), -EINVAL);
	assert_int_equal(str_unhex(raw, 3, "00ffg5"), -EINVAL);
}

/* RFC 4648, section 10, without padding; and the two digits that differ from plain base64. */
static void base64url_is_rfc_4648s(void **state unused_arg)
{
	static const char *const texts[] = {"",       "Zg",      "Zm8",     "Zm9v",
					    "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
	static const char *const bad[] = {"Z", "Zg==", "Zh", "Zm9", "Z g", "Zm+v", "Zm/v", "\xff"};
	uint8_t raw[8];
	char out[16];

	for (size_t n = 0; n < ARRAY_SIZE(texts); n++) {
		assert_int_equal(str_b64url(out, sizeof(out), "foobar", n), strlen(texts[n]));
		assert_string_equal(out, texts[n]);
		assert_int_equal(str_unb64url(raw, sizeof(raw), texts[n]), n);
		assert_memory_equal(raw, "foobar", n);
		assert_int_equal(str_b64url(out, strlen(texts[n]), "foobar", n), -ENOSPC);
	}
	assert_int_equal(str_b64url(out, sizeof(out), "\xfb\xff", 2), 3);
	assert_string_equal(out, "-_8");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(str_unb64url(raw, sizeof(raw), bad[i]), -EINVAL);
	assert_int_equal(str_unb64url(raw, 5, "Zm9vYmFy"), -ENOSPC);
}

static void uuids_have_one_form(void **state unused_arg)
{
	static const char text[] = "0123abcd-4567-89ab-cdef-00112233ffff";
	static const char *const bad[] = {"", "0123abcd-4567-89ab-cdef-00112233fff",
					  "0123abcd4567-89ab-cdef-00112233ffff-",
					  "0123abcd-4567-89ab-cdef-00112233fffg",
					  "0123abcd-4567-89ab-cdef-00112233ffff0"};
	char out[UUID_TEXT_SIZE];
	uint8_t uuid[16];

	assert_int_equal(uuid_parse(uuid, text), 0);
	uuid_text(out, uuid);
	assert_string_equal(out, text);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(uuid_parse(uuid, bad[i]), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_end_and_say_when_they_cut),
		cmocka_unit_test(ends_and_trims),
		cmocka_unit_test(hostile_bytes_become_visible_text),
		cmocka_unit_test(safe_text_is_cut_at_a_whole_character),
		cmocka_unit_test(whole_numbers_are_whole),
		cmocka_unit_test(truth_has_eight_words),
		cmocka_unit_test(bytes_are_1024_based),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(quantities_are_shown_short),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(hex_is_exact),
		cmocka_unit_test(base64url_is_rfc_4648s),
		cmocka_unit_test(uuids_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
