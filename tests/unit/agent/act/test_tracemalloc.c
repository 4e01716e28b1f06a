/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/tracemalloc.h"

#include "tests/support/test.h"

static void fill(struct buf *b, const char *text)
{
	buf_puts(b, text);
	buf_putc(b, 0);
	b->len--;
}

static void totals_are_three_numbers(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4096);
	int64_t total[3];

	assert_false(trace_total(&b, total));
	fill(&b, "total\t-5\t7\t900\nrow\t1\t2\t3\t4\ta.py:1\n");
	assert_true(trace_total(&b, total));
	assert_true(total[0] == -5 && total[1] == 7 && total[2] == 900);
	buf_reset(&b);
	fill(&b, "total\tx\n");
	assert_false(trace_total(&b, total));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_are_three_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
