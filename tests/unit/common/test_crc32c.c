/* SPDX-License-Identifier: Apache-2.0 */
#include "common/crc32c.h"

#include <string.h>

#include "common/check.h"
#include "tests/support/test.h"

/* RFC 3720, B.4. */
static void the_standards_examples_hold(void **state unused_arg)
{
	uint8_t bytes[32] = {0};

	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void both_ways_agree_at_every_length_and_offset(void **state unused_arg)
{
	uint8_t bytes[96];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (size_t at = 0; at < 16; at++)
		for (size_t len = 0; len + at <= sizeof(bytes); len++)
			assert_int_equal(crc32c(7, bytes + at, len),
					 crc32c_portable(7, bytes + at, len));
}

static void a_sum_goes_on_where_it_was_left(void **state unused_arg)
{
	assert_int_equal(crc32c(crc32c(0, "12345", 5), "6789", 4), crc32c(0, "123456789", 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_standards_examples_hold),
		cmocka_unit_test(both_ways_agree_at_every_length_and_offset),
		cmocka_unit_test(a_sum_goes_on_where_it_was_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
