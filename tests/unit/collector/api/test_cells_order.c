/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/cells.h"

#include <errno.h>

#include "tests/support/test.h"

static const struct cells_list by_number = {.path = "/p",
					    .key = "rss_bytes",
					    .order = CELLS_NUMBER};
static const struct cells_list by_time = {.path = "/a", .key = "opened"};
static const struct cells_list by_id = {.path = "/h",
					.key = "id",
					.order = CELLS_DIGITS,
					.ascending = true};

static int compare(const struct cells_list *list, const char *a, const char *b)
{
	json_t *x = json_loads(a, 0, NULL);
	json_t *y = json_loads(b, 0, NULL);
	int order;

	assert_non_null(x);
	assert_non_null(y);
	order = cells_compare(list, x, y);
	assert_int_equal(cells_compare(list, y, x), -order);
	json_decref(x);
	json_decref(y);
	return order;
}

static void the_largest_number_is_first_and_what_is_not_known_last(void **state unused_arg)
{
	assert_true(compare(&by_number, "{\"rss_bytes\":10}", "{\"rss_bytes\":9.5}") < 0);
	assert_true(compare(&by_number, "{\"rss_bytes\":-1}", "{\"rss_bytes\":null}") < 0);
	assert_int_equal(compare(&by_number, "{\"rss_bytes\":2}", "{\"rss_bytes\":2.0}"), 0);
	assert_int_equal(compare(&by_number, "{\"rss_bytes\":null}", "{}"), 0);
}

static void texts_and_digits_have_their_order(void **state unused_arg)
{
	assert_true(compare(&by_time, "{\"opened\":\"2026-02\"}", "{\"opened\":\"2026-01\"}") < 0);
	assert_true(compare(&by_time, "{\"opened\":\"2026-02\"}", "{\"opened\":7}") < 0);
	assert_true(compare(&by_id, "{\"id\":\"9\"}", "{\"id\":\"10\"}") < 0);
	assert_true(compare(&by_id, "{\"id\":\"10\"}", "{}") < 0);
}

static void check(const struct cells_list *list, const char *answer, const char *says)
{
	json_t *doc = json_loads(answer, 0, NULL);
	struct error err = {""};
	int rc = cells_check(list, doc, &err);

	if (says) {
		assert_int_equal(rc, -EBADMSG);
		assert_says(err, says);
	} else if (rc) {
		fail_msg("'%s': %s", answer, err.msg);
	}
	json_decref(doc);
}

static void an_answer_that_cannot_be_merged_is_told_with_its_row(void **state unused_arg)
{
	check(&by_number, "{\"items\":[]}", NULL);
	check(&by_number,
	      "{\"items\":[{\"rss_bytes\":3},{\"rss_bytes\":3.0},{\"rss_bytes\":null}]}", NULL);
	check(&by_number, "[]", "not what a collector says");
	check(&by_number, "nonsense", "not what a collector says");
	check(&by_number, "{\"items\":{}}", "not what a collector says");
	check(&by_number, "{\"items\":[{\"rss_bytes\":3},7]}", "row 2 of its answer is no object");
	check(&by_number, "{\"items\":[{\"rss_bytes\":3},null]}", "row 2");
	check(&by_number, "{\"items\":[{\"rss_bytes\":\"3\"}]}", "no number as 'rss_bytes'");
	check(&by_number, "{\"items\":[{\"rss_bytes\":true}]}", "no number as 'rss_bytes'");
	check(&by_number, "{\"items\":[{}]}", "no number as 'rss_bytes'");
	check(&by_number, "{\"items\":[{\"rss_bytes\":3},{\"rss_bytes\":4}]}",
	      "row 2 of its answer is out of order");
	check(&by_number, "{\"items\":[{\"rss_bytes\":null},{\"rss_bytes\":4}]}", "out of order");
	/* the lists of before are in an order of their own and may lack it */
	check(&by_time, "{\"items\":[{\"opened\":null},{\"opened\":\"2026\"}]}", NULL);
	check(&by_time, "{\"items\":[[]]}", "row 1 of its answer is no object");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_number_is_first_and_what_is_not_known_last),
		cmocka_unit_test(texts_and_digits_have_their_order),
		cmocka_unit_test(an_answer_that_cannot_be_merged_is_told_with_its_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
