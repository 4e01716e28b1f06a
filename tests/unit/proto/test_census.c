/* SPDX-License-Identifier: Apache-2.0 */
/* A census on the wire, its words, and those of an interpreter's state. */
#include <errno.h>
#include <string.h>

#include "proto/python.h"
#include "proto/wire.h"
#include "tests/support/test.h"

struct fixture {
	struct buf b;
	struct arena a;
	struct error err;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->b = BUF_INIT(256 * 1024);
	arena_init(&f->a, WIRE_BUDGET(256 * 1024));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	buf_fini(&f->b);
	arena_fini(&f->a);
	free(f);
	return 0;
}

static int again(struct fixture *f, const struct wire_census *m, struct wire_census *ret)
{
	buf_reset(&f->b);
	wire_pack_census(&f->b, m);
	assert_int_equal(buf_status(&f->b), 0);
	return wire_unpack_census(&f->a, f->b.data, f->b.len, ret, &f->err);
}

static struct wire_census_type two_types[] = {{"app.cache.Entry", 1000, 56000}, {"dict", 7, 4096}};

static struct wire_census good_census(void)
{
	struct wire_census m = {.t_wall_us = 1700000000000000,
				.boot_id = {1, 2, 3},
				.pid = 4711,
				.start_ticks = 99,
				.method = CENSUS_METHOD_SNAPSHOT,
				.reason = CENSUS_REASON_RULE,
				.has_command = true,
				.command_id = {9, 8, 7},
				.version = 0x030b02f0,
				.interpreters = 1,
				.pause_us = 8000,
				.walk_us = 260000,
				.objects = 1007,
				.bytes = 60096,
				.types_total = 2,
				.types = two_types,
				.n_types = 2,
				.note = "2 threads ran"};

	for (int i = 0; i < HEAP_PART_COUNT; i++)
		m.parts[i] = HEAP_ABSENT;
	m.parts[HEAP_PART_RSS] = 323 << 20;
	m.parts[HEAP_PART_ARENAS] = 0;
	return m;
}

static void a_census_comes_back(void **state)
{
	struct fixture *f = *state;
	struct wire_census m = good_census(), r;

	assert_int_equal(again(f, &m, &r), 0);
	assert_int_equal(r.pid, 4711);
	assert_int_equal(r.start_ticks, 99);
	assert_int_equal(r.method, CENSUS_METHOD_SNAPSHOT);
	assert_int_equal(r.reason, CENSUS_REASON_RULE);
	assert_true(r.has_command);
	assert_memory_equal(r.command_id, m.command_id, 16);
	assert_memory_equal(r.boot_id, m.boot_id, 16);
	assert_int_equal(r.version, 0x030b02f0);
	assert_int_equal(r.pause_us, 8000);
	assert_int_equal(r.walk_us, 260000);
	assert_int_equal(r.objects, 1007);
	assert_int_equal(r.bytes, 60096);
	assert_int_equal(r.n_types, 2);
	assert_string_equal(r.types[0].name, "app.cache.Entry");
	assert_int_equal(r.types[0].count, 1000);
	assert_int_equal(r.types[0].bytes, 56000);
	assert_string_equal(r.types[1].name, "dict");
	assert_string_equal(r.note, "2 threads ran");
	/* 0 is a figure, absent is none */
	assert_int_equal(r.parts[HEAP_PART_RSS], 323 << 20);
	assert_int_equal(r.parts[HEAP_PART_ARENAS], 0);
	assert_true(r.parts[HEAP_PART_SWAP] == HEAP_ABSENT);
	m.has_command = false;
	assert_int_equal(again(f, &m, &r), 0);
	assert_false(r.has_command);
}

#define REFUSED(f, m, text)                                              \
	do {                                                             \
		struct wire_census r_;                                   \
		assert_int_equal(again(f, m, &r_), -EBADMSG);            \
		if (!strstr((f)->err.msg, text))                         \
			fail_msg("'%s' lacks '%s'", (f)->err.msg, text); \
	} while (0)

static void what_breaks_a_rule_is_refused(void **state)
{
	static struct wire_census_type many[WIRE_MAX_TYPES + 1];
	struct fixture *f = *state;
	struct wire_census m = good_census();

	m.pid = 0;
	REFUSED(f, &m, "'pid' of 0");
	m = good_census();
	m.method = (enum census_method)7;
	REFUSED(f, &m, "unknown method 7");
	m = good_census();
	m.reason = (enum census_reason)9;
	REFUSED(f, &m, "unknown reason 9");
	m = good_census();
	m.parts[HEAP_PART_RSS] = -1;
	REFUSED(f, &m, "part 0 is out of range");
	m = good_census();
	m.types_total = 1;
	REFUSED(f, &m, "2 types of 1");
	m = good_census();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = two_types[0];
	m.types = many;
	m.n_types = ARRAY_SIZE(many);
	m.types_total = ARRAY_SIZE(many);
	REFUSED(f, &m, "513 types, 512 are allowed");
	many[0].name = "";
	m.n_types = 1;
	REFUSED(f, &m, "a type without name");
	many[0].name = "a\x1b[2J";
	REFUSED(f, &m, "not printable");
	buf_reset(&f->b);
	assert_int_equal(wire_unpack_census(&f->a, f->b.data, f->b.len, &m, &f->err), -EBADMSG);
}

static void words(void **state unused_arg)
{
	char text[PYTHON_VERSION_SIZE];

	assert_string_equal(census_method_word(CENSUS_METHOD_LIVE), "live");
	assert_null(census_method_word(CENSUS_METHOD_COUNT));
	assert_int_equal(census_method_find("stopped"), CENSUS_METHOD_STOPPED);
	assert_int_equal(census_method_find("stop"), -1);
	assert_string_equal(census_reason_word(CENSUS_REASON_BY_HAND), "by_hand");
	assert_string_equal(heap_part_name(HEAP_PART_TRIM_GAIN), "trim_gain");
	assert_null(heap_part_help(HEAP_PART_COUNT));
	assert_string_equal(python_state_word(PYTHON_FREE_THREADED), "free_threaded");
	assert_null(python_state_text(PYTHON_STATES));
	assert_string_equal(python_version_text(text, 0x030b02f0), "3.11.2");
	assert_string_equal(python_version_text(text, 0x030f00c1), "3.15.0rc1");
	assert_string_equal(python_version_text(text, 0x030f00a7), "3.15.0a7");
	assert_string_equal(python_version_text(text, 0x03090000), "3.9");
	assert_string_equal(python_version_text(text, UINT32_MAX), "255.255.255");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_census_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_breaks_a_rule_is_refused, set_up, tear_down),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
