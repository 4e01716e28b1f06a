/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/mail.h"

#include "common/clock.h"
#include "tests/support/test.h"

#define MINUTE (60 * USEC_PER_SEC)

static void waits_grow_to_an_hour_with_jitter(void **state unused_arg)
{
	static const int64_t minutes[] = {1, 5, 15, 60, 60, 60};

	for (int n = 1; n <= (int)ARRAY_SIZE(minutes); n++) {
		int64_t least = mail_backoff_us(MINUTE, n, 0);
		int64_t most = mail_backoff_us(MINUTE, n, 999);

		assert_int_equal(least, minutes[n - 1] * MINUTE / 10 * 8);
		assert_true(most > minutes[n - 1] * MINUTE / 100 * 119);
		assert_true(most < minutes[n - 1] * MINUTE / 10 * 12);
	}
	assert_int_equal(mail_backoff_us(MINUTE, 1000000, 0), 48 * MINUTE);
	assert_int_equal(mail_backoff_us(MINUTE, 0, 0), mail_backoff_us(MINUTE, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(waits_grow_to_an_hour_with_jitter)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
