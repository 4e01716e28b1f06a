/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/gcstat.h"

#include "tests/support/fakepython.h"
#include "tests/support/test.h"

#define for_each_row(row)                                     \
	for (unsigned i_ = 0; i_ == 0 || layout_at(i_); i_++) \
		for (const struct layout *row = layout_at(i_); row; row = NULL)

#define MAIN fake_at(FAKE_INTERPRETER)

static struct runtime build(const struct layout *row)
{
	fake_build(row, 0x030000f0u | (uint32_t)row->minor << 16);
	return (struct runtime){.pid = FAKE_PID, .address = fake_at(FAKE_RUNTIME), .layout = *row};
}

static const struct layout *last_row(void)
{
	return layout_find(15);
}

static void figures_are_the_collectors(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r = build(row);
		struct gcstat st;

		assert_int_equal(gcstat_check(&r, MAIN), 0);
		fake.calls = 0;
		assert_int_equal(gcstat_read(&r, MAIN, &st), 0);
		assert_int_equal(fake.calls, row->gc.stats_is_pointer ? 2 : 1);
		assert_int_equal(st.interpreter, 0);
		assert_true(st.enabled);
		assert_false(st.collecting);
		for (int i = 0; i < LAYOUT_GENERATIONS; i++) {
			assert_int_equal(st.generations[i].threshold, 700 + i);
			assert_int_equal(st.generations[i].count, 3 + i);
			assert_int_equal(st.generations[i].collections, 10 + i);
			assert_int_equal(st.generations[i].collected, 100 + i);
			assert_int_equal(st.generations[i].uncollectable, 101 + i);
			assert_int_equal(st.generations[i].duration_us,
					 row->minor == 15 ? 250000 * (10 + i) : -1);
		}
		assert_int_equal(st.long_lived_total, row->incremental ? 0 : 5000);
	}
}

static void a_second_interpreter_has_its_own(void **state unused_arg)
{
	struct runtime r = build(layout_find(12));
	struct gcstat st;

	fake_i32(fake_gc(FAKE_SECOND) + r.layout.gc.enabled, 0);
	assert_int_equal(gcstat_read(&r, fake_at(FAKE_SECOND), &st), 0);
	assert_int_equal(st.interpreter, 7);
	assert_false(st.enabled);
}

static void what_is_not_there_any_more_is_not_believed(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r = build(row);
		struct gcstat st = {.interpreter = 42};

		memset(fake.mem + FAKE_RUNTIME, 0x41, FAKE_SIZE - FAKE_RUNTIME);
		assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
		assert_int_equal(st.interpreter, 42);
		assert_int_equal(gcstat_read(&r, 0x10, &st), -EFAULT);
		r.pid++;
		assert_int_equal(gcstat_read(&r, MAIN, &st), -ESRCH);
	}
}

static void an_interpreter_that_ends_is_told_so(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r = build(row);
		struct gcstat st;

		fake_u64(FAKE_RUNTIME + row->runtime.finalizing, 1);
		assert_int_equal(gcstat_read(&r, MAIN, &st), -ESHUTDOWN);
		r = build(row);
		fake_i32(FAKE_RUNTIME + row->runtime.initialized, 0);
		assert_int_equal(gcstat_read(&r, MAIN, &st), -ESHUTDOWN);
	}
}

/* Offsets that the target chose: no copy beyond our own buffers. */
static void fields_far_apart_are_refused(void **state unused_arg)
{
	struct runtime r = build(layout_find(13));
	struct gcstat st;

	r.layout.interpreter.id = 0;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r = build(layout_find(13));
	r.layout.runtime.finalizing = r.layout.runtime.initialized - 4;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r.layout.runtime.finalizing = r.layout.runtime.initialized + 100;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r = build(layout_find(13));
	r.layout.interpreter.gc = UINT32_MAX - 8;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
}

static uint32_t young;

static void move_the_list(unsigned n)
{
	bool busy = n * 2654435761u >> 16 & 1;

	fake_u64(young, busy ? fake_at(FAKE_FROZEN + n % 64 * 16) : fake_at(young));
	fake_u64(young + 8, busy ? fake_at(FAKE_FROZEN) : fake_at(young));
}

static void a_list_that_changes_meanwhile_is_looked_at_again(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r = build(row);

		young = fake_gc(FAKE_INTERPRETER) + row->gc.generations;
		fake.on_call = move_the_list;
		assert_int_equal(gcstat_check(&r, MAIN), 0);
	}
}

static void a_collection_hides_the_lists(void **state unused_arg)
{
	struct runtime r = build(layout_find(11));
	uint32_t gc = fake_gc(FAKE_INTERPRETER);
	struct gcstat st;

	fake_u64(gc + r.layout.gc.generations, fake_at(FAKE_FROZEN));
	fake_u64(gc + r.layout.gc.generations + 8, fake_at(FAKE_FROZEN));
	assert_int_equal(gcstat_check(&r, MAIN), -EBADMSG);
	fake_i32(gc + r.layout.gc.collecting, 1);
	assert_int_equal(gcstat_check(&r, MAIN), 0);
	assert_int_equal(gcstat_read(&r, MAIN, &st), 0);
	assert_true(st.collecting);
}

static void frozen_objects_are_counted(void **state unused_arg)
{
	for_each_row(row)
	{
		struct runtime r = build(row);
		uint64_t n;

		assert_int_equal(gcstat_frozen(&r, MAIN, 10, &n), 0);
		assert_int_equal(n, 0);
		fake_freeze(FAKE_INTERPRETER);
		assert_int_equal(gcstat_frozen(&r, MAIN, 10, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(gcstat_frozen(&r, MAIN, 2, &n), 0);
		assert_int_equal(gcstat_frozen(&r, MAIN, 1, &n), -E2BIG);
		fake_u64(FAKE_FROZEN + 64, fake_at(FAKE_FROZEN)); /* a ring past the head */
		assert_int_equal(gcstat_frozen(&r, MAIN, 10, &n), -EAGAIN);
		fake_u64(FAKE_FROZEN + 64, 0x10);
		assert_int_equal(gcstat_frozen(&r, MAIN, 10, &n), -EFAULT);
	}
}

static void latest_collections_are_oldest_first(void **state unused_arg)
{
	struct runtime r = build(last_row());
	struct gcstat_pause p[GCSTAT_PAUSES];

	assert_int_equal(gcstat_pauses(&r, MAIN, 0, p), 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(p[i].collections, i + 1);
		assert_int_equal(p[i].start_us, 1000 * (i + 1));
		assert_int_equal(p[i].duration_us, 5);
	}
	assert_int_equal(p[9].collected, 100);
	assert_int_equal(gcstat_pauses(&r, MAIN, 2, p), 3);
	assert_int_equal(p[0].collections, 10);
	assert_int_equal(p[2].collections, 12);
	assert_int_equal(gcstat_pauses(&r, MAIN, 3, p), -ENOTSUP);
	r = build(layout_find(14));
	assert_int_equal(gcstat_pauses(&r, MAIN, 0, p), -ENOTSUP);
}

static void records_that_cannot_be_are_refused(void **state unused_arg)
{
	const double nan_like = __builtin_nan("");
	struct runtime r = build(last_row());
	struct gcstat st;

	fake.mem[FAKE_RINGS + 704] = 11;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r = build(last_row());
	fake.mem[FAKE_RINGS + 1104] = 0xff;
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r = build(last_row());
	fake_put(FAKE_RINGS + 10 * 64 + 48, &nan_like, sizeof(nan_like));
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EBADMSG);
	r = build(last_row());
	fake_u64(fake_gc(FAKE_INTERPRETER) + r.layout.gc.stats, 0x10);
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EFAULT);
}

/* 3.15.2: odd while a writer is inside. */
static void records_are_not_read_while_they_are_written(void **state unused_arg)
{
	struct runtime r = build(last_row());
	struct gcstat st;

	r.layout.gc.stats_size = 1120;
	fake_i32(FAKE_RINGS + 1112, 8);
	assert_int_equal(gcstat_read(&r, MAIN, &st), 0);
	fake_i32(FAKE_RINGS + 1112, 9);
	assert_int_equal(gcstat_read(&r, MAIN, &st), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_the_collectors),
		cmocka_unit_test(a_second_interpreter_has_its_own),
		cmocka_unit_test(what_is_not_there_any_more_is_not_believed),
		cmocka_unit_test(an_interpreter_that_ends_is_told_so),
		cmocka_unit_test(fields_far_apart_are_refused),
		cmocka_unit_test(a_list_that_changes_meanwhile_is_looked_at_again),
		cmocka_unit_test(a_collection_hides_the_lists),
		cmocka_unit_test(frozen_objects_are_counted),
		cmocka_unit_test(latest_collections_are_oldest_first),
		cmocka_unit_test(records_that_cannot_be_are_refused),
		cmocka_unit_test(records_are_not_read_while_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
