/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/candidates.h"

#include "tests/support/test.h"

static void names_tell_version_and_build(void **state unused_arg)
{
	static const struct {
		const char *path;
		struct python_name want;
	} cases[] = {
		{"/usr/lib/libpython3.11.so.1.0", {true, false, 3, 11, false, false}},
		{"/usr/bin/python3.8", {true, false, 3, 8, false, false}},
		{"libpython3.8d.so.1.0", {true, false, 3, 8, true, false}},
		{"/x/python3.13t", {true, false, 3, 13, false, true}},
		{"/x/python3.14td", {true, false, 3, 14, true, true}},
		{"/x/libpython3.6m.so.1.0", {true, false, 3, 6, false, false}},
		{"/x/python3.11-dbg", {true, false, 3, 11, true, false}},
		{"/x/python2.7", {true, false, 2, 7, false, false}},
		{"/x/python3", {true, false, 3, -1, false, false}},
		{"/x/python", {true, false, -1, -1, false, false}},
		{"/x/libpypy3-c.so", {true, true, -1, -1, false, false}},
		{"/x/pypy3.10", {true, true, -1, -1, false, false}},
		{"/x/python3.8/site-packages/a.so", {false, false, -1, -1, false, false}},
		{"", {false, false, -1, -1, false, false}},
		{"/x/python3.99999999999999999999",
		 {true, false, 3, 999, false, false}}, /* bounded, and known of no row */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct python_name got = python_name_parse(cases[i].path);

		assert_int_equal(got.is_python, cases[i].want.is_python);
		assert_int_equal(got.other, cases[i].want.other);
		assert_int_equal(got.major, cases[i].want.major);
		assert_int_equal(got.minor, cases[i].want.minor);
		assert_int_equal(got.debug, cases[i].want.debug);
		assert_int_equal(got.threadfree, cases[i].want.threadfree);
	}
}

static void parse(struct maps *ret, const char *text)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_puts(&b, text);
	assert_int_equal(maps_parse(&b, ret, NULL), 0);
}

static void the_library_is_looked_at_first(void **state unused_arg)
{
	auto_maps struct maps maps = {0};
	struct candidate list[CANDIDATES_MAX];
	char self[400];
	char text[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(text, sizeof(text),
		 "1000-2000 r--p 00000000 08:01 1 %s\n"
		 "2000-300000 r-xp 00001000 08:01 1 %s\n"
		 "300000-301000 r--p 00000000 08:01 2 /usr/lib/libc.so.6\n"
		 "400000-401000 r--p 00000000 08:01 3 /opt/python-tool\n"
		 "500000-501000 r--p 00000000 08:01 4 /usr/lib/libpython3.so\n"
		 "600000-601000 r--p 00000000 08:01 5 /usr/lib/libpython3.9.so.1.0 (deleted)\n"
		 "700000-701000 rw-p 00000000 00:00 0 [heap]\n",
		 self, self);
	parse(&maps, text);
	assert_int_equal(candidates_list(getpid(), &maps, list), 4);
	assert_true(list[0].is_library && list[0].map->start == 0x600000);
	assert_int_equal(list[0].name.minor, 9);
	assert_true(list[1].is_program && list[1].map->start == 0x1000);
	assert_int_equal(list[2].map->start, 0x400000);
	assert_int_equal(list[3].map->start, 0x500000);
}

/* It would be asked for nothing: no interpreter fits in. */
static void a_small_program_is_left_alone(void **state unused_arg)
{
	auto_maps struct maps maps = {0};
	struct candidate list[CANDIDATES_MAX];
	char self[400];
	char text[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(text, sizeof(text),
		 "1000-2000 r--p 00000000 08:01 1 %s\n"
		 "2000-200000 r-xp 00001000 08:01 1 %s\n",
		 self, self);
	parse(&maps, text);
	assert_int_equal(candidates_list(getpid(), &maps, list), 0);
}

/* Names are cheap to make: only so many are looked at, and the library still is. */
static void a_crowd_of_names_does_not_hide_it(void **state unused_arg)
{
	auto_maps struct maps maps = {0};
	struct candidate list[CANDIDATES_MAX];
	struct buf b = BUF_INIT(1 << 20);

	for (unsigned i = 1; i <= 1000; i++)
		buf_printf(&b, "%x000-%x800 r--p 00000000 08:01 1 /tmp/python%u\n", i, i, i);
	buf_printf(&b, "f00000-f01000 r--p 00000000 08:01 1 /tmp/libpython3.12.so.1.0\n");
	assert_int_equal(maps_parse(&b, &maps, NULL), 0);
	assert_int_equal(candidates_list(getpid(), &maps, list), CANDIDATES_MAX);
	assert_true(list[0].is_library);
}

static void modules_hint_at_the_version(void **state unused_arg)
{
	static const struct {
		const char *path;
		int minor;
	} cases[] = {
		{"/x/_ssl.cpython-310-x86_64-linux-gnu.so", 10},
		{"/x/_ssl.cpython-38-x86_64-linux-gnu.so", 8},
		{"/usr/lib/python3.9/lib-dynload/a.so", 9},
		{"/x/_ssl.cpython-3x.so", -1},
		{"/x/python3.9", -1},
		{"/usr/lib/libc.so.6", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_maps struct maps maps = {0};
		char text[256];

		snprintf(text, sizeof(text), "1000-2000 r--p 00000000 08:01 1 %s\n", cases[i].path);
		parse(&maps, text);
		assert_int_equal(candidates_hint(&maps), cases[i].minor);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_tell_version_and_build),
		cmocka_unit_test(the_library_is_looked_at_first),
		cmocka_unit_test(a_small_program_is_left_alone),
		cmocka_unit_test(a_crowd_of_names_does_not_hide_it),
		cmocka_unit_test(modules_hint_at_the_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
