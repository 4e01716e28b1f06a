/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/maps.h"

#include <errno.h>
#include <unistd.h>

#include "agent/act/inject/libc.h"
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

static void the_allocator_is_told_from_the_names(void **state unused_arg)
{
	static const struct {
		const char *path;
		const char *says; /* NULL: can be trimmed */
	} rows[] = {
		{"/lib/x86_64-linux-gnu/libc.so.6", NULL},
		{"/lib/x86_64-linux-gnu/libc.so.6 (deleted)", NULL},
		{"/lib64/libc-2.17.so", NULL},
		{"/lib/ld-musl-x86_64.so.1", "musl has no malloc_trim"},
		{"/usr/lib/libjemalloc.so.2", "process uses jemalloc allocator"},
		{"/usr/lib/libtcmalloc_minimal.so.4", "process uses tcmalloc allocator"},
		{"/usr/lib/libmimalloc.so.2.0", "process uses mimalloc allocator"},
		{"/usr/bin/thing", "static binary: no malloc_trim"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[256];
		struct maps m;
		struct error err = {""};

		snprintf(text, sizeof(text), "1000-2000 r-xp 0 0:0 5 %s\n", rows[i].path);
		assert_int_equal(parse(text, &m, &err), 0);
		assert_int_equal(libc_check_allocator(&m, &err), rows[i].says ? -ENOTSUP : 0);
		assert_string_equal(err.msg, rows[i].says ? rows[i].says : "");
		maps_fini(&m);
	}
}

/* Our own libc, by the way that another process's is found. */
static void the_real_libc_is_found(void **state unused_arg)
{
	struct maps m;
	struct libc l;
	struct error err = {""};

	if (geteuid() != 0)
		skip();
	assert_int_equal(maps_load(getpid(), &m, &err), 0);
	assert_non_null(maps_at(&m, (uint64_t)(uintptr_t)&m));
#ifndef MEMHERD_ASAN /* its runtime exports malloc, and is rightly refused */
	if (libc_find(getpid(), &m, &l, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(libc_has(&l, l.malloc_trim));
	assert_true(libc_has(&l, l.restorer));
	assert_false(libc_has(&l, (uint64_t)(uintptr_t)&m));
	assert_memory_equal((void *)(uintptr_t)l.restorer, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9);
#else
	(void)l;
#endif
	maps_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read_field_by_field),
		cmocka_unit_test(what_the_kernel_does_not_write_is_refused),
		cmocka_unit_test(the_allocator_is_told_from_the_names),
		cmocka_unit_test(the_real_libc_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
