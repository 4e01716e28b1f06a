/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/proctab.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

static void ids_are_low_and_reused(void **state unused_arg)
{
	struct proctab t;
	uint32_t id;

	proctab_init(&t, 10);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(proctab_add(&t, 100 + i, &id), 0);
		assert_int_equal(id, i);
	}
	proctab_remove(&t, 3);
	proctab_remove(&t, 1);
	assert_int_equal(proctab_find(&t, 101), PROC_NO_ID);
	assert_int_equal(proctab_find(&t, 102), 2);
	assert_int_equal(proctab_add(&t, 900, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(proctab_add(&t, 901, &id), 0);
	assert_int_equal(id, 3);
	proctab_remove(&t, 4);
	proctab_remove(&t, 3);
	assert_int_equal(t.high, 3);
	proctab_fini(&t);
}

static void the_maximum_holds(void **state unused_arg)
{
	struct proctab t;
	uint32_t id;

	proctab_init(&t, 2);
	assert_int_equal(proctab_add(&t, 1, &id), 0);
	assert_int_equal(proctab_add(&t, 2, &id), 0);
	assert_int_equal(proctab_add(&t, 3, &id), -ENOSPC);
	assert_int_equal(proctab_split(&t, 0, &id), -ENOSPC);
	assert_int_equal(proctab_find(&t, 3), PROC_NO_ID);
	proctab_fini(&t);
}

/* Against a model: a plain array of which id each pid has. */
static void a_long_churn_agrees_with_a_model(void **state unused_arg)
{
	enum { PIDS = 3000 };
	static uint32_t model[PIDS];
	struct proctab t;
	uint32_t seed = 12345;
	uint32_t count = 0;

	proctab_init(&t, PIDS);
	for (uint32_t i = 0; i < PIDS; i++)
		model[i] = PROC_NO_ID;
	for (int step = 0; step < 200000; step++) {
		uint32_t pid;

		seed = seed * 1664525u + 1013904223u;
		pid = (seed >> 8) % PIDS;
		assert_int_equal(proctab_find(&t, pid + 1), model[pid]);
		if (model[pid] == PROC_NO_ID) {
			assert_int_equal(proctab_add(&t, pid + 1, &model[pid]), 0);
			assert_int_equal(t.procs[model[pid]].pid, pid + 1);
			count++;
		} else if (seed & 0x80) {
			uint32_t old = model[pid];

			if (proctab_split(&t, old, &model[pid]) == 0)
				proctab_remove(&t, old);
			else
				model[pid] = old;
		} else {
			proctab_remove(&t, model[pid]);
			model[pid] = PROC_NO_ID;
			count--;
		}
		assert_int_equal(t.count, count);
		assert_true(t.high >= t.count);
	}
	for (uint32_t i = 0; i < PIDS; i++)
		assert_int_equal(proctab_find(&t, i + 1), model[i]);
	proctab_fini(&t);
}

static void a_split_keeps_figures_and_moves_the_pid(void **state unused_arg)
{
	struct proctab t;
	uint32_t id;
	uint32_t heir;

	proctab_init(&t, 10);
	assert_int_equal(proctab_add(&t, 7, &id), 0);
	t.procs[id].rss = 123;
	assert_int_equal(proctab_split(&t, id, &heir), 0);
	assert_int_not_equal(id, heir);
	assert_int_equal(proctab_find(&t, 7), heir);
	assert_int_equal(t.procs[heir].rss, 123);
	proctab_remove(&t, id);
	assert_int_equal(proctab_find(&t, 7), heir);
	proctab_remove(&t, heir);
	assert_int_equal(proctab_find(&t, 7), PROC_NO_ID);
	assert_int_equal(t.count, 0);
	proctab_fini(&t);
}

static void without_memory_it_stays_as_it_was(void **state unused_arg)
{
	for (unsigned fail = 1;; fail++) {
		struct proctab t;
		uint32_t id;
		uint32_t pid = 1;
		int r = 0;

		proctab_init(&t, 2000);
		alloc_fail_at(fail);
		while (pid <= 1000 && (r = proctab_add(&t, pid, &id)) == 0)
			pid++;
		if (!alloc_failed()) {
			alloc_fail_off();
			assert_int_equal(r, 0);
			proctab_fini(&t);
			assert_true(fail > 3);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		for (uint32_t i = 1; i < pid; i++)
			assert_int_not_equal(proctab_find(&t, i), PROC_NO_ID);
		/* and goes on when there is memory again */
		assert_int_equal(proctab_add(&t, pid, &id), 0);
		proctab_fini(&t);
	}
}

static struct proctab crowd_that_left(void)
{
	struct proctab t;
	uint32_t id;

	proctab_init(&t, 20000);
	for (uint32_t pid = 1; pid <= 12000; pid++)
		assert_int_equal(proctab_add(&t, pid, &id), 0);
	for (id = 11999; id >= 300; id--)
		proctab_remove(&t, id);
	return t;
}

static void what_thousands_took_is_given_back(void **state unused_arg)
{
	struct proctab t = crowd_that_left();
	uint32_t id;

	proctab_shrink(&t);
	assert_int_equal(t.cap, 600);
	assert_true(t.index_mask < 2048);
	for (uint32_t pid = 1; pid <= 300; pid++)
		assert_int_equal(proctab_find(&t, pid), pid - 1);
	assert_int_equal(proctab_find(&t, 301), PROC_NO_ID);
	for (uint32_t pid = 1001; pid <= 3000; pid++) {
		assert_int_equal(proctab_add(&t, pid, &id), 0);
		assert_int_equal(id, pid - 701);
	}
	proctab_shrink(&t); /* nothing to give */
	assert_int_equal(proctab_find(&t, 3000), 2299);
	proctab_fini(&t);
}

static void without_memory_for_a_smaller_one_it_stays_large(void **state unused_arg)
{
	for (unsigned fail = 1; fail <= 2; fail++) {
		struct proctab t = crowd_that_left();

		alloc_fail_at(fail);
		proctab_shrink(&t);
		alloc_fail_off();
		assert_true(alloc_failed());
		for (uint32_t pid = 1; pid <= 300; pid++)
			assert_int_equal(proctab_find(&t, pid), pid - 1);
		proctab_fini(&t);
	}
}

static void absent_figures_stay_absent(void **state unused_arg)
{
	struct proctab t;
	int64_t v[METRIC_COUNT];
	uint32_t id;

	proctab_init(&t, 1);
	assert_int_equal(proctab_add(&t, 7, &id), 0);
	proc_values(&t.procs[id], 4, v);
	for (int i = 0; i < METRIC_COUNT; i++)
		if (i != METRIC_VSIZE)
			assert_true(v[i] == METRIC_ABSENT);
	t.procs[id].size = UINT64_MAX;
	t.procs[id].swap = 0;
	t.procs[id].fds = PROC_ABSENT - 1;
	proc_values(&t.procs[id], 64, v);
	assert_int_equal(v[METRIC_SWAP], 0);
	assert_true(v[METRIC_VSIZE] <= (int64_t)1 << 53);
	assert_true(v[METRIC_FDS] == (int64_t)PROC_ABSENT - 1);
	proctab_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_low_and_reused),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(a_long_churn_agrees_with_a_model),
		cmocka_unit_test(a_split_keeps_figures_and_moves_the_pid),
		cmocka_unit_test(without_memory_it_stays_as_it_was),
		cmocka_unit_test(what_thousands_took_is_given_back),
		cmocka_unit_test(without_memory_for_a_smaller_one_it_stays_large),
		cmocka_unit_test(absent_figures_stay_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
