/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/identity.h"

#include "common/check.h"

#include "tests/support/test.h"

static const uint8_t boot[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Stored rows carry these numbers: they may never change. */
static void the_numbers_are_fixed(void **state unused_arg)
{
	assert_true(identity_process(boot, 4242, 123456789) == 1224074341780048745);
	assert_true(identity_census(5, 6) == 2351928170340540761);
	assert_true(identity_service("app.service") == 89648464660607064);
}

static void each_part_matters(void **state unused_arg)
{
	int64_t v = identity_process(boot, 1, 2);
	uint8_t other[16];

	memcpy(other, boot, sizeof(other));
	other[15] ^= 1;
	assert_true(v == identity_process(boot, 1, 2));
	assert_true(v != identity_process(other, 1, 2));
	assert_true(v != identity_process(boot, 2, 2));
	assert_true(v != identity_process(boot, 1, 3));
	assert_true(v != identity_process(boot, 2, 1));
}

static void all_are_positive(void **state unused_arg)
{
	for (uint32_t pid = 0; pid < 10000; pid++)
		assert_true(identity_process(boot, pid, UINT64_MAX - pid) > 0);
	assert_true(identity_service("") > 0);
	assert_true(identity_service("gunicorn") != identity_service("gunicorn2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_numbers_are_fixed),
		cmocka_unit_test(each_part_matters),
		cmocka_unit_test(all_are_positive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
