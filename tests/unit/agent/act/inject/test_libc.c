/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/libc.h"

#include <errno.h>
#include <unistd.h>

#include "tests/support/test.h"

static int parse(const char *text, struct maps *m, struct error *err)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_puts(&b, text);
	return maps_parse(&b, m, err);
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
		cmocka_unit_test(the_allocator_is_told_from_the_names),
		cmocka_unit_test(the_real_libc_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
