/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/snapshot_diff.h"

#include <errno.h>

#include "tests/support/test.h"

static char *diff(enum snapshot_kind kind, const char *now, const char *base, size_t top)
{
	json_t *rows = NULL;
	struct error err;
	char *text;

	assert_int_equal(snapshot_diff_rows(snapshot_layout(kind), now, base, top, &rows, &err), 0);
	text = json_dumps(rows, JSON_COMPACT);
	json_decref(rows);
	return text;
}

static void what_grew_comes_first(void **state unused_arg)
{
	char *text = diff(SNAPSHOT_REFERRERS,
			  "[{\"chain\":\"a\",\"through\":null,\"objects\":3},"
			  "{\"chain\":\"b\",\"through\":\"list of 7\",\"objects\":9}]",
			  "[{\"chain\":\"c\",\"through\":null,\"objects\":2},"
			  "{\"chain\":\"b\",\"through\":\"list of 5\",\"objects\":4}]",
			  10);

	assert_string_equal(
		text, "[{\"chain\":\"b\",\"through\":\"list of 7\",\"in\":\"both\",\"objects\":9,"
		      "\"objects_growth\":5},"
		      "{\"chain\":\"a\",\"through\":null,\"in\":\"new\",\"objects\":3,\"objects_"
		      "growth\":3},"
		      "{\"chain\":\"c\",\"through\":null,\"in\":\"gone\",\"objects\":null,"
		      "\"objects_growth\":-2}]");
	free(text);
}

static void names_that_need_it_are_told_apart_by_what_is_about_them(void **state unused_arg)
{
	static const char now[] =
		"[{\"held_by\":\"m\",\"type\":\"dict\",\"bytes\":5,\"own_bytes\":1,\"objects\":1,"
		"\"length\":1},"
		"{\"held_by\":\"m\",\"type\":\"list\",\"bytes\":7,\"own_bytes\":1,\"objects\":1,"
		"\"length\":1},"
		"{\"held_by\":\"m\",\"type\":\"list\",\"bytes\":2,\"own_bytes\":1,\"objects\":1,"
		"\"length\":1}]";
	char *text = diff(SNAPSHOT_SIZES, now, "[]", 1);

	/* two of the same name are added up, and one row was wanted */
	assert_string_equal(text,
			    "[{\"held_by\":\"m\",\"type\":\"list\",\"in\":\"new\",\"bytes\":9,"
			    "\"bytes_growth\":9,\"own_bytes\":2,\"own_bytes_growth\":2,"
			    "\"objects\":2,\"objects_growth\":2,\"length\":2,"
			    "\"length_growth\":2}]");
	free(text);
}

static void what_is_no_list_of_rows_is_refused(void **state unused_arg)
{
	static const char *const bad[] = {"", "{}", "[", "7"};
	json_t *rows = NULL;
	struct error err;
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(snapshot_diff_rows(snapshot_layout(SNAPSHOT_SIZES), bad[i], "[]",
						    5, &rows, &err),
				 -EBADMSG);
		assert_int_equal(snapshot_diff_rows(snapshot_layout(SNAPSHOT_SIZES), "[]", bad[i],
						    5, &rows, &err),
				 -EBADMSG);
	}
	text = diff(SNAPSHOT_SIZES, "[1, null, {}, {\"held_by\": 3}]", "[]", 5);
	assert_string_equal(text, "[]");
	free(text);
}

static void what_is_beyond_64_bits_is_the_last_number_before(void **state unused_arg)
{
	static const char most[] = "[{\"chain\":\"a\",\"objects\":9223372036854775807},"
				   "{\"chain\":\"a\",\"objects\":9223372036854775807}]";
	static const char least[] = "[{\"chain\":\"a\",\"objects\":-9223372036854775808},"
				    "{\"chain\":\"a\",\"objects\":-1}]";
	char *text = diff(SNAPSHOT_REFERRERS, most, least, 10);

	assert_string_equal(text, "[{\"chain\":\"a\",\"through\":null,\"in\":\"both\","
				  "\"objects\":9223372036854775807,"
				  "\"objects_growth\":9223372036854775807}]");
	free(text);
	text = diff(SNAPSHOT_REFERRERS, least, most, 10);
	assert_string_equal(text, "[{\"chain\":\"a\",\"through\":null,\"in\":\"both\","
				  "\"objects\":-9223372036854775808,"
				  "\"objects_growth\":-9223372036854775808}]");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_grew_comes_first),
		cmocka_unit_test(what_is_beyond_64_bits_is_the_last_number_before),
		cmocka_unit_test(names_that_need_it_are_told_apart_by_what_is_about_them),
		cmocka_unit_test(what_is_no_list_of_rows_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
