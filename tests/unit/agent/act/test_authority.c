/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/authority.h"

#include <errno.h>

#include "tests/support/test.h"

#define NOW 1700000000000000

/* Signatures are tested against the whole gate in test_gate.c; here: time and order. */
static void late_early_and_old_are_stale(void **state unused_arg)
{
	static const struct {
		int64_t expires_us;
		uint64_t counter;
		uint64_t fence;
		const char *says; /* NULL: fresh */
	} rows[] = {
		{NOW + 1, 11, 3, NULL},
		{NOW + AUTHORITY_AHEAD_US, 11, 3, NULL},
		{NOW + 1, UINT64_MAX, UINT64_MAX, NULL},
		{NOW, 11, 3, "expired"},
		{INT64_MIN, 11, 3, "expired"},
		{NOW + AUTHORITY_AHEAD_US + 1, 11, 3, "10 min ahead"},
		{INT64_MAX, 11, 3, "10 min ahead"},
		{NOW + 1, 10, 3, "counter 10 is not above the last one, 10"},
		{NOW + 1, 0, 3, "counter 0"},
		{NOW + 1, 11, 2, "fence 2 is of a collector that lost the lead to 3"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct command c = {.expires_us = rows[i].expires_us,
				    .counter = rows[i].counter,
				    .fence = rows[i].fence};
		struct error err = {""};
		int rc = authority_fresh(&c, NOW, 10, 3, &err);

		assert_int_equal(rc, rows[i].says ? -ESTALE : 0);
		assert_says(err, rows[i].says ? rows[i].says : "");
	}
}

static void zeroes_are_no_signature(void **state unused_arg)
{
	struct authority a = {{0}, {0}};
	struct command_request r = {.has_warrant = false};
	struct command c;
	struct error err;

	assert_int_equal(authority_verify(&a, &r, &c, &err), -EACCES);
	assert_says(err, "signature");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_early_and_old_are_stale),
		cmocka_unit_test(zeroes_are_no_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
