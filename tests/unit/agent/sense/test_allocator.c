/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/allocator.h"

#include "tests/support/test.h"

#define LINE(file) "7f00-7f01 r-xp 00000000 fe:00 1234     " file "\n"

static const char *name_of(const char *maps)
{
	static char out[32];

	return allocator_name(out, sizeof(out), maps, strlen(maps)) ? out : "none";
}

static void mapped_files_tell_the_allocator(void **state unused_arg)
{
	static const struct {
		const char *maps;
		const char *name;
	} rows[] = {
		{LINE("/usr/bin/x") LINE("/usr/lib/x86_64-linux-gnu/libc.so.6"), "glibc"},
		{LINE("/lib/x86_64-linux-gnu/libc-2.31.so"), "glibc 2.31"},
		{LINE("/lib/ld-musl-x86_64.so.1"), "musl"},
		{LINE("/lib/libc.so.6") LINE("/usr/lib/libjemalloc.so.2"), "jemalloc"},
		{LINE("/usr/lib/libtcmalloc_minimal.so.4") LINE("/lib/libc.so.6"), "tcmalloc"},
		{LINE("/usr/bin/static"), "none"},
		{LINE("/srv/libc.so.6.bak/x"), "none"},
		{"7f00-7f01 r-xp 0 0:0 0\n", "none"},
		{"", "none"},
		{"/libc.so.6", "none"}, /* the line was cut */
		{LINE("/lib/libc-2."), "glibc 2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(name_of(rows[i].maps), rows[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mapped_files_tell_the_allocator)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
