/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/fleet/python.h"

#include "collector/fleet/census.h"
#include "collector/fleet/verdict.h"
#include "proto/identity.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define SEC   1000000LL
#define START (1700000000 * SEC)
#define MIB   (1LL << 20)

static const uint8_t boot_id[16] = "this boot of it";

static void fill(int64_t v[METRIC_COUNT])
{
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
}

static void an_interpreter_is_told_of(void **state unused_arg)
{
	int64_t v[METRIC_COUNT];

	fill(v);
	assert_false(python_told(v));
	v[METRIC_PYTHON_STATE] = 1; /* not_python */
	assert_false(python_told(v));
	v[METRIC_PYTHON_STATE] = 0;
	assert_true(python_told(v));
	fill(v);
	v[METRIC_GC0] = 0;
	assert_true(python_told(v));
}

static void counters_are_added_up_over_the_newest_points(void **state unused_arg)
{
	struct python *p = python_new();
	int64_t v[METRIC_COUNT];
	int64_t added;
	int64_t span;

	fill(v);
	assert_false(python_added(&p->history, PYTHON_OF_GC0, 600 * SEC, &added, &span));
	for (int i = 0; i <= 720; i++) {               /* an hour */
		v[METRIC_GC0] = i < 360 ? i : i - 360; /* another exec in the middle */
		python_take(p, v, START + i * 5 * SEC);
	}
	assert_true(p->history.n <= PYTHON_POINTS && p->history.n >= PYTHON_POINTS / 2);
	assert_true(python_added(&p->history, PYTHON_OF_GC0, 600 * SEC, &added, &span));
	assert_true(span > 400 * SEC && span <= 600 * SEC);
	assert_int_equal(added, span / (5 * SEC));
	assert_true(python_added(&p->history, PYTHON_OF_GC0, 7200 * SEC, &added, &span));
	assert_true(added >= 600 && added <= 720);
	assert_false(python_added(&p->history, PYTHON_OF_GC_TIME, 7200 * SEC, &added, &span));
	python_take(p, v, START); /* of long ago */
	assert_int_equal(p->history.points[p->history.n - 1].t_us, START + 3600 * SEC);
	python_free(&p);
	assert_null(p);
}

static struct wire_census census(struct wire_census_type *types, size_t n, uint64_t bytes)
{
	struct wire_census c = {.pid = 9,
				.start_ticks = 7,
				.method = CENSUS_METHOD_SNAPSHOT,
				.version = 0x030b02f0,
				.objects = bytes / 100,
				.bytes = bytes,
				.types = types,
				.n_types = n,
				.types_total = (uint32_t)n,
				.note = ""};

	memcpy(c.boot_id, boot_id, sizeof(boot_id));
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	return c;
}

static void take(struct python *p, int64_t id, int64_t t_us)
{
	struct wire_census_type types[] = {{"a", (uint64_t)id * 10, (uint64_t)(id * MIB)},
					   {"b", 5, 500}};
	struct wire_census c = census(types, 2, (uint64_t)(id * MIB));

	python_census(p, &c, id, t_us);
}

static void two_censuses_are_kept(void **state unused_arg)
{
	struct python *p = python_new();

	take(p, 1, START);
	assert_non_null(p->base);
	assert_null(p->last);
	take(p, 2, START + 60 * SEC);
	take(p, 3, START + 120 * SEC);
	take(p, 9, START + 60 * SEC); /* late: not taken */
	assert_int_equal(p->base->census_id, 1);
	assert_int_equal(p->last->census_id, 3);
	take(p, 4, START + PYTHON_BASE_MAX_US + SEC); /* the base is too old by now */
	assert_int_equal(p->base->census_id, 3);
	assert_int_equal(p->last->census_id, 4);
	python_free(&p);
}

static void without_memory_it_stays_as_it_was(void **state unused_arg)
{
	struct python *p = python_new();

	take(p, 1, START);
	for (int n = 1; n < 5; n++) {
		alloc_fail_at(n);
		take(p, 2, START + SEC);
		alloc_fail_at(0);
		if (p->last)
			break;
		assert_int_equal(p->base->census_id, 1);
	}
	assert_non_null(p->last);
	python_free(&p);
}

static void a_census_becomes_texts(void **state unused_arg)
{
	static const uint8_t uuid[16] = {1};
	struct wire_census_type types[] = {{"app.\"E\"", 3, INT64_MAX}};
	struct wire_census w = census(types, 1, 1000);
	struct registry registry;
	struct census_doc c;
	struct host *h;

	registry_init(&registry);
	h = registry_host(&registry, 1, uuid, "web-1");
	w.parts[HEAP_PART_RSS] = 5 * MIB;
	w.parts[HEAP_PART_ARENAS] = 2;
	w.t_wall_us = 77;
	assert_int_equal(census_doc_init(&c, h, &w), 0);
	assert_int_equal(c.proc_id, identity_process(boot_id, 9, 7));
	assert_int_equal(c.census_id, identity_census(c.proc_id, 77));
	assert_null(c.process);
	assert_string_equal(c.types, "[[\"app.\\\"E\\\"\",3,9223372036854775807]]");
	assert_string_equal(c.parts, "{\"rss_bytes\":5242880,\"arenas\":2}");
	assert_non_null(strstr(c.event, "\"version\":\"3.11.2\""));
	census_doc_fini(&c);
	registry_fini(&registry);
}

static void a_census_has_one_number(void **state unused_arg)
{
	assert_true(identity_census(5, 6) == identity_census(5, 6));
	assert_true(identity_census(5, 6) != identity_census(6, 5));
	assert_true(identity_census(5, 6) > 0 && identity_census(5, 6) != identity_census(5, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interpreter_is_told_of),
		cmocka_unit_test(counters_are_added_up_over_the_newest_points),
		cmocka_unit_test(two_censuses_are_kept),
		cmocka_unit_test(without_memory_it_stays_as_it_was),
		cmocka_unit_test(a_census_becomes_texts),
		cmocka_unit_test(a_census_has_one_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
