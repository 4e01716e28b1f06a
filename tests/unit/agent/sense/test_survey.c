/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups, PSS, the host's figures and the flight ring, from files to the other end of the wire. */
#include "agent/sense/tick.h"

#include <stdio.h>
#include <string.h>

#include "agent/record.h"
#include "common/clock.h"
#include "tests/unit/agent/sense/fakeproc.h"

static struct {
	struct ticker t;
	struct delta_state state;
	struct arena arena;
	struct wire_tick tick;
	int64_t now_us;
	uint32_t ended; /* pids of the processes whose end was told, added up */
	unsigned ends;
} w;

static void on_end(void *arg unused_arg, uint32_t id unused_arg, const struct proc *p)
{
	w.ended += p->pid;
	w.ends++;
}

static void begin(void)
{
	struct ticker_config cfg = {.sampling = {.proc_path = fakeproc,
						 .max_processes = 100,
						 .stat_every = 12,
						 .full_every = 30},
				    .survey = {.pss_share = 10000},
				    .interval_us = 10 * USEC_PER_SEC,
				    .keyframe_us = 300 * USEC_PER_SEC,
				    .window_us = 1800 * USEC_PER_SEC};
	struct error err;

	fake_begin();
	memset(&w, 0, sizeof(w));
	cfg.survey.mount.version = CGROUP_V2;
	snprintf(cfg.survey.mount.path, sizeof(cfg.survey.mount.path), "%s/cg", fakeproc);
	strcpy(cfg.survey.mount.root, "/");
	cfg.survey.sys_block = "/nonexistent";
	mkdir(cfg.survey.mount.path, 0755);
	assert_int_equal(ticker_init(&w.t, &cfg, &err), 0);
	w.t.on_end = on_end;
	delta_init(&w.state);
	arena_init(&w.arena, (size_t)64 << 20);
	w.now_us = 1800 * USEC_PER_SEC * 1000 + 1;
}

static void end(void)
{
	ticker_fini(&w.t);
	delta_fini(&w.state);
	arena_fini(&w.arena);
	fake_end();
}

static void round_trip(int64_t after_us)
{
	struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};
	bool keyframe;

	w.now_us += after_us;
	arena_reset(&w.arena);
	if (ticker_round(&w.t, w.now_us, w.now_us, &body, &keyframe, &err) < 0 ||
	    wire_unpack_tick(&w.arena, body.data, body.len, &w.tick, &err) < 0 ||
	    delta_apply(&w.state, &w.tick, &err) < 0)
		fail_msg("%s", err.msg);
	buf_fini(&body);
}

static void cgroup_file(const char *cgroup, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/cg/%s", fakeproc, cgroup);
	for (char *p = path + strlen(fakeproc) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "cg/%s/%s", cgroup, file);
	fake_file(path, text, strlen(text));
}

static void cgroup_put(const char *cgroup, int64_t bytes, const char *max)
{
	char text[128];

	snprintf(text, sizeof(text), "%lld\n", (long long)bytes);
	cgroup_file(cgroup, "memory.current", text);
	snprintf(text, sizeof(text),
		 "anon %lld\nfile 4096\nshmem 0\ninactive_file 4096\nkernel 8192\n",
		 (long long)bytes - 12288);
	cgroup_file(cgroup, "memory.stat", text);
	cgroup_file(cgroup, "memory.max", max);
	cgroup_file(cgroup, "memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n");
}

static void process_in(unsigned pid, const char *cgroup, unsigned resident)
{
	const struct fake f = {
		.pid = pid, .comm = "x", .size = 9999, .resident = resident, .start = pid};
	char text[128];

	fake_put(&f);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	fake_text(pid, "cgroup", text, strlen(text));
}

/* What was announced of it in the last tick; one with an empty path when nothing was. */
static const struct wire_cgroup *announced(const char *path)
{
	static const struct wire_cgroup none = {.path = "",
						.name = "",
						.runtime = "",
						.limited_by = "?"};

	for (size_t i = 0; i < w.tick.n_cgroups; i++)
		if (strcmp(w.tick.cgroups[i].path, path) == 0)
			return &w.tick.cgroups[i];
	return &none;
}

static bool is_announced(const char *path)
{
	return *announced(path)->path;
}

#define MEMINFO "MemTotal: 9000000 kB\nMemAvailable: 400 kB\n"
#define UNIT    "/system.slice/shop.service"

static void a_service_comes_with_its_cgroup(void **state unused_arg)
{
	const struct wire_cgroup *c;
	const int64_t *v;

	begin();
	fake_file("meminfo", MEMINFO, sizeof(MEMINFO) - 1);
	cgroup_put("system.slice", 80 << 20, "104857600\n");
	cgroup_put("system.slice/shop.service", 40 << 20, "max\n");
	process_in(10, UNIT, 100);
	process_in(11, UNIT, 100);
	round_trip(USEC_PER_SEC);
	c = announced(UNIT);
	assert_string_equal(c->name, "shop");
	assert_string_equal(c->runtime, "systemd");
	assert_string_equal(c->limited_by, "/system.slice");
	assert_int_equal(c->version, 2);
	assert_true(is_announced("/system.slice"));
	assert_int_equal(w.tick.n_born, 2);
	assert_int_equal(w.tick.born[0].cgroup_id, c->id + 1);
	v = delta_object_values(&w.state, DELTA_CGROUP, c->id);
	assert_int_equal(v[CGROUP_METRIC_USAGE], 40 << 10);
	assert_int_equal(v[CGROUP_METRIC_WORKING_SET], (40 << 10) - 4);
	assert_int_equal(v[CGROUP_METRIC_KERNEL], 8);
	assert_true(v[CGROUP_METRIC_OWN_LIMIT] == METRIC_ABSENT);
	assert_int_equal(v[CGROUP_METRIC_LIMIT], 100 << 10);
	assert_int_equal(v[CGROUP_METRIC_EVENTS_MAX], 7);
	assert_int_equal(v[CGROUP_METRIC_OOM_KILLS], 2);
	assert_int_equal(v[CGROUP_METRIC_PROCESSES], 2);
	v = delta_object_values(&w.state, DELTA_CGROUP, announced("/system.slice")->id);
	assert_int_equal(v[CGROUP_METRIC_OWN_LIMIT], 100 << 10);
	assert_int_equal(v[CGROUP_METRIC_PROCESSES], 2);
	/* who has ended is none of its processes in that very round */
	fake_remove(11);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(v[CGROUP_METRIC_PROCESSES], 1);
	end();
}

static void a_cgroup_changes_and_goes(void **state unused_arg)
{
	uint32_t id;

	begin();
	fake_file("meminfo", MEMINFO, sizeof(MEMINFO) - 1);
	cgroup_put("a", 40 << 20, "max\n");
	process_in(10, "/a", 100);
	round_trip(USEC_PER_SEC);
	assert_true(is_announced("/a"));
	id = announced("/a")->id;
	assert_string_equal(announced("/a")->limited_by, "");
	cgroup_put("a", 41 << 20, "max\n");
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.tick.n_cgroups, 0);
	assert_int_equal(delta_object_values(&w.state, DELTA_CGROUP, id)[CGROUP_METRIC_USAGE],
			 41 << 10);
	/* it gets a limit: told anew within a full reading */
	cgroup_put("a", 42 << 20, "67108864\n");
	for (unsigned i = 0; i < CGROUP_FULL_EVERY && !is_announced("/a"); i++)
		round_trip(10 * USEC_PER_SEC);
	assert_true(is_announced("/a"));
	assert_string_equal(announced("/a")->limited_by, "/a");
	assert_int_equal(w.tick.n_cgroups_gone, 1);
	assert_int_equal(delta_object_values(&w.state, DELTA_CGROUP, id)[CGROUP_METRIC_LIMIT],
			 64 << 10);
	fake_remove(10);
	round_trip(10 * USEC_PER_SEC);
	round_trip(10 * USEC_PER_SEC);
	assert_null(delta_object(&w.state, DELTA_CGROUP, id));
	end();
}

static void a_keyframe_tells_all_cgroups(void **state unused_arg)
{
	begin();
	cgroup_put("a", 40 << 20, "max\n");
	process_in(10, "/a", 100);
	round_trip(USEC_PER_SEC);
	ticker_restart(&w.t);
	round_trip(10 * USEC_PER_SEC);
	assert_true(w.tick.keyframe);
	assert_true(is_announced("/a"));
	assert_non_null(delta_object(&w.state, DELTA_CGROUP, announced("/a")->id));
	end();
}

static void pss_is_measured_and_then_estimated(void **state unused_arg)
{
	unsigned page_kib = (unsigned)sysconf(_SC_PAGESIZE) / 1024;
	char text[256];
	int n;

	begin();
	process_in(10, "/", 1000);
	n = snprintf(text, sizeof(text),
		     "0-1 ---p 0 0:0 0 [rollup]\nRss: %u kB\nPss: %u kB\nPrivate_Clean: 0 kB\n"
		     "Private_Dirty: %u kB\nPrivate_Hugetlb: 0 kB\n",
		     1000 * page_kib, 500 * page_kib, 400 * page_kib);
	fake_text(10, "smaps_rollup", text, (size_t)n);
	for (int i = 0; i < 12 && w.t.survey.pss.sum.reads == 0; i++)
		round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.state.slots[0].v[METRIC_PSS], 500 * page_kib);
	assert_int_equal(w.state.slots[0].v[METRIC_USS], 400 * page_kib);
	/* half as much again is resident, and it was not read anew */
	survey_allow_pss(&w.t.survey, 0);
	process_in(10, "/", 1500);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.state.slots[0].v[METRIC_RSS], 1500 * page_kib);
	assert_in_range(w.state.slots[0].v[METRIC_PSS], 740 * page_kib, 760 * page_kib);
	assert_int_equal(w.state.host[HOST_METRIC_PSS_READS], 1);
	end();
}

static void the_host_tells_pressure_and_reclaim(void **state unused_arg)
{
	static const char vmstat[] = "pgscan_kswapd 11\npgscan_direct 12\npgsteal_kswapd 9\n"
				     "pswpin 3\npswpout 4\noom_kill 2\nallocstall_normal 5\n"
				     "allocstall_movable 6\n";
	static const char psi[] = "some avg10=12.34 avg60=0.00 avg300=0.00 total=5000000\n"
				  "full avg10=0.50 avg60=0.00 avg300=0.00 total=2000\n";
	char path[128];

	begin();
	fake_file("vmstat", vmstat, sizeof(vmstat) - 1);
	snprintf(path, sizeof(path), "%s/pressure", fakeproc);
	mkdir(path, 0755);
	fake_file("pressure/memory", psi, sizeof(psi) - 1);
	round_trip(USEC_PER_SEC);
	assert_int_equal(w.state.host[HOST_METRIC_SCAN_KSWAPD], 11);
	assert_int_equal(w.state.host[HOST_METRIC_STEAL_KSWAPD], 9);
	assert_int_equal(w.state.host[HOST_METRIC_SWAP_OUT], 4);
	assert_int_equal(w.state.host[HOST_METRIC_OOM_KILLS], 2);
	assert_int_equal(w.state.host[HOST_METRIC_ALLOC_STALLS], 11);
	assert_int_equal(w.state.host[HOST_METRIC_PSI_SOME10], 1234);
	assert_int_equal(w.state.host[HOST_METRIC_PSI_SOME], 5000);
	assert_int_equal(w.state.host[HOST_METRIC_PSI_FULL], 2);
	assert_true(w.state.host[HOST_METRIC_REFAULTS] == METRIC_ABSENT);
	assert_true(w.state.host[HOST_METRIC_RING] > 0);
	end();
}

static void the_ring_knows_who_grew_and_who_ended(void **state unused_arg)
{
	static const int64_t spans[RING_SPANS] = {60 * USEC_PER_SEC, 600 * USEC_PER_SEC,
						  3600 * USEC_PER_SEC};
	unsigned page_kib = (unsigned)sysconf(_SC_PAGESIZE) / 1024;
	auto_free struct ring_grown *g = NULL;
	size_t n;
	bool seen = false;

	begin();
	process_in(10, "/", 1000);
	process_in(11, "/", 500);
	round_trip(USEC_PER_SEC);
	for (unsigned i = 1; i <= 12; i++) {
		process_in(10, "/", 1000 + i * 100);
		round_trip(10 * USEC_PER_SEC);
	}
	fake_remove(10);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.ended, 10);
	assert_int_equal(w.ends, 1);
	assert_int_equal(ring_growth(&w.t.survey.ring, w.now_us, spans, &g, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (g[i].who->pid != 10)
			continue;
		seen = true;
		assert_int_equal(g[i].rss, 2200 * page_kib);
		assert_int_equal(ring_gain(&g[i], 0, w.now_us, spans[0]), 500 * page_kib);
		assert_true(g[i].who->exit_us > 0);
	}
	assert_true(seen);
	end();
}

static void an_exec_is_no_end(void **state unused_arg)
{
	struct fake f = {
		.pid = 10, .comm = "sh", .cmdline = "sh", .size = 9, .resident = 5, .start = 7};

	begin();
	round_trip(USEC_PER_SEC);
	fake_put(&f);
	round_trip(10 * USEC_PER_SEC); /* fresh: is looked at again one round later */
	f.comm = "python3";
	f.cmdline = "python3";
	fake_put(&f);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.tick.n_born, 1);
	assert_int_equal(w.ends, 0);
	fake_remove(10);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.ends, 1);
	end();
}

static void a_zombie_has_ended_once(void **state unused_arg)
{
	struct fake f = {.pid = 10, .comm = "x", .size = 9, .resident = 5, .start = 7};

	begin();
	fake_put(&f);
	round_trip(USEC_PER_SEC);
	f.size = f.resident = 0;
	f.state = 'Z';
	fake_put(&f);
	for (int i = 0; i < 3; i++)
		round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.ends, 1);
	fake_remove(10);
	round_trip(10 * USEC_PER_SEC);
	assert_int_equal(w.ends, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_comes_with_its_cgroup),
		cmocka_unit_test(a_cgroup_changes_and_goes),
		cmocka_unit_test(a_keyframe_tells_all_cgroups),
		cmocka_unit_test(pss_is_measured_and_then_estimated),
		cmocka_unit_test(the_host_tells_pressure_and_reclaim),
		cmocka_unit_test(the_ring_knows_who_grew_and_who_ended),
		cmocka_unit_test(an_exec_is_no_end),
		cmocka_unit_test(a_zombie_has_ended_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
