/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/leak.h"

#include <math.h>

#include "common/check.h"
#include "tests/support/test.h"

#define MIB (1LL << 20)

/* A process of 500 MiB that gained 100 MiB of the heap in an hour, its collector as it should be.
 */
static struct leak_evidence growing(void)
{
	struct leak_evidence e;

	leak_evidence_init(&e);
	e.rss = 500 * MIB;
	e.anon = 480 * MIB;
	e.span_s = 3600;
	e.rss_growth = 100.0 * MIB;
	e.anon_growth = 100.0 * MIB;
	e.file_growth = 0;
	e.shmem_growth = 0;
	e.rss_r2 = 0.98;
	e.late_share = 1.02;
	e.version = 0x030b02f0;
	e.gc_enabled = 1;
	e.threshold0 = 700;
	e.gc_collections[0] = 2000;
	e.gc_collections[1] = 200;
	e.gc_collections[2] = 2;
	e.collected = 500000;
	e.uncollectable = 0;
	return e;
}

/* Two censuses half an hour apart, between which objects gained so much. */
static void count(struct leak_evidence *e, int64_t objects, int64_t bytes)
{
	e->base_objects = 1000000;
	e->base_objects_bytes = 100 * MIB;
	e->objects = e->base_objects + objects;
	e->objects_bytes = e->base_objects_bytes + bytes;
	e->census_span_s = 1800;
	e->counts_are_exact = true;
}

static void put(struct leak_evidence *e, enum heap_part p, int64_t before, int64_t now)
{
	e->base_parts[p] = before * MIB;
	e->parts[p] = now * MIB;
}

static struct leak_verdict judged(const struct leak_evidence *e)
{
	struct leak_verdict v;

	leak_judge(e, &v);
	return v;
}

static void is(const struct leak_evidence *e, enum leak_kind kind, enum kill_confidence confidence)
{
	struct leak_verdict v = judged(e);

	if (v.kind != kind || v.confidence != confidence)
		fail_msg("'%s' (%d) instead of '%s' (%d)", v.sentence, (int)v.confidence,
			 leak_kind_text(kind), (int)confidence);
	assert_true(*v.sentence != '\0');
	if (leak_is_leak(kind))
		assert_true(v.n_evidence && v.n_advice);
}

static bool tells(const struct leak_verdict *v, const char *text)
{
	for (unsigned i = 0; i < v->n_evidence; i++)
		if (strstr(v->evidence[i], text))
			return true;
	return false;
}

static void nothing_is_known_of_nothing(void **state unused_arg)
{
	struct leak_evidence e;

	leak_evidence_init(&e);
	is(&e, LEAK_UNKNOWN, KILL_CONFIDENCE_GUESS);
	assert_int_equal(judged(&e).n_evidence, 0);
}

static void what_stands_still_does_not_grow(void **state unused_arg)
{
	struct leak_evidence e = growing();

	e.rss_growth = e.anon_growth = MIB;
	is(&e, LEAK_NOT_GROWING, KILL_CONFIDENCE_LIKELY);
	e.span_s = 300;
	is(&e, LEAK_NOT_GROWING, KILL_CONFIDENCE_GUESS);
	e = growing();
	e.rss_r2 = 0.1;
	is(&e, LEAK_NOT_GROWING, KILL_CONFIDENCE_LIKELY);
}

static void growing_types_are_named(void **state unused_arg)
{
	struct leak_evidence e = growing();
	struct leak_verdict v;

	count(&e, 200000, 45 * MIB);
	e.types[0] = (struct leak_type){"app.cache.Entry", 120000, 30 * MIB};
	e.n_types = 1;
	is(&e, LEAK_OBJECTS, KILL_CONFIDENCE_CERTAIN);
	v = judged(&e);
	assert_non_null(
		strstr(v.sentence, "100 MiB/h; most of it app.cache.Entry (+120000, +30 MiB)"));
	assert_true(tells(&v, "objects +200000, +45 MiB"));
	e.counts_are_exact = false;
	is(&e, LEAK_OBJECTS, KILL_CONFIDENCE_LIKELY);
}

/* Strings and numbers are not tracked, but Python's allocator holds them. */
static void what_is_not_tracked_is_python_still(void **state unused_arg)
{
	struct leak_evidence e = growing();

	count(&e, 100, MIB);
	put(&e, HEAP_PART_RSS, 440, 490);
	put(&e, HEAP_PART_PYMALLOC, 200, 250);
	put(&e, HEAP_PART_PYMALLOC_FREE, 10, 12);
	is(&e, LEAK_OBJECTS, KILL_CONFIDENCE_LIKELY);
}

static void what_is_not_of_objects_is_native(void **state unused_arg)
{
	struct leak_evidence e = growing();

	count(&e, 10, MIB);
	is(&e, LEAK_NATIVE, KILL_CONFIDENCE_LIKELY);
	put(&e, HEAP_PART_RSS, 440, 490);
	put(&e, HEAP_PART_PYMALLOC, 50, 51);
	put(&e, HEAP_PART_PYMALLOC_FREE, 5, 5);
	put(&e, HEAP_PART_MALLOC, 300, 345);
	put(&e, HEAP_PART_MALLOC_FREE, 5, 6);
	put(&e, HEAP_PART_NATIVE, 40, 44);
	is(&e, LEAK_NATIVE, KILL_CONFIDENCE_CERTAIN);
	assert_null(strstr(judged(&e).sentence, "most of it"));
}

static void a_collector_that_is_off_gathers_garbage(void **state unused_arg)
{
	struct leak_evidence e = growing();
	struct leak_verdict v;

	e.gc_enabled = 0;
	is(&e, LEAK_GARBAGE, KILL_CONFIDENCE_GUESS);
	count(&e, 200000, 45 * MIB);
	is(&e, LEAK_GARBAGE, KILL_CONFIDENCE_LIKELY);
	v = judged(&e);
	assert_true(tells(&v, "turned off") && strstr(v.advice[0], "gc.enable()"));
	count(&e, 10, MIB); /* but there is no more of it */
	is(&e, LEAK_NATIVE, KILL_CONFIDENCE_LIKELY);
	e = growing();
	e.threshold0 = 0;
	is(&e, LEAK_GARBAGE, KILL_CONFIDENCE_GUESS);
	e = growing();
	e.uncollectable = 900;
	is(&e, LEAK_GARBAGE, KILL_CONFIDENCE_LIKELY);
	v = judged(&e);
	assert_true(tells(&v, "900 objects could not be collected"));
}

static void free_memory_is_fragmentation(void **state unused_arg)
{
	struct leak_evidence e = growing();
	struct leak_verdict v;

	e.parts[HEAP_PART_RSS] = 500 * MIB;
	e.parts[HEAP_PART_MALLOC_FREE] = 250 * MIB;
	e.parts[HEAP_PART_TRIM_GAIN] = 200 * MIB;
	is(&e, LEAK_FRAGMENTATION, KILL_CONFIDENCE_LIKELY);
	v = judged(&e);
	assert_true(tells(&v, "a trim would give back about 200 MiB"));
	count(&e, 10, MIB);
	put(&e, HEAP_PART_RSS, 450, 500);
	put(&e, HEAP_PART_MALLOC_FREE, 205, 250);
	is(&e, LEAK_FRAGMENTATION, KILL_CONFIDENCE_CERTAIN);
	/* Much is free, but what grows is something else. */
	put(&e, HEAP_PART_MALLOC_FREE, 250, 250);
	assert_int_not_equal(judged(&e).kind, LEAK_FRAGMENTATION);
	e = growing();
	e.rss_growth = 0;
	e.parts[HEAP_PART_PYMALLOC_FREE] = 160 * MIB;
	is(&e, LEAK_FRAGMENTATION, KILL_CONFIDENCE_LIKELY);
	e.parts[HEAP_PART_PYMALLOC_FREE] = 60 * MIB;
	is(&e, LEAK_NOT_GROWING, KILL_CONFIDENCE_LIKELY);
}

static void a_cache_levels_off_or_is_of_files(void **state unused_arg)
{
	struct leak_evidence e = growing();
	struct leak_verdict v;

	e.late_share = 0.1;
	is(&e, LEAK_CACHE, KILL_CONFIDENCE_LIKELY);
	e = growing();
	e.anon_growth = 10.0 * MIB;
	e.file_growth = 90.0 * MIB;
	is(&e, LEAK_CACHE, KILL_CONFIDENCE_LIKELY);
	e.shmem_growth = 90.0 * MIB;
	e.file_growth = 0;
	v = judged(&e);
	assert_int_equal(v.kind, LEAK_CACHE);
	assert_non_null(strstr(v.advice[0], "tmpfs"));
}

/* Without a census the collector bounds how many objects can have become more. */
static void figures_alone_make_a_guess(void **state unused_arg)
{
	struct leak_evidence e = growing();
	struct leak_verdict v;

	is(&e, LEAK_OBJECTS, KILL_CONFIDENCE_GUESS);
	e.gc_collections[0] = e.gc_collections[1] = e.gc_collections[2] = 0;
	e.collected = 0;
	is(&e, LEAK_NATIVE, KILL_CONFIDENCE_GUESS);
	v = judged(&e);
	assert_true(tells(&v, "at most 700 objects more are kept"));
	assert_non_null(strstr(v.advice[v.n_advice - 1], "memherd census TARGET"));
	e.on_host = true;
	leak_judge(&e, &v);
	assert_non_null(strstr(v.advice[v.n_advice - 1], "memherd-agent inspect PID"));
	e.on_host = false;
	e.version = 0x030e02f0; /* collects in increments: its counts mean something else */
	is(&e, LEAK_UNCLEAR, KILL_CONFIDENCE_GUESS);
	e.version = 0;
	e.gc_enabled = LEAK_ABSENT;
	is(&e, LEAK_UNCLEAR, KILL_CONFIDENCE_GUESS);
}

/* What an agent sees by hand: two moments and no history. */
static void two_moments_are_enough(void **state unused_arg)
{
	struct leak_evidence e;

	leak_evidence_init(&e);
	count(&e, 500000, 60 * MIB);
	put(&e, HEAP_PART_RSS, 400, 470);
	e.rss = 470 * MIB;
	e.types[0] = (struct leak_type){"dict", 250000, 50 * MIB};
	e.n_types = 1;
	is(&e, LEAK_OBJECTS, KILL_CONFIDENCE_CERTAIN);
}

static void types_that_grew_come_the_most_first(void **state unused_arg)
{
	struct leak_count before[] = {{"big", 10, 1000}, {"gone", 10, 700}, {"small", 10, 400}};
	struct leak_count after[] = {{"new", 9, 2000}, {"big", 11, 1100}, {"small", 90, 900}};
	/* others were smaller than 'small' */
	const struct leak_counts base = {before, ARRAY_SIZE(before), 50};
	const struct leak_counts now = {after, ARRAY_SIZE(after), 50};
	struct leak_evidence e;

	leak_evidence_init(&e);
	leak_take_types(&e, &now, &base);
	assert_int_equal(e.n_types, 3);
	assert_string_equal(e.types[0].name, "new");
	assert_int_equal(e.types[0].bytes_growth, 1600);
	assert_string_equal(e.types[1].name, "small");
	assert_int_equal(e.types[1].bytes_growth, 500);
	assert_int_equal(e.types[1].count_growth, 80);
	assert_string_equal(e.types[2].name, "big");
}

static void types_beyond_the_room_are_the_smallest(void **state unused_arg)
{
	struct leak_count after[LEAK_TYPES + 3];
	const struct leak_counts base = {NULL, 0, 0};
	const struct leak_counts now = {after, ARRAY_SIZE(after), ARRAY_SIZE(after)};
	struct leak_evidence e;

	for (size_t i = 0; i < ARRAY_SIZE(after); i++)
		after[i] = (struct leak_count){"t", 1, (int64_t)i + 1};
	leak_evidence_init(&e);
	leak_take_types(&e, &now, &base);
	assert_int_equal(e.n_types, LEAK_TYPES);
	assert_int_equal(e.types[0].bytes_growth, ARRAY_SIZE(after));
	assert_int_equal(e.types[LEAK_TYPES - 1].bytes_growth, 4);
}

static void samples_give_growth_and_shape(void **state unused_arg)
{
	struct trend_point p[20];
	struct leak_evidence e;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = (struct trend_point){(double)i * 2, (double)i * MIB};
	leak_evidence_init(&e);
	leak_take_samples(&e, LEAK_OF_RSS, p, 4); /* too few */
	assert_true(isnan(e.rss_growth) && isnan(e.span_s));
	leak_take_samples(&e, LEAK_OF_RSS, p, ARRAY_SIZE(p));
	leak_take_samples(&e, LEAK_OF_ANON, p, 5);
	assert_true(fabs(e.rss_growth - 19.0 * MIB) < 1 && fabs(e.anon_growth - 4.0 * MIB) < 1);
	assert_true(e.span_s == 38 && e.rss_r2 > 0.999 && fabs(e.late_share - 1) < 1e-9);
	assert_true(isnan(e.file_growth) && isnan(e.shmem_growth));
}

static void long_names_are_cut(void **state unused_arg)
{
	struct leak_evidence e = growing();
	char name[400];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	count(&e, 200000, 45 * MIB);
	for (int i = 0; i < LEAK_TYPES; i++)
		e.types[i] = (struct leak_type){name, INT64_MAX, INT64_MAX};
	e.n_types = LEAK_TYPES;
	e.uncollectable = 3;
	e.parts[HEAP_PART_MALLOC_FREE] = 100 * MIB;
	is(&e, LEAK_GARBAGE, KILL_CONFIDENCE_LIKELY);
	assert_true(judged(&e).n_evidence <= LEAK_LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_of_nothing),
		cmocka_unit_test(what_stands_still_does_not_grow),
		cmocka_unit_test(growing_types_are_named),
		cmocka_unit_test(what_is_not_tracked_is_python_still),
		cmocka_unit_test(what_is_not_of_objects_is_native),
		cmocka_unit_test(a_collector_that_is_off_gathers_garbage),
		cmocka_unit_test(free_memory_is_fragmentation),
		cmocka_unit_test(a_cache_levels_off_or_is_of_files),
		cmocka_unit_test(figures_alone_make_a_guess),
		cmocka_unit_test(two_moments_are_enough),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(types_that_grew_come_the_most_first),
		cmocka_unit_test(types_beyond_the_room_are_the_smallest),
		cmocka_unit_test(samples_give_growth_and_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
