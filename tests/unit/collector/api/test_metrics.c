/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/metrics.h"

#include <string.h>

#include "common/clock.h"
#include "tests/support/test.h"

#define NOW_US (1700000000 * USEC_PER_SEC)

struct page {
	struct registry registry;
	struct buf out;
};

static struct host *add_host(struct page *p, int32_t id, const char *name)
{
	const uint8_t uuid[16] = {(uint8_t)id};
	struct host *h = registry_host(&p->registry, id, uuid, name);

	assert_non_null(h);
	return h;
}

static void add_process(struct host *h, int64_t id, const char *service, int64_t rss_kib)
{
	const struct wire_process info = {.pid = (uint32_t)id,
					  .comm = "c",
					  .cmdline = "c",
					  .exe = "/c",
					  .cgroup = "/",
					  .container = "",
					  .service = service};
	struct process *p = registry_process(h, id, &info, NOW_US);
	int64_t v[METRIC_COUNT];

	assert_non_null(p);
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = rss_kib;
	registry_sample(p, v, NOW_US);
}

static void print(struct page *p, bool openmetrics)
{
	const struct metrics_input in = {.registry = &p->registry, .now_us = NOW_US};

	assert_int_equal(metrics_write(&p->out, &in, openmetrics), 0);
	buf_putc(&p->out, '\0');
}

static unsigned count(const struct page *p, const char *text)
{
	const char *at = (const char *)p->out.data;
	unsigned n = 0;

	while ((at = strstr(at, text))) {
		at += strlen(text);
		n++;
	}
	return n;
}

static int set_up(void **state)
{
	struct page *p = calloc(1, sizeof(*p));

	registry_init(&p->registry);
	buf_init(&p->out, 1 << 20);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct page *p = *state;

	registry_fini(&p->registry);
	buf_fini(&p->out);
	free(p);
	return 0;
}

static void hosts_of_one_name_have_two_labels(void **state)
{
	struct page *p = *state;

	add_host(p, 7, "web");
	add_host(p, 3, "web");
	add_host(p, 5, "db")->connected = true;
	print(p, false);
	assert_int_equal(count(p, "\nmemherd_host_up{host=\"web\"} 0\n"), 1);
	assert_int_equal(count(p, "\nmemherd_host_up{host=\"web#7\"} 0\n"), 1);
	assert_int_equal(count(p, "\nmemherd_host_up{host=\"db\"} 1\n"), 1);
	assert_int_equal(count(p, "# TYPE memherd_host_up gauge\n"), 1);
}

static void what_was_never_told_has_no_sample(void **state)
{
	struct page *p = *state;

	add_host(p, 1, "web");
	print(p, false);
	assert_int_equal(count(p, "memherd_host_total_bytes{"), 0);
	assert_int_equal(count(p, "memherd_host_time_to_oom_seconds{"), 0);
	assert_int_equal(count(p, "memherd_host_agent_rss_bytes{"), 0);
	assert_int_equal(count(p, "memherd_host_processes{host=\"web\"} 0\n"), 1);
}

static void labels_are_escaped(void **state)
{
	struct page *p = *state;
	struct host *h = add_host(p, 1, "a\"b");

	add_process(h, 1, "x\\y\nz", 2048);
	add_process(h, 2, "x\\y\nz", 1024);
	print(p, true);
	assert_int_equal(
		count(p, "\nmemherd_service_rss_bytes{host=\"a\\\"b\",service=\"x\\\\y\\nz\"} "
			 "3145728\n"),
		1);
	assert_int_equal(count(p, "memherd_service_processes{"), 1);
	assert_int_equal(count(p, "# TYPE memherd_http_requests counter\n"), 1);
	assert_string_equal((const char *)p->out.data + p->out.len - strlen("# EOF\n") - 1,
			    "# EOF\n");
}

/* Two workers of a service collect, one ends: the sum stays. Both began before we watched. */
static void collections_are_counted_by_service(void **state)
{
	struct page *p = *state;
	struct host *h = add_host(p, 1, "web");
	int64_t then[METRIC_COUNT], now[METRIC_COUNT];

	for (int i = 0; i < METRIC_COUNT; i++)
		then[i] = METRIC_ABSENT;
	memcpy(now, then, sizeof(now));
	gctotals_add(&h->gc, "shop", then, now);
	print(p, false);
	assert_int_equal(count(p, "memherd_python_gc_collections_total{"), 0);
	buf_reset(&p->out);
	now[METRIC_GC0] = 1000;
	now[METRIC_GC2] = 7;
	now[METRIC_COLLECTED] = 50;
	now[METRIC_UNCOLLECTABLE] = 0;
	gctotals_add(&h->gc, "shop", then, now);
	memcpy(then, now, sizeof(then));
	now[METRIC_GC0] += 5;
	now[METRIC_GC2] += 1;
	now[METRIC_COLLECTED] += 20;
	gctotals_add(&h->gc, "shop", then, now);
	gctotals_add(&h->gc, "shop", then, now);
	print(p, false);
	assert_int_equal(count(p, "memherd_python_gc_collections_total{host=\"web\","
				  "service=\"shop\",generation=\"0\"} 10\n"),
			 1);
	assert_int_equal(count(p, "service=\"shop\",generation=\"2\"} 2\n"), 1);
	assert_int_equal(count(p, "memherd_python_gc_collected_total{host=\"web\","
				  "service=\"shop\"} 40\n"),
			 1);
	assert_int_equal(count(p, "memherd_python_gc_uncollectable_total{host=\"web\","
				  "service=\"shop\"} 0\n"),
			 1);
}

static void services_are_bounded(void **state)
{
	struct page *p = *state;
	struct host *h = add_host(p, 1, "web");
	char name[16];

	for (int i = 1; i <= 3 * METRICS_SERVICES_TOP; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add_process(h, i, name, 1000 + i);
	}
	print(p, false);
	assert_int_equal(count(p, "\nmemherd_service_rss_bytes{"), METRICS_SERVICES_TOP);
	assert_int_equal(count(p, "service=\"s60\"} "), 3); /* the largest, in each family */
	assert_int_equal(count(p, "service=\"s1\"} "), 0);
}

static void add_cgroup(struct host *h, const char *path, const char *runtime,
		       const char *limited_by, int64_t kib)
{
	const struct wire_cgroup info = {.version = 2,
					 .path = path,
					 .name = "box",
					 .runtime = runtime,
					 .image = "",
					 .limited_by = limited_by};
	struct cgroup *g = registry_cgroup(h, kib, &info, NOW_US);
	int64_t v[CGROUP_METRIC_COUNT];

	assert_non_null(g);
	for (int i = 0; i < CGROUP_METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[CGROUP_METRIC_WORKING_SET] = kib;
	v[CGROUP_METRIC_OOM_KILLS] = 4;
	registry_cgroup_sample(g, v, NOW_US);
}

static void cgroups_that_are_limited_are_told(void **state)
{
	struct page *p = *state;
	struct host *h = add_host(p, 1, "web");
	char path[16];

	add_cgroup(h, "/free.service", "systemd", "", 1);
	add_cgroup(h, "/box", "docker", "", 2);
	add_cgroup(h, "/tight.service", "systemd", "/tight.service", 3);
	print(p, true);
	assert_int_equal(count(p, "cgroup=\"/free.service\""), 0);
	assert_int_equal(count(p, "\nmemherd_cgroup_working_set_bytes{host=\"web\",cgroup=\"/box\","
				  "name=\"box\"} 2048\n"),
			 1);
	assert_int_equal(count(p, "\nmemherd_cgroup_oom_kills_total{host=\"web\",cgroup=\"/tight."
				  "service\",name=\"box\"} 4\n"),
			 1);
	assert_int_equal(count(p, "# TYPE memherd_cgroup_oom_kills counter\n"), 1);
	assert_int_equal(count(p, "memherd_cgroup_limit_bytes{"), 0);
	for (int i = 10; i < 10 + 2 * METRICS_CGROUPS_TOP; i++) {
		snprintf(path, sizeof(path), "/g%d", i);
		add_cgroup(h, path, "docker", "/", i);
	}
	buf_reset(&p->out);
	print(p, false);
	assert_int_equal(count(p, "\nmemherd_cgroup_working_set_bytes{"), METRICS_CGROUPS_TOP);
	assert_int_equal(count(p, "cgroup=\"/box\""), 0);
}

static void kills_are_counted_by_their_scope(void **state)
{
	struct page *p = *state;
	struct host *h = add_host(p, 1, "web");

	h->kills.scopes[KILL_SCOPE_CGROUP] = 3;
	h->v[HOST_METRIC_OOM_KILLS] = 9;
	h->v[HOST_METRIC_PSI_SOME10] = 1234;
	h->v[HOST_METRIC_AGENT_CPU] = 1500;
	print(p, false);
	assert_int_equal(count(p, "\nmemherd_oom_kills_total{host=\"web\",scope=\"cgroup\"} 3\n"),
			 1);
	assert_int_equal(count(p, "\nmemherd_oom_kills_total{host=\"web\",scope=\"host\"} 0\n"), 1);
	assert_int_equal(count(p, "\nmemherd_host_oom_kills_total{host=\"web\"} 9\n"), 1);
	assert_int_equal(count(p, "\nmemherd_host_pressure_some_ratio{host=\"web\"} 0.1234\n"), 1);
	assert_int_equal(count(p, "\nmemherd_agent_cpu_seconds_total{host=\"web\"} 1.5\n"), 1);
	assert_int_equal(count(p, "memherd_host_pressure_full_ratio{"), 0);
}

static void a_small_buffer_is_an_error(void **state)
{
	struct page *p = *state;
	const struct metrics_input in = {.registry = &p->registry, .now_us = NOW_US};
	struct buf small = BUF_INIT(64);

	assert_true(metrics_write(&small, &in, false) < 0);
	buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hosts_of_one_name_have_two_labels, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_was_never_told_has_no_sample, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(labels_are_escaped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(collections_are_counted_by_service, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(services_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cgroups_that_are_limited_are_told, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(kills_are_counted_by_their_scope, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_small_buffer_is_an_error, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
