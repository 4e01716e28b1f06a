/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/partition.h"

#include "common/str.h"
#include "tests/support/test.h"

static int64_t at(const char *text)
{
	int64_t t;

	assert_int_equal(str_parse_time(text, 0, &t), 0);
	return t;
}

static void leaves_are_whole_hours_days_and_months(void **state unused_arg)
{
	static const struct {
		enum partition_table t;
		const char *in, *start, *end;
	} cases[] = {
		{PARTITION_INBOX, "2026-11-23T02:59:59Z", "2026-11-23T02:00:00Z",
		 "2026-11-23T03:00:00Z"},
		{PARTITION_CHUNK, "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z",
		 "2027-01-01T00:00:00Z"},
		{PARTITION_EVENT, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z",
		 "2027-01-01T00:00:00Z"},
		{PARTITION_ROLLUP_1H, "2028-02-29T00:00:00Z", "2028-02-01T00:00:00Z",
		 "2028-03-01T00:00:00Z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t t = at(cases[i].in);

		assert_int_equal(partition_start(cases[i].t, t), at(cases[i].start));
		assert_int_equal(partition_end(cases[i].t, t), at(cases[i].end));
		assert_int_equal(partition_start(cases[i].t, partition_end(cases[i].t, t)),
				 partition_end(cases[i].t, t));
	}
}

static void known_leaves_are_remembered(void **state unused_arg)
{
	static struct partitions p;
	int64_t hour = 3600LL * 1000000;

	assert_false(partition_known(&p, PARTITION_INBOX, 5 * hour));
	for (int i = 1; i <= PARTITION_KNOWN_MAX + 5; i++)
		partition_remember(&p, PARTITION_INBOX, i * hour + 17);
	assert_true(partition_known(&p, PARTITION_INBOX, 100 * hour));
	assert_false(partition_known(&p, PARTITION_INBOX, 1 * hour)); /* asked again, that is all */
	assert_false(partition_known(&p, PARTITION_CHUNK, 100 * hour));
	partition_forget(&p, PARTITION_INBOX, 101 * hour);
	assert_false(partition_known(&p, PARTITION_INBOX, 100 * hour));
	assert_true(partition_known(&p, PARTITION_INBOX, 101 * hour));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_whole_hours_days_and_months),
		cmocka_unit_test(known_leaves_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
