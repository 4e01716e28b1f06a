/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/tracemalloc.h"

#include "tests/support/test.h"

static void fill(struct buf *b, const char *text)
{
	buf_puts(b, text);
	buf_putc(b, 0);
	b->len--;
}

static void sites_are_read_in_their_order(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);
	struct trace_site s;
	const char *at = NULL;
	int64_t total[3];

	fill(&b, "total\t-5\t7\t900\nsite\t100\t2\t300\t4\tapp.py:12\nback\ta.py:1 < b.py:2\n"
		 "site\t50\t-1\t50\t1\tx\x1b.py:3\nsite\tnonsense\nsite\t1\t2\n");
	assert_true(trace_total(&b, total));
	assert_true(total[0] == -5 && total[1] == 7 && total[2] == 900);
	assert_true(trace_next(&b, &at, &s));
	assert_true(s.grew == 100 && s.more == 2 && s.size == 300 && s.count == 4);
	assert_string_equal(s.place, "app.py:12");
	assert_string_equal(s.back, "a.py:1 < b.py:2");
	assert_true(trace_next(&b, &at, &s));
	assert_string_equal(s.place, "x\\x1b.py:3");
	assert_string_equal(s.back, "");
	assert_false(trace_next(&b, &at, &s));
	assert_false(trace_next(&b, &at, &s));
}

static void nothing_is_nothing(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);
	struct trace_site s;
	const char *at = NULL;
	int64_t total[3];

	assert_false(trace_next(&b, &at, &s));
	assert_false(trace_total(&b, total));
	fill(&b, "total\tx\nsite\t1\t2\t3\t4\t");
	at = NULL;
	assert_false(trace_total(&b, total));
	assert_true(trace_next(&b, &at, &s));
	assert_string_equal(s.place, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites_are_read_in_their_order),
		cmocka_unit_test(nothing_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
