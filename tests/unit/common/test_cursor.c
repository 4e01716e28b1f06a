/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cursor.h"

#include "tests/support/test.h"

static void reads_follow_each_other(void **state unused_arg)
{
	static const uint8_t data[] = {1,  2,  3,  4,  5,  6, 7, 8, 9, 10,
				       11, 12, 13, 14, 15, 0, 0, 1, 2, 'x'};
	struct cursor c = cursor_of(data, sizeof(data));

	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_le16(&c), 0x0302);
	assert_int_equal(cursor_le32(&c), 0x07060504);
	assert_int_equal(cursor_le64(&c), 0x0f0e0d0c0b0a0908);
	assert_int_equal(cursor_be32(&c), 0x00000102);
	assert_int_equal(*cursor_bytes(&c, 1), 'x');
	assert_int_equal(cursor_left(&c), 0);
	assert_false(c.bad);
}

static void past_the_end_is_bad_for_good(void **state unused_arg)
{
	static const uint8_t data[] = {1, 2, 3};
	struct cursor c = cursor_of(data, sizeof(data));

	assert_int_equal(cursor_le32(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0); /* there is a byte, but nobody should trust it */
	assert_null(cursor_bytes(&c, 0));
	c = cursor_of(data, sizeof(data));
	assert_null(cursor_bytes(&c, SIZE_MAX));
	assert_true(c.bad);
}

static void nothing_is_an_empty_cursor(void **state unused_arg)
{
	struct cursor c = cursor_of(NULL, 0);

	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_varint(&c), 0);
	assert_true(c.bad);
}

static void varints_that_do_not_fit_64_bits_are_bad(void **state unused_arg)
{
	static const uint8_t most[10] = {0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0x01};
	static const uint8_t more[10] = {0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0x02};
	static const uint8_t endless[12] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					    0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
	struct cursor c = cursor_of(most, sizeof(most));

	assert_int_equal(cursor_varint(&c), UINT64_MAX);
	assert_false(c.bad);
	c = cursor_of(more, sizeof(more));
	assert_int_equal(cursor_varint(&c), 0);
	assert_true(c.bad);
	c = cursor_of(endless, sizeof(endless));
	assert_int_equal(cursor_varint(&c), 0);
	assert_true(c.bad);
	c = cursor_of(endless, 3);
	assert_int_equal(cursor_zigzag(&c), 0);
	assert_true(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_follow_each_other),
		cmocka_unit_test(past_the_end_is_bad_for_good),
		cmocka_unit_test(nothing_is_an_empty_cursor),
		cmocka_unit_test(varints_that_do_not_fit_64_bits_are_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
