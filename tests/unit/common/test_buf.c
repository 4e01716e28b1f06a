/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "common/buf.h"

#include <errno.h>

#include "common/cursor.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

static void appends_are_terminated_and_in_order(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(1000);

	assert_null(b.data);
	buf_puts(&b, "ab");
	buf_putc(&b, 'c');
	buf_printf(&b, "%d-%s", 7, "x");
	buf_put(&b, "", 0);
	assert_int_equal(buf_status(&b), 0);
	assert_string_equal((char *)b.data, "abc7-x");
	assert_int_equal(b.len, 6);
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_non_null(b.data);
}

static void numbers_have_the_named_byte_order(void **state unused_arg)
{
	static const uint8_t want[] = {0x11, 0x22, 0x11, 0x44, 0x33, 0x22, 0x11, 8,    7,    6,
				       5,    4,    3,    2,    1,    0x11, 0x22, 0x11, 0x22, 0x33,
				       0x44, 1,    2,    3,    4,    5,    6,    7,    8};
	auto_buf struct buf b = BUF_INIT(100);

	buf_u8(&b, 0x11);
	buf_le16(&b, 0x1122);
	buf_le32(&b, 0x11223344);
	buf_le64(&b, 0x0102030405060708);
	buf_be16(&b, 0x1122);
	buf_be32(&b, 0x11223344);
	buf_be64(&b, 0x0102030405060708);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

/* protobuf's own examples: 150 is 96 01; zig-zag maps -1 to 1 and 1 to 2. */
static void varints_are_protobufs(void **state unused_arg)
{
	static const uint8_t want[] = {0x96, 0x01, 0x00, 0x01, 0x02};
	auto_buf struct buf b = BUF_INIT(100);

	buf_varint(&b, 150);
	buf_varint(&b, 0);
	buf_zigzag(&b, -1);
	buf_zigzag(&b, 1);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
}

static void every_varint_comes_back(void **state unused_arg)
{
	static const int64_t values[] = {0,  1,         -1,        63,        -64,
					 64, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
	auto_buf struct buf b = BUF_INIT(1000);
	struct cursor c;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		buf_varint(&b, (uint64_t)values[i]);
		buf_zigzag(&b, values[i]);
	}
	c = cursor_of(b.data, b.len);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(cursor_varint(&c), (uint64_t)values[i]);
		assert_int_equal(cursor_zigzag(&c), values[i]);
	}
	assert_false(c.bad);
	assert_int_equal(cursor_left(&c), 0);
}

static void the_maximum_is_kept_and_what_fails_is_dropped_whole(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(4);

	buf_puts(&b, "abcd");
	assert_int_equal(buf_status(&b), 0);
	buf_putc(&b, 'e');
	assert_int_equal(buf_status(&b), -ENOBUFS);
	assert_string_equal((char *)b.data, "abcd");
	buf_reset(&b);
	buf_printf(&b, "%s", "12345");
	buf_putc(&b, 'x'); /* would fit, but comes after the failure */
	assert_int_equal(buf_status(&b), -ENOBUFS);
	assert_int_equal(b.len, 0);
	assert_null(buf_reserve(&b, 1));
	buf_reset(&b);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
}

static void reserved_room_is_the_callers_to_write(void **state unused_arg)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);

	for (size_t n = 1; n < 5000; n += 997) {
		uint8_t *p = buf_reserve(&b, n);

		assert_non_null(p);
		memset(p, 'x', n);
		b.len += n;
	}
	assert_int_equal(buf_status(&b), 0);
}

static void no_memory_marks_it_and_keeps_what_was_there(void **state unused_arg)
{
	for (unsigned n = 1;; n++) {
		auto_buf struct buf b = BUF_INIT(1 << 20);

		alloc_fail_at(n);
		for (int i = 0; i < 500; i++)
			buf_puts(&b, "0123456789");
		alloc_fail_off();
		assert_int_equal(buf_status(&b), alloc_failed() ? -ENOBUFS : 0);
		assert_int_equal(b.len % 10, 0);
		if (!alloc_failed())
			break;
		assert_true(b.len < 5000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_are_terminated_and_in_order),
		cmocka_unit_test(numbers_have_the_named_byte_order),
		cmocka_unit_test(varints_are_protobufs),
		cmocka_unit_test(every_varint_comes_back),
		cmocka_unit_test(the_maximum_is_kept_and_what_fails_is_dropped_whole),
		cmocka_unit_test(reserved_room_is_the_callers_to_write),
		cmocka_unit_test(no_memory_marks_it_and_keeps_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
