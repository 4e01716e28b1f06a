/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/strain.h"

#include <event2/event.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/folder.h"

static void on_fired(void *arg)
{
	++*(int *)arg;
}

static void figures_come_from_proc(void **state unused_arg)
{
	struct pulse_beat b = {0};
	struct procdir d;
	struct error err;

	folder_put("meminfo", "MemTotal: 1000 kB\nMemAvailable: 250 kB\n");
	assert_int_equal(procdir_open(&d, folder, &err), 0);
	strain_read(&d, &b);
	assert_int_equal(b.available, 250);
	assert_int_equal(b.total, 1000);
	assert_true(b.psi_some10 == METRIC_ABSENT);
	folder_put("pressure/memory", "some avg10=99.99 avg60=0.00 avg300=0.00 total=1\n");
	strain_read(&d, &b);
	assert_int_equal(b.psi_some10, 9999);
	procdir_close(&d);
}

/* Where the kernel has PSI; nobody presses, so it must stay silent, and end without a trace. */
static void a_trigger_is_set_and_taken_back(void **state unused_arg)
{
	struct event_base *base = event_base_new();
	const struct timeval moment = {.tv_usec = 50000};
	struct strain s = {0};
	int fired = 0;

	if (strain_watch(&s, base, "/proc", on_fired, &fired)) {
		assert_true(s.fd >= 0);
		assert_true(strain_watches(&s));
		event_base_loopexit(base, &moment);
		event_base_dispatch(base);
		assert_int_equal(strain_fired(&s), fired > 0);
		assert_false(strain_fired(&s)); /* told once */
	}
	strain_end(&s);
	assert_false(strain_watches(&s));
	assert_int_equal(s.fd, -1);
	event_base_free(base);
}

static void without_psi_there_is_no_trigger(void **state unused_arg)
{
	struct event_base *base = event_base_new();
	struct strain s = {0};
	int fired = 0;

	assert_false(strain_watch(&s, base, "/nonexistent", on_fired, &fired));
	assert_int_equal(s.fd, -1);
	assert_false(strain_fired(&s));
	assert_false(strain_watches(&s));
	strain_end(&s);
	event_base_free(base);
}

static struct cgroup a_cgroup(int64_t working_set, int64_t limit)
{
	struct cgroup c = {.path = (char *)"/a", .state = CGROUP_LIVE};

	c.v[CGROUP_WORKING_SET] = working_set;
	c.v[CGROUP_LIMIT] = limit;
	return c;
}

static void a_cgroup_that_fills_up_is_seen(void **state unused_arg)
{
	static struct cgroup_tree t = {.high = 2};
	static struct strain s;
	struct pulse p = {0};
	struct cgroup filling = a_cgroup(20000, 40960), free_one = a_cgroup(1, METRIC_ABSENT);
	char why[PULSE_WHY_SIZE];

	t.by_id[0] = &filling;
	t.by_id[1] = &free_one;
	assert_false(strain_cgroups(&s, &t, &p, 10 * USEC_PER_SEC, why)); /* nothing to compare */
	free_one.v[CGROUP_WORKING_SET] = 1 << 30;
	assert_false(strain_cgroups(&s, &t, &p, 20 * USEC_PER_SEC, why));
	filling.v[CGROUP_WORKING_SET] = 30000;
	assert_true(strain_cgroups(&s, &t, &p, 30 * USEC_PER_SEC, why));
	assert_non_null(strstr(why, "/a reaches its limit"));
	assert_true(p.fast);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(figures_come_from_proc, folder_begin, folder_end),
		cmocka_unit_test(a_trigger_is_set_and_taken_back),
		cmocka_unit_test(without_psi_there_is_no_trigger),
		cmocka_unit_test(a_cgroup_that_fills_up_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
