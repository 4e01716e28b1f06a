/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=gcstat_pauses -Wl,--wrap=gcstat_read -Wl,--wrap=runtime_interpreters
#include "agent/python/counters.h"

#include <errno.h>

#include "agent/python/gcstat.h"
#include "tests/support/test.h"

/* Two interpreters: what their rings hold is what the test says. */
static struct gcstat_pause ring[2][LAYOUT_GENERATIONS][GCSTAT_PAUSES];
static int filled[2][LAYOUT_GENERATIONS];
static int n_interpreters;

int __wrap_runtime_interpreters(const struct runtime *r, uint64_t *ret, unsigned max);
int __wrap_runtime_interpreters(const struct runtime *r unused_arg, uint64_t *ret, unsigned max)
{
	assert_true(max >= 2);
	ret[0] = 0x1000;
	ret[1] = 0x2000;
	return n_interpreters;
}

int __wrap_gcstat_pauses(const struct runtime *r, uint64_t interpreter, unsigned generation,
			 struct gcstat_pause ret[GCSTAT_PAUSES]);
int __wrap_gcstat_pauses(const struct runtime *r unused_arg, uint64_t interpreter,
			 unsigned generation, struct gcstat_pause ret[GCSTAT_PAUSES])
{
	unsigned i = interpreter == 0x2000;

	memcpy(ret, ring[i][generation], sizeof(ring[i][generation]));
	return filled[i][generation];
}

int __wrap_gcstat_read(const struct runtime *r, uint64_t interpreter, struct gcstat *ret);
int __wrap_gcstat_read(const struct runtime *r unused_arg, uint64_t interpreter, struct gcstat *ret)
{
	*ret = (struct gcstat){0};
	for (unsigned g = 0; g < LAYOUT_GENERATIONS; g++) {
		ret->generations[g].collections = interpreter / 0x1000 * (g + 1);
		ret->generations[g].collected = interpreter / 0x1000 * 100;
	}
	return interpreter == 0x3000 ? -ESRCH : 0;
}

/* The ring's n newest are first, first + 1, ...; each took its number in us and 10 objects. */
static void fill(unsigned interpreter, unsigned generation, uint64_t first, int n)
{
	filled[interpreter][generation] = n;
	for (int i = 0; i < n; i++) {
		uint64_t number = first + (uint64_t)i;

		ring[interpreter][generation][i] =
			(struct gcstat_pause){.start_us = (int64_t)number * 1000,
					      .duration_us = (int64_t)number,
					      .collections = number,
					      .collected = number * 10};
	}
}

static int reset(void **state unused_arg)
{
	memset(filled, 0, sizeof(filled));
	n_interpreters = 1;
	return 0;
}

static void what_was_there_before_is_not_told(void **state unused_arg)
{
	struct counters_poll poll = {0};
	struct runtime r = {.layout = {.minor = 15}};
	struct pause_list l = {0};

	assert_true(counters_have_pauses(&r));
	fill(0, 0, 5, 3);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	assert_int_equal(l.n, 0);
	fill(0, 0, 6, 4);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	assert_int_equal(l.n, 2); /* 8 and 9 */
	assert_int_equal(l.rows[0].duration_ns, 8000);
	assert_int_equal(l.rows[0].start_ns, 8000000);
	assert_int_equal(l.rows[0].collected, 10);
	assert_int_equal(l.rows[1].duration_ns, 9000);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	assert_int_equal(l.n, 2); /* nothing twice */
	assert_int_equal(poll.lost, 0);
	pause_list_fini(&l);
}

static void what_was_overwritten_is_counted(void **state unused_arg)
{
	struct counters_poll poll = {0};
	struct runtime r = {.layout = {.minor = 15}};
	struct pause_list l = {0};

	fill(0, 2, 1, 1);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	fill(0, 2, 8, 3);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(poll.lost, 6);            /* 2 to 7 */
	assert_int_equal(l.rows[0].collected, -1); /* the sum is of seven */
	assert_int_equal(l.rows[1].collected, 10);
	assert_int_equal(l.rows[1].generation, 2);
	pause_list_fini(&l);
}

static void interpreters_are_kept_apart(void **state unused_arg)
{
	struct counters_poll poll = {0};
	struct runtime r = {.layout = {.minor = 15}};
	struct pause_list l = {0};

	n_interpreters = 2;
	fill(0, 0, 1, 2);
	fill(1, 0, 50, 2);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	fill(0, 0, 1, 3);
	fill(1, 0, 50, 3);
	assert_int_equal(counters_poll(&poll, &r, &l), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.rows[0].duration_ns, 3000);
	assert_int_equal(l.rows[1].duration_ns, 52000);
	filled[1][0] = -ESRCH;
	assert_int_equal(counters_poll(&poll, &r, &l), -ESRCH);
	pause_list_fini(&l);
}

static void counters_are_of_all_interpreters(void **state unused_arg)
{
	struct runtime r = {.layout = {.minor = 12, .interpreter = {.gc = 112}}};
	struct counters c;

	assert_false(counters_have_pauses(&r));
	n_interpreters = 2;
	assert_int_equal(counters_read(&r, &c), 0);
	assert_int_equal(c.collections[0], 3);
	assert_int_equal(c.collections[2], 9);
	assert_int_equal(c.collected[1], 300);
	/* 3.8: one collector, whose figures are not to be added twice */
	r.layout.interpreter.gc = LAYOUT_NONE;
	assert_int_equal(counters_read(&r, &c), 0);
	assert_int_equal(c.collections[0], 1);
	n_interpreters = -EPERM;
	assert_int_equal(counters_read(&r, &c), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_was_there_before_is_not_told, reset),
		cmocka_unit_test_setup(what_was_overwritten_is_counted, reset),
		cmocka_unit_test_setup(interpreters_are_kept_apart, reset),
		cmocka_unit_test_setup(counters_are_of_all_interpreters, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
