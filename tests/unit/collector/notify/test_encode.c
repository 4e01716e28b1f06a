/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/encode.h"

#include "tests/support/test.h"

static void header_is(const char *value, const char *line)
{
	auto_buf struct buf b = BUF_INIT(4096);

	encode_header(&b, "Subject", value);
	assert_int_equal(buf_status(&b), 0);
	assert_string_equal((char *)b.data, line);
}

static void a_plain_header_stays_plain(void **state unused_arg)
{
	header_is("memory leak (INC-42)", "Subject: memory leak (INC-42)\r\n");
	header_is("", "Subject: \r\n");
}

static void a_header_never_breaks_its_line(void **state unused_arg)
{
	header_is("x) R 1 \n<script>", "Subject: x) R 1 \\x0a<script>\r\n");
	header_is("a\r\nBcc: b@c", "Subject: a\\x0d\\x0aBcc: b@c\r\n");
}

static void other_scripts_and_lookalikes_become_encoded_words(void **state unused_arg)
{
	header_is("größer", "Subject: =?UTF-8?B?Z3LDtsOfZXI=?=\r\n");
	header_is("=?UTF-8?B?eA==?=", "Subject: =?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=\r\n");
	header_is(" led", "Subject: =?UTF-8?B?IGxlZA==?=\r\n");
}

/* Undoes RFC 2047 as a reader would, after checking each line. */
static size_t decode_words(const char *line, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	while (*line) {
		const char *end = strstr(line, "\r\n");
		const char *word = strstr(line, "=?UTF-8?B?");
		unsigned bits = 0, have = 0;

		assert_non_null(end);
		assert_true(end - line <= 76);
		assert_non_null(word);
		assert_true(end - word <= 75);
		for (word += 10; *word != '?' && *word != '='; word++) {
			bits = bits << 6 | (unsigned)(strchr(digits, *word) - digits);
			have += 6;
			if (have >= 8) {
				have -= 8;
				out[n++] = (char)(bits >> have);
			}
		}
		/* each word is whole characters */
		assert_true(n == 0 || ((unsigned char)out[n - 1] & 0xc0) != 0xc0);
		line = end + 2;
		assert_true(!*line || *line == ' ');
	}
	out[n] = '\0';
	return n;
}

static void long_text_is_cut_at_whole_characters(void **state unused_arg)
{
	for (size_t pad = 0; pad < 4; pad++) {
		auto_buf struct buf b = BUF_INIT(8192);
		char text[600] = "", back[1200];

		memset(text, 'a', pad);
		for (size_t i = 0; i < 40; i++)
			strcat(text, "€ß漢🐑");
		encode_header(&b, "X-Memherd-Host", text);
		decode_words((char *)b.data, back);
		assert_string_equal(back, text);
	}
}

static void qp_is(const char *text, const char *coded)
{
	auto_buf struct buf b = BUF_INIT(4096);

	encode_quoted_printable(&b, text, strlen(text));
	assert_string_equal((char *)b.data, coded);
}

static void quoted_printable_follows_rfc_2045(void **state unused_arg)
{
	qp_is("a\nb", "a\r\nb\r\n");
	qp_is("a\r\nb\r\n", "a\r\nb\r\n");
	qp_is("1=2", "1=3D2\r\n");
	qp_is("ends \nx\t\n", "ends=20\r\nx=09\r\n");
	qp_is("in between\tis fine", "in between\tis fine\r\n");
	qp_is("ß", "=C3=9F\r\n");
	qp_is("a\rb", "a=0Db\r\n");
	qp_is(".\nnext", "=2E\r\nnext\r\n");
}

static void no_line_is_longer_than_76_and_none_begins_with_a_dot(void **state unused_arg)
{
	char text[1024];
	auto_buf struct buf b = BUF_INIT(8192);

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 3 ? '.' : (char)(unsigned char)(i % 256);
	encode_quoted_printable(&b, text, sizeof(text));
	for (const char *s = (char *)b.data; *s;) {
		const char *end = strstr(s, "\r\n");

		assert_non_null(end);
		assert_true(end - s <= 76);
		assert_true(*s != '.');
		s = end + 2;
	}
}

static void html_is_inert_and_bounded(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);

	encode_html(&b, "<script>\"'&\n", 100);
	assert_string_equal((char *)b.data, "&lt;script&gt;&quot;&#39;&amp;\\x0a");
	buf_reset(&b);
	encode_html(&b, "ßßß", 3);
	assert_string_equal((char *)b.data, "ß...");
	buf_reset(&b);
	encode_html(&b, NULL, 3);
	assert_int_equal(b.len, 0);
}

static void addresses_are_judged(void **state unused_arg)
{
	static const char *const good[] = {"a@b", "ops+mem@example.com", "x.y@b-c.d"};
	static const char *const bad[] = {"",      "a",      "@b",    "a@",    "a@b@c",   "a b@c",
					  "a@b\r", "a@b\nx", "<a@b>", "a,b@c", "\"a\"@b", "ä@b"};
	char longer[300];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(encode_is_address(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(encode_is_address(bad[i]));
	memset(longer, 'a', sizeof(longer));
	longer[10] = '@';
	longer[sizeof(longer) - 1] = '\0';
	assert_false(encode_is_address(longer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_header_stays_plain),
		cmocka_unit_test(a_header_never_breaks_its_line),
		cmocka_unit_test(other_scripts_and_lookalikes_become_encoded_words),
		cmocka_unit_test(long_text_is_cut_at_whole_characters),
		cmocka_unit_test(quoted_printable_follows_rfc_2045),
		cmocka_unit_test(no_line_is_longer_than_76_and_none_begins_with_a_dot),
		cmocka_unit_test(html_is_inert_and_bounded),
		cmocka_unit_test(addresses_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
