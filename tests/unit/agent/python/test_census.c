/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/census.h"

#include "common/clock.h"
#include "tests/support/fakeheap.h"
#include "tests/support/test.h"

static struct heap heap;

static int walk_with(uint64_t max, bool tolerate, struct census *ret, struct error *err)
{
	const struct chunk_source source = {.read = heap_read, .arg = &heap};
	const struct census_order o = {.source = &source,
				       .layout = heap.layout,
				       .collectors = &heap.collector,
				       .n_collectors = 1,
				       .max_objects = max,
				       .cache_bytes = 1 << 20,
				       .tolerate = tolerate};

	return census_walk(&o, ret, err);
}

static struct census walk(void)
{
	struct census c;
	struct error err = {""};
	int rc = walk_with(100000, false, &c, &err);

	if (rc < 0)
		fail_msg("%s", err.msg);
	return c;
}

static int walk_fails(const char *says)
{
	struct census c;
	struct error err = {""};
	int rc = walk_with(1000, false, &c, &err);

	assert_true(rc < 0);
	assert_non_null(strstr(err.msg, says));
	return rc;
}

static void expect(const struct census *c, const char *name, uint64_t objects, uint64_t bytes)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->rows[i].name, name) != 0)
			continue;
		assert_int_equal(c->rows[i].objects, objects);
		assert_int_equal(c->rows[i].bytes, bytes);
		return;
	}
	fail_msg("no row '%s'", name);
}

/* The keys of a dict or of a class; returns their address. */
static uint64_t keys(uint64_t references, unsigned log2, unsigned kind, uint64_t entries)
{
	uint64_t at = heap_take(&heap, 4096);
	uint64_t slots = 1ull << log2;

	put64(&heap, at, references);
	if (heap.layout->object.new_keys) {
		const uint8_t logs[3] = {(uint8_t)log2, (uint8_t)log2, (uint8_t)kind};

		put(&heap, at + 8, logs, sizeof(logs));
		put64(&heap, at + 16, slots * 2 / 3 - entries);
		put64(&heap, at + 24, entries);
	} else {
		put64(&heap, at + 8, slots);
		put64(&heap, at + 24, slots * 2 / 3 - entries);
		put64(&heap, at + 32, entries);
	}
	return at;
}

static void set_entry(uint64_t at, unsigned log2, unsigned kind, unsigned i, uint64_t key,
		      uint64_t value)
{
	unsigned size = heap.layout->object.new_keys && kind ? 16 : 24;
	uint64_t first = at + (heap.layout->object.new_keys ? 32 : 40) + (1ull << log2);

	put64(&heap, first + i * size + size - 16, key);
	put64(&heap, first + i * size + size - 8, value);
}

static void test_every_list_is_counted_and_sorted_by_bytes(void **state unused_arg)
{
	for (unsigned minor = 8; minor <= 15; minor++) {
		uint64_t small;
		uint64_t large;
		struct census c;

		heap_init(&heap, minor);
		small = heap_type(&heap, "small", 0, 24, 0);
		large = heap_type(&heap, "mod.large", 0, 400, 0);
		for (unsigned g = 0; g <= LAYOUT_GENERATIONS; g++)
			for (unsigned i = 0; i <= g; i++)
				heap_object(&heap, g, i ? small : large, 400, 0);
		c = walk();
		assert_int_equal(c.objects, 10);
		assert_int_equal(c.frozen, 4);
		assert_int_equal(c.interpreters, 1);
		assert_int_equal(c.n, 2);
		assert_string_equal(c.rows[0].name, "mod.large");
		expect(&c, "mod.large", 4, 4 * (400 + 16));
		expect(&c, "small", 6, 6 * (24 + 16));
		assert_int_equal(c.bytes, c.rows[0].bytes + c.rows[1].bytes);
		census_fini(&c);
	}
}

static void test_types_of_one_name_are_one_row(void **state unused_arg)
{
	struct census c;

	heap_init(&heap, 11);
	for (int i = 0; i < 3; i++)
		heap_object(&heap, 0, heap_type(&heap, "app.Row", 0, 32, 0), 64, 0);
	c = walk();
	assert_int_equal(c.n, 1);
	expect(&c, "app.Row", 3, 3 * 48);
	census_fini(&c);
}

static void test_sizes_are_what_getsizeof_says(void **state unused_arg)
{
	for (unsigned minor = 8; minor <= 15; minor++) {
		uint64_t o;
		struct census c;
		bool new_keys;

		heap_init(&heap, minor);
		new_keys = heap.layout->object.new_keys;
		o = heap_object(&heap, 0, heap_type(&heap, "list", TYPE_FLAG_LIST, 40, 0), 64, 3);
		put64(&heap, o + 32, 7);
		heap_object(&heap, 0, heap_type(&heap, "tuple", 1ull << 26, 24, 8), 64, -5);
		o = heap_object(&heap, 0, heap_type(&heap, "set", 0, 200, 0), 256, 1);
		put64(&heap, o + 32, 31);
		put64(&heap, o + 40, HEAP_BASE + 64);
		o = heap_object(&heap, 1, heap_type(&heap, "frozenset", 0, 200, 0), 256, 1);
		put64(&heap, o + 40, o + 64);
		o = heap_object(&heap, 1, heap_type(&heap, "dict", TYPE_FLAG_DICT, 48, 0), 64, 2);
		put64(&heap, o + 32, keys(1, 4, 0, 2));
		o = heap_object(&heap, 1, heap_type(&heap, "split", TYPE_FLAG_DICT, 48, 0), 64, 2);
		put64(&heap, o + 32, keys(9, 4, 2, 2));
		put64(&heap, o + 40, heap_take(&heap, 256));
		o = heap_object(&heap, 2, heap_type(&heap, "collections.deque", 0, 208, 0), 256,
				100);
		put64(&heap, o + 40, 60);
		c = walk();
		expect(&c, "list", 1, 16 + 40 + 7 * 8);
		expect(&c, "tuple", 1, 16 + 24 + 5 * 8);
		expect(&c, "set", 1, 16 + 200 + 32 * 16);
		expect(&c, "frozenset", 1, 16 + 200);
		expect(&c, "dict", 1, 16 + 48 + (new_keys ? 32 : 40) + 16 + 10 * 24);
		expect(&c, "split", 1, 16 + 48 + 10 * 8);
		expect(&c, "collections.deque", 1, 16 + 208 + 3 * 528);
		census_fini(&c);
	}
}

static void test_what_stands_before_an_object_counts(void **state unused_arg)
{
	static const struct {
		unsigned minor;
		uint64_t flags;
		uint64_t bytes;
	} cases[] = {
		{10, TYPE_FLAG_MANAGED_DICT, 16 + 32},
		{11, TYPE_FLAG_MANAGED_DICT, 16 + 32 + 16},
		{11, TYPE_FLAG_MANAGED_WEAKREF, 16 + 32},
		{12, TYPE_FLAG_MANAGED_WEAKREF, 16 + 32 + 16},
		{13, TYPE_FLAG_MANAGED_WEAKREF | TYPE_FLAG_MANAGED_DICT, 16 + 32 + 16},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct census c;

		heap_init(&heap, cases[i].minor);
		heap_object(&heap, 0, heap_type(&heap, "x", cases[i].flags, 32, 0), 64, 0);
		c = walk();
		expect(&c, "x", 1, cases[i].bytes);
		census_fini(&c);
	}
}

/* 3.11 has them where a pointer says, 3.12 too with a tag, 3.13 in the instance. */
static void test_the_values_of_an_instance_count(void **state unused_arg)
{
	static const struct {
		unsigned minor;
		uint64_t flags;
		unsigned words_before;
		uint64_t pointer;
		uint64_t values;
	} cases[] = {
		{11, TYPE_FLAG_MANAGED_DICT, 4, HEAP_BASE, 16 + 10 * 8},
		{11, TYPE_FLAG_MANAGED_DICT, 4, 0, 0},
		{12, TYPE_FLAG_MANAGED_DICT, 3, HEAP_BASE | 1, 16 + 10 * 8},
		{12, TYPE_FLAG_MANAGED_DICT, 3, HEAP_BASE, 0},
		{13, TYPE_FLAG_MANAGED_DICT | TYPE_FLAG_INLINE_VALUES, 3, 0, 16 + 11 * 8},
		{13, TYPE_FLAG_MANAGED_DICT, 3, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct census c;
		uint64_t type;
		uint64_t o;

		heap_init(&heap, cases[i].minor);
		type = heap_type(&heap, "x", cases[i].flags | TYPE_FLAG_HEAP, 16, 0);
		put64(&heap, type + heap.layout->object.heap_type_name + TYPE_CACHED_KEYS,
		      keys(3, 4, 2, 4));
		o = heap_object(&heap, 0, type, 200, 0);
		put64(&heap, o - cases[i].words_before * 8, cases[i].pointer);
		c = walk();
		expect(&c, "x", 1, 16 + 16 + 16 + cases[i].values);
		census_fini(&c);
	}
}

static void test_a_size_that_cannot_be_is_left_out(void **state unused_arg)
{
	struct census c;
	uint64_t o;

	heap_init(&heap, 12);
	heap_object(&heap, 0, heap_type(&heap, "var", 0, 32, 8), 64, INT64_MAX);
	heap_object(&heap, 0, heap_type(&heap, "neg", 0, 32, 8), 64, INT64_MIN);
	heap_object(&heap, 0, heap_type(&heap, "generator", 0, 90, 8), 128, 0x7f1234567890);
	o = heap_object(&heap, 0, heap_type(&heap, "list", TYPE_FLAG_LIST, 40, 0), 64, 0);
	put64(&heap, o + 32, UINT64_MAX);
	o = heap_object(&heap, 0, heap_type(&heap, "dict", TYPE_FLAG_DICT, 48, 0), 64, 0);
	put64(&heap, o + 32, 0x1234);
	c = walk();
	expect(&c, "var", 1, 48);
	expect(&c, "neg", 1, 48);
	expect(&c, "generator", 1, 106);
	expect(&c, "list", 1, 56);
	expect(&c, "dict", 1, 64);
	census_fini(&c);
}

/* A class statement's type with its module in a dict behind other keys. */
static void make_class(const char *name, const char *module, const char *qualname, unsigned kind)
{
	uint64_t type = heap_type(&heap, name, TYPE_FLAG_HEAP, 32, 0);
	uint64_t dict = heap_take(&heap, 64);
	uint64_t k = keys(1, 3, kind, 3);

	set_entry(k, 3, kind, 0, heap_str(&heap, "__doc__"), HEAP_BASE);
	set_entry(k, 3, kind, 1, 0, 0);
	set_entry(k, 3, kind, 2, heap_str(&heap, "__module__"), heap_str(&heap, module));
	put64(&heap, dict + 32, k);
	put64(&heap, type + TYPE_DICT, dict);
	put64(&heap, type + heap.layout->object.heap_type_name + 16, heap_str(&heap, qualname));
	heap_object(&heap, 0, type, 64, 0);
}

static void test_a_class_has_its_module_and_its_place_in_it(void **state unused_arg)
{
	for (unsigned minor = 8; minor <= 15; minor++) {
		struct census c;

		heap_init(&heap, minor);
		make_class("Entry", "app.cache", "Cache.Entry", 0);
		if (heap.layout->object.new_keys)
			make_class("Other", "app", "f.<locals>.Other", 1);
		make_class("odd", "builtins", "odd", 0);
		make_class("partial.x", "ignored", "ignored", 0);
		c = walk();
		expect(&c, "app.cache.Cache.Entry", 1, 48);
		if (heap.layout->object.new_keys)
			expect(&c, "app.f.<locals>.Other", 1, 48);
		expect(&c, "odd", 1, 48);
		expect(&c, "partial.x", 1, 48);
		census_fini(&c);
	}
}

static void test_hostile_names_are_made_safe(void **state unused_arg)
{
	char longest[400];
	struct census c;

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	heap_init(&heap, 11);
	heap_object(&heap, 0, heap_type(&heap, "a\n\x1b[31mb\xff", 0, 100, 0), 64, 0);
	heap_object(&heap, 0, heap_type(&heap, longest, 0, 90, 0), 64, 0);
	heap_object(&heap, 0, heap_type(&heap, "", 0, 80, 0), 64, 0);
	c = walk();
	assert_int_equal(c.n, 3);
	assert_string_equal(c.rows[0].name, "a\\x0a\\x1b[31mb\\xff");
	assert_int_equal(strlen(c.rows[1].name), CENSUS_NAME_SIZE - 1);
	assert_string_equal(c.rows[2].name, "?");
	census_fini(&c);
}

static uint64_t three(unsigned generation)
{
	uint64_t type = heap_type(&heap, "x", 0, 32, 0);

	heap_object(&heap, generation, type, 64, 0);
	heap_object(&heap, generation, type, 64, 0);
	return heap_object(&heap, generation, type, 64, 0) - CENSUS_GC_HEAD;
}

static void test_torn_lists_are_noticed(void **state unused_arg)
{
	uint64_t last;

	heap_init(&heap, 11);
	put64(&heap, three(2) + 8, HEAP_BASE + 64);
	assert_int_equal(walk_fails("a broken link"), -EAGAIN);

	heap_init(&heap, 11);
	last = three(0);
	put64(&heap, last, 0);
	assert_int_equal(walk_fails("no address"), -EAGAIN);
	put64(&heap, last, HEAP_BASE + 12);
	assert_int_equal(walk_fails("no address"), -EAGAIN);
	put64(&heap, last, 0x10000);
	assert_int_equal(walk_fails("no memory"), -EAGAIN);
	/* Back to itself: its own prev cannot be itself too. */
	put64(&heap, last, last);
	assert_int_equal(walk_fails("a broken link"), -EAGAIN);
	/* A loop that fits. */
	put64(&heap, last + 8, last);
	put64(&heap, heap_head(&heap, 0), last);
	assert_int_equal(walk_fails("a broken link"), -EAGAIN);

	heap_init(&heap, 11);
	last = three(1);
	put64(&heap, last + 24, HEAP_BASE + 8);
	assert_int_equal(walk_fails("no type"), -EAGAIN);

	heap_init(&heap, 11);
	three(1);
	put64(&heap, heap_head(&heap, 1) + 8, HEAP_BASE + 128);
	assert_int_equal(walk_fails("a broken link"), -EAGAIN);
}

static void test_tags_in_links_are_no_damage(void **state unused_arg)
{
	struct census c;
	uint64_t last;

	heap_init(&heap, 12);
	last = three(0);
	put64(&heap, last, get64(&heap, last) | 1);
	put64(&heap, last + 8, get64(&heap, last + 8) | 3);
	c = walk();
	assert_int_equal(c.objects, 3);
	census_fini(&c);
}

/* Two heads that point at each other's objects, in a ring of valid links. */
static void test_a_list_longer_than_the_heap_ends(void **state unused_arg)
{
	struct error err = {""};
	struct census c;

	heap_init(&heap, 11);
	three(0);
	assert_int_equal(walk_with(2, false, &c, &err), -EAGAIN);
	assert_non_null(strstr(err.msg, "more objects than the heap can hold"));
	assert_int_equal(walk_with(3, false, &c, &err), 0);
	census_fini(&c);
}

static void test_a_torn_list_is_counted_from_both_ends(void **state unused_arg)
{
	struct error err = {""};
	struct census c;
	uint64_t type;
	uint64_t middle;

	heap_init(&heap, 11);
	type = heap_type(&heap, "x", 0, 32, 0);
	for (int i = 0; i < 10; i++)
		heap_object(&heap, 2, type, 64, 0);
	middle = heap_object(&heap, 2, type, 64, 0) - CENSUS_GC_HEAD;
	for (int i = 0; i < 7; i++)
		heap_object(&heap, 2, type, 64, 0);
	put64(&heap, middle + 8, HEAP_BASE + 64);
	put64(&heap, middle, HEAP_BASE + 64);
	assert_int_equal(walk_with(1000, true, &c, &err), 0);
	assert_int_equal(c.objects, 17);
	assert_int_equal(c.broken, 1);
	census_fini(&c);
}

static void test_a_collection_under_way_is_told(void **state unused_arg)
{
	heap_init(&heap, 13);
	three(0);
	put64(&heap, heap.collector + heap.layout->gc.collecting, 1);
	assert_int_equal(walk_fails("a collection is under way"), -EBUSY);
}

static void test_a_process_that_went_is_told(void **state unused_arg)
{
	heap_init(&heap, 13);
	three(0);
	heap.fails = -ESRCH;
	assert_int_equal(walk_fails("cannot read the process"), -ESRCH);
	heap.fails = -EPERM;
	assert_int_equal(walk_fails("cannot read the process"), -EPERM);
}

static void test_a_deadline_ends_it(void **state unused_arg)
{
	const struct chunk_source source = {.read = heap_read, .arg = &heap};
	struct census_order o = {.source = &source,
				 .collectors = &heap.collector,
				 .n_collectors = 1,
				 .max_objects = 1000000,
				 .cache_bytes = 1 << 20,
				 .until_us = clock_boot_us() - 1};
	struct error err = {""};
	struct census c;
	uint64_t type;

	heap_init(&heap, 11);
	o.layout = heap.layout;
	type = heap_type(&heap, "x", 0, 32, 0);
	for (int i = 0; i < 5000; i++)
		heap_object(&heap, 2, type, 32, 0);
	assert_int_equal(census_walk(&o, &c, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "after 4096 objects"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_list_is_counted_and_sorted_by_bytes),
		cmocka_unit_test(test_types_of_one_name_are_one_row),
		cmocka_unit_test(test_sizes_are_what_getsizeof_says),
		cmocka_unit_test(test_what_stands_before_an_object_counts),
		cmocka_unit_test(test_the_values_of_an_instance_count),
		cmocka_unit_test(test_a_size_that_cannot_be_is_left_out),
		cmocka_unit_test(test_a_class_has_its_module_and_its_place_in_it),
		cmocka_unit_test(test_hostile_names_are_made_safe),
		cmocka_unit_test(test_torn_lists_are_noticed),
		cmocka_unit_test(test_tags_in_links_are_no_damage),
		cmocka_unit_test(test_a_list_longer_than_the_heap_ends),
		cmocka_unit_test(test_a_torn_list_is_counted_from_both_ends),
		cmocka_unit_test(test_a_collection_under_way_is_told),
		cmocka_unit_test(test_a_process_that_went_is_told),
		cmocka_unit_test(test_a_deadline_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
