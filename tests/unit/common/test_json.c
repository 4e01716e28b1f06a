/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include <math.h>

#include "tests/support/test.h"

static void commas_and_nesting(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(1000);
	struct json_writer w;

	jw_init(&w, &b);
	jw_object(&w);
	jw_k_int(&w, "a", INT64_MIN);
	jw_key(&w, "b");
	jw_array(&w);
	jw_array(&w);
	jw_array_end(&w);
	jw_num(&w, 0.5);
	jw_num(&w, NAN);
	jw_num(&w, -INFINITY);
	jw_num(&w, 3);
	jw_array_end(&w);
	jw_k_id(&w, "c", 4611686018427387905);
	jw_k_raw(&w, "d", "");
	jw_k_time(&w, "e", 0);
	jw_k_bool(&w, "f", true);
	jw_object_end(&w);
	assert_string_equal(b.data,
			    "{\"a\":-9223372036854775808,\"b\":[[],0.5,null,null,3],"
			    "\"c\":\"4611686018427387905\",\"d\":null,\"e\":null,\"f\":true}");
}

static void any_bytes_become_text(void **state unused_arg)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} rows[] = {
		{"a\"\\\n\t\x01", 6, "\"a\\\"\\\\\\n\\t\\u0001\""},
		{"\xc3\xa9\xf0\x9f\x90\x8f", 6, "\"\xc3\xa9\xf0\x9f\x90\x8f\""},
		{"\xc0\x80", 2, "\"\\ufffd\\ufffd\""},
		{"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xf0\x9f", 2, "\"\\ufffd\\ufffd\""},
		{"</script>&", 10, "\"\\u003c/script\\u003e\\u0026\""},
		{"\0", 1, "\"\\u0000\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT(200);
		struct json_writer w;

		jw_init(&w, &b);
		jw_strn(&w, rows[i].in, rows[i].len);
		assert_string_equal(b.data, rows[i].out);
	}
}

static void a_full_buffer_says_so(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(8);
	struct json_writer w;

	jw_init(&w, &b);
	jw_str(&w, "far too long for it");
	assert_int_equal(buf_status(&b), -105);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_and_nesting),
		cmocka_unit_test(any_bytes_become_text),
		cmocka_unit_test(a_full_buffer_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
