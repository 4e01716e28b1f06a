/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/fleet/registry.h"

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define SEC   1000000LL
#define START (1700000000 * SEC)

static const uint8_t uuid[16] = {1, 2, 3};

static void fill(int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = METRIC_ABSENT;
}

static struct wire_process named(uint32_t pid, const char *comm)
{
	return (struct wire_process){.pid = pid,
				     .start_ticks = pid * 10,
				     .comm = comm,
				     .cmdline = comm,
				     .exe = "/bin/x",
				     .cgroup = "/",
				     .container = "",
				     .service = comm};
}

static void a_line_has_its_slope(void **state unused_arg)
{
	struct trend t = {0};
	double slope;
	double r2;

	for (int i = 0; i <= 90; i++)
		trend_add(&t, START + i * SEC, 1000 + i * 10);
	assert_true(trend_slope(&t, START + 90 * SEC, 3600 * SEC, &slope, &r2));
	assert_true(slope > 35000 && slope < 37000); /* 10 KiB a second */
	assert_true(r2 > 0.99);
}

static void a_flat_line_has_none(void **state unused_arg)
{
	struct trend t = {0};
	double slope;
	double r2;

	for (int i = 0; i <= 90; i++)
		trend_add(&t, START + i * SEC, 4096);
	assert_true(trend_slope(&t, START + 90 * SEC, 3600 * SEC, &slope, &r2));
	assert_true(slope == 0 && r2 == 0);
}

static void little_is_too_little(void **state unused_arg)
{
	struct trend t = {0};
	double slope;
	double r2;

	assert_false(trend_slope(&t, START, SEC, &slope, &r2));
	for (int i = 0; i < 50; i++)
		trend_add(&t, START + i * SEC, i);
	assert_false(trend_slope(&t, START + 50 * SEC, 3600 * SEC, &slope, &r2));
}

static void a_trend_thins_itself_and_stays_ordered(void **state unused_arg)
{
	struct trend t = {0};

	for (int i = 0; i < 100000; i++) {
		trend_add(&t, START + i * SEC, i);
		assert_true(t.n <= TREND_POINTS);
	}
	assert_int_equal(t.step_us, TREND_STEP_MAX_US);
	assert_int_equal(t.v[t.n - 1] / 100, 999);
	for (unsigned i = 1; i < t.n; i++)
		assert_true(t.t_us[i] - t.t_us[i - 1] >= TREND_STEP_MAX_US / 2);
	/* about an hour */
	assert_true(t.t_us[t.n - 1] - t.t_us[0] > 3000 * SEC);
}

static void old_and_absent_points_are_ignored(void **state unused_arg)
{
	struct trend t = {0};

	trend_add(&t, START, 1);
	trend_add(&t, START - SEC, 2);
	trend_add(&t, START + SEC, METRIC_ABSENT);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.v[0], 1);
}

static void the_culprit_is_who_grows_most(void **state unused_arg)
{
	struct registry r;
	struct host *h;
	int64_t v[METRIC_COUNT];
	struct wire_process a = named(1, "steady");
	struct wire_process b = named(2, "leaky");
	double growth;

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	fill(v, METRIC_COUNT);
	for (int i = 0; i <= 120; i++) {
		v[METRIC_RSS] = 900000;
		registry_sample(registry_process(h, 1, &a, START), v, START + i * SEC);
		v[METRIC_RSS] = 1000 + i * 100;
		registry_sample(registry_process(h, 2, &b, START), v, START + i * SEC);
	}
	assert_int_equal(host_culprit(h, START + 120 * SEC, &growth)->pid, 2);
	assert_true(growth > 300e6 && growth < 400e6); /* 100 KiB/s in bytes per hour */
	registry_fini(&r);
}

static void time_to_oom_needs_a_falling_line(void **state unused_arg)
{
	struct registry r;
	struct host *h;
	int64_t v[HOST_METRIC_COUNT];
	int64_t tto;

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	assert_int_equal(host_time_to_oom_us(h, START), -1);
	fill(v, HOST_METRIC_COUNT);
	for (int i = 0; i <= 100; i++) {
		v[HOST_METRIC_AVAILABLE] = 100000 - i * 100;
		registry_host_sample(h, v, START + i * SEC);
	}
	tto = host_time_to_oom_us(h, START + 100 * SEC);
	assert_true(tto > 850 * SEC && tto < 950 * SEC); /* 90000 KiB at 100 KiB/s */
	registry_fini(&r);
}

static void a_keyframe_keeps_the_strings(void **state unused_arg)
{
	struct registry r;
	struct host *h;
	struct wire_process full = named(5, "app");
	struct wire_process bare = {.pid = 5,
				    .start_ticks = 50,
				    .known = true,
				    .comm = "",
				    .cmdline = "",
				    .exe = "",
				    .cgroup = "",
				    .container = "",
				    .service = ""};

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	registry_process(h, 5, &full, START);
	registry_process(h, 5, &bare, START);
	assert_string_equal(registry_find_pid(h, 5)->comm, "app");
	/* exec: announced again with other strings */
	full.comm = "other";
	registry_process(h, 5, &full, START);
	assert_string_equal(registry_find_process(h, 5)->comm, "other");
	registry_remove_process(h, registry_find_process(h, 5));
	assert_null(registry_find_pid(h, 5));
	registry_fini(&r);
}

static void hosts_are_found_by_all_their_names(void **state unused_arg)
{
	struct registry r;

	registry_init(&r);
	assert_non_null(registry_host(&r, 7, uuid, "web"));
	assert_ptr_equal(registry_host(&r, 7, uuid, "renamed"), registry_find_host(&r, 7));
	assert_non_null(registry_find_host_uuid(&r, uuid));
	assert_non_null(registry_find_host_name(&r, "renamed"));
	assert_null(registry_find_host_name(&r, "web"));
	registry_remove_host(&r, 7);
	assert_null(registry_find_host(&r, 7));
	registry_remove_host(&r, 7);
	registry_fini(&r);
}

static struct wire_cgroup shop_cgroup(const char *limited_by)
{
	return (struct wire_cgroup){.version = 2,
				    .path = "/shop.service",
				    .name = "shop",
				    .runtime = "systemd",
				    .image = "",
				    .limited_by = limited_by};
}

static void a_cgroup_limits_who_is_in_it(void **state unused_arg)
{
	struct wire_cgroup info = shop_cgroup("");
	struct wire_process app = named(9, "app");
	int64_t host[HOST_METRIC_COUNT];
	int64_t v[CGROUP_METRIC_COUNT];
	struct registry r;
	struct process *p;
	struct cgroup *g;
	struct host *h;

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	p = registry_process(h, 9, &app, START);
	assert_int_equal(registry_limit_of(h, p), METRIC_ABSENT);
	fill(host, HOST_METRIC_COUNT);
	host[HOST_METRIC_TOTAL] = 8000000;
	registry_host_sample(h, host, START);
	assert_int_equal(registry_limit_of(h, p), 8000000);
	g = registry_cgroup(h, 5, &info, START);
	assert_int_equal(g->rev, 1);
	p->cgroup_id = 5;
	assert_ptr_equal(registry_cgroup_of(h, p), g);
	assert_int_equal(registry_limit_of(h, p), 8000000);
	fill(v, CGROUP_METRIC_COUNT);
	v[CGROUP_METRIC_LIMIT] = 512000;
	registry_cgroup_sample(g, v, START + SEC);
	assert_int_equal(registry_limit_of(h, p), 512000);
	/* told again as it is: nothing new; with another limit: it is */
	assert_ptr_equal(registry_cgroup(h, 5, &info, START), g);
	assert_int_equal(g->rev, 1);
	info = shop_cgroup("/");
	registry_cgroup(h, 5, &info, START);
	assert_int_equal(g->rev, 2);
	assert_string_equal(g->limited_by, "/");
	registry_remove_cgroup(h, g);
	assert_null(registry_cgroup_of(h, p));
	assert_int_equal(registry_limit_of(h, p), 8000000);
	registry_fini(&r);
}

static void a_kill_is_new_once(void **state unused_arg)
{
	struct registry r;
	struct host *h;

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	for (int64_t id = 1; id <= REGISTRY_KILLS; id++)
		assert_true(registry_kill_is_new(h, id));
	for (int64_t id = 1; id <= REGISTRY_KILLS; id++)
		assert_false(registry_kill_is_new(h, id));
	/* the oldest is forgotten for the newest */
	assert_true(registry_kill_is_new(h, 1000));
	assert_false(registry_kill_is_new(h, 1000));
	assert_true(registry_kill_is_new(h, 1));
	registry_fini(&r);
}

static void an_older_posture_does_not_replace_a_newer(void **state unused_arg)
{
	struct registry r;
	struct host *h;

	registry_init(&r);
	h = registry_host(&r, 7, uuid, "web");
	assert_null(h->posture);
	registry_posture(h, "[2]", START);
	registry_posture(h, "[1]", START - 1);
	assert_string_equal(h->posture, "[2]");
	registry_posture(h, "[3]", START + 1);
	assert_string_equal(h->posture, "[3]");
	registry_fini(&r);
}

static void without_memory_no_cgroup_is_half_made(void **state unused_arg)
{
	struct wire_cgroup info = shop_cgroup("/");
	struct cgroup *g = NULL;

	for (unsigned n = 1; !g; n++) {
		struct registry r;
		struct host *h;

		registry_init(&r);
		h = registry_host(&r, 1, uuid, "web");
		alloc_fail_at(n);
		g = registry_cgroup(h, 5, &info, START);
		(void)registry_kill_is_new(h, 1);
		registry_posture(h, "[]", START);
		alloc_fail_off();
		if (!g)
			assert_null(h->cgroups);
		registry_fini(&r);
	}
}

static void without_memory_nothing_is_half_made(void **state unused_arg)
{
	bool made = false;

	for (unsigned n = 1; !made; n++) {
		struct registry r;
		struct wire_process info = named(9, "app");
		struct host *h;
		struct process *p;

		registry_init(&r);
		alloc_fail_at(n);
		h = registry_host(&r, 1, uuid, "web");
		p = h ? registry_process(h, 9, &info, START) : NULL;
		alloc_fail_off();
		if (!h)
			assert_null(r.hosts);
		if (h && !p)
			assert_null(h->processes);
		made = p != NULL;
		assert_true(made != alloc_failed());
		registry_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_slope),
		cmocka_unit_test(a_flat_line_has_none),
		cmocka_unit_test(little_is_too_little),
		cmocka_unit_test(a_trend_thins_itself_and_stays_ordered),
		cmocka_unit_test(old_and_absent_points_are_ignored),
		cmocka_unit_test(the_culprit_is_who_grows_most),
		cmocka_unit_test(time_to_oom_needs_a_falling_line),
		cmocka_unit_test(a_keyframe_keeps_the_strings),
		cmocka_unit_test(hosts_are_found_by_all_their_names),
		cmocka_unit_test(a_cgroup_limits_who_is_in_it),
		cmocka_unit_test(a_kill_is_new_once),
		cmocka_unit_test(an_older_posture_does_not_replace_a_newer),
		cmocka_unit_test(without_memory_no_cgroup_is_half_made),
		cmocka_unit_test(without_memory_nothing_is_half_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
