/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/maps.h"

#include <errno.h>

#include "tests/support/test.h"

static int parse(const char *text, struct maps *m, struct error *err)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_puts(&b, text);
	return maps_parse(&b, m, err);
}

static void lines_are_read_field_by_field(void **state unused_arg)
{
	struct maps m;
	struct error err;

	assert_int_equal(
		parse("55d0-55f0 r-xp 00001000 fe:00 77     /usr/lib/my libc.so.6 (deleted)\n"
		      "7ffd0000-7ffe0000 rw-p 00000000 00:00 0 [stack]\n"
		      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0\n",
		      &m, &err),
		0);
	assert_int_equal(m.n, 3);
	assert_int_equal(m.rows[0].start, 0x55d0);
	assert_int_equal(m.rows[0].offset, 0x1000);
	assert_int_equal(m.rows[0].inode, 77);
	assert_true(m.rows[0].executable);
	assert_false(m.rows[0].writable);
	assert_string_equal(m.rows[0].path, "/usr/lib/my libc.so.6 (deleted)");
	assert_true(map_named(&m.rows[0], "my libc.so.6"));
	assert_false(map_named(&m.rows[0], "libc.so.6"));
	assert_true(m.rows[1].writable);
	assert_string_equal(m.rows[2].path, "");
	assert_false(map_named(&m.rows[2], "*"));
	assert_ptr_equal(maps_at(&m, 0x7ffd0000), &m.rows[1]);
	assert_ptr_equal(maps_at(&m, 0x7ffdffff), &m.rows[1]);
	assert_null(maps_at(&m, 0x7ffe0000));
	maps_fini(&m);
}

static void what_the_kernel_does_not_write_is_refused(void **state unused_arg)
{
	static const char *const texts[] = {
		"hello\n",
		"1000-2000\n",
		"2000-1000 r--p 0 0:0 0\n",
		"1000-1000 r--p 0 0:0 0\n",
		"1000-2000 r- 0 0:0 0\n",
		"1000-2000 r--p 0 0:0\n",
	};
	struct maps m;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(parse(texts[i], &m, &err), -EBADMSG);
		assert_says(err, "line 1 is not well formed");
	}
	assert_int_equal(parse("", &m, &err), 0);
	assert_int_equal(m.n, 0);
	maps_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read_field_by_field),
		cmocka_unit_test(what_the_kernel_does_not_write_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
