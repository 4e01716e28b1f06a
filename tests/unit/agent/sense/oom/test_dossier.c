/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/oom/dossier.h"

#include <errno.h>
#include <signal.h>

#include "common/clock.h"
#include "common/str.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define MINUTE (60 * USEC_PER_SEC)
#define NOW    (180 * MINUTE)
#define MIB    1024u

static const uint8_t boot[16] = {1, 2, 3};

/* Processes in the ring, by proctab's id; what is asked of the owner is answered from here. */
static struct {
	struct ring ring;
	struct {
		uint32_t pid;
		const char *cgroup;
		bool unlimited;
	} procs[256];
	uint32_t n;
	unsigned asked;
	int64_t host[HOST_METRIC_COUNT];
	struct ring_grown *grown;
	struct arena arena;
	struct oom_kill kill;
	struct dossier_facts f;
	struct wire_kill out;
} w;

static enum dossier_known on_find(void *arg unused_arg, int64_t pid, uint32_t *ret_slot)
{
	w.asked++;
	for (uint32_t i = 0; i < w.n; i++) {
		if (w.procs[i].pid != pid)
			continue;
		*ret_slot = ring_slot(&w.ring, i);
		return *ret_slot == RING_NO_SLOT ? DOSSIER_UNKNOWN : DOSSIER_KNOWN;
	}
	return DOSSIER_NEW;
}

static uint32_t index_of(const struct ring_who *who)
{
	uint32_t i = 0;

	while (i < w.n && w.procs[i].pid != who->pid)
		i++;
	assert_true(i < w.n);
	return i;
}

static const char *on_cgroup(void *arg unused_arg, const struct ring_who *who)
{
	return w.procs[index_of(who)].cgroup;
}

static bool on_unlimited(void *arg unused_arg, const struct ring_who *who)
{
	return w.procs[index_of(who)].unlimited;
}

static int begin(void **state unused_arg)
{
	memset(&w, 0, sizeof(w));
	assert_int_equal(ring_init(&w.ring, &ring_defaults), 0);
	arena_init(&w.arena, DOSSIER_ARENA);
	oom_kill_init(&w.kill);
	for (size_t i = 0; i < HOST_METRIC_COUNT; i++)
		w.host[i] = METRIC_ABSENT;
	w.f = (struct dossier_facts){.kill = &w.kill,
				     .boot_id = boot,
				     .seq = 501,
				     .wall_us = 1800000000 * USEC_PER_SEC,
				     .now_us = NOW,
				     .ring = &w.ring,
				     .host = w.host,
				     .kills_so_far = 3,
				     .trigger_tgid = METRIC_ABSENT,
				     .find = on_find,
				     .cgroup = on_cgroup,
				     .unlimited = on_unlimited};
	return 0;
}

static int finish(void **state unused_arg)
{
	free(w.grown);
	oom_kill_fini(&w.kill);
	arena_fini(&w.arena);
	ring_fini(&w.ring);
	return 0;
}

/* ---- the past: a round each minute, values by a line through what was and what is ---- */

struct past {
	uint32_t pid;
	const char *comm;
	const char *service;
	const char *container;
	const char *cgroup;
	uint32_t mib[4]; /* 60, 10, 1 minutes ago and in the last round */
};

static uint32_t value_at(const struct past *p, int minute)
{
	return MIB * (minute >= 60   ? p->mib[0]
		      : minute >= 10 ? p->mib[1]
		      : minute >= 1  ? p->mib[2]
				     : p->mib[3]);
}

static void remember(const struct past *p, uint32_t n)
{
	w.n = n;
	for (int minute = 61; minute >= 0; minute--) {
		ring_round_begin(&w.ring, NOW - minute * MINUTE, 1u << RING_SLOW);
		for (uint32_t i = 0; i < n; i++) {
			struct ring_birth b = {.pid = p[i].pid,
					       .start_ticks = p[i].pid * 10,
					       .uid = 1000,
					       .comm = p[i].comm,
					       .service = p[i].service,
					       .container = p[i].container};

			if (minute == 61)
				assert_int_equal(ring_birth(&w.ring, i, &b), 0);
			ring_value(&w.ring, i, value_at(&p[i], minute), 0);
		}
		ring_round_end(&w.ring);
	}
	for (uint32_t i = 0; i < n; i++) {
		w.procs[i].pid = p[i].pid;
		w.procs[i].cgroup = p[i].cgroup;
	}
}

/* What was told is also what a receiver takes. */
static const struct wire_kill *make(void)
{
	struct arena a;
	struct error err = {""};
	struct wire_kill got;
	struct buf b;

	dossier_spans(&w.ring, w.f.now_us, w.f.spans_us);
	free(take_ptr(w.grown));
	assert_int_equal(ring_growth(&w.ring, w.f.now_us, w.f.spans_us, &w.grown, &w.f.n_grown), 0);
	w.f.grown = w.grown;
	assert_int_equal(dossier_make(&w.arena, &w.f, &w.out), 0);
	buf_init(&b, 1 << 20);
	wire_pack_kill(&b, &w.out);
	assert_int_equal(buf_status(&b), 0);
	assert_true(b.len < DOSSIER_MAX_PACKED);
	arena_init(&a, WIRE_BUDGET(b.len));
	if (wire_unpack_kill(&a, b.data, b.len, &got, &err) < 0)
		fail_msg("refused: %s", err.msg);
	arena_fini(&a);
	buf_fini(&b);
	return &w.out;
}

static void memcg_kill(int64_t pid, const char *comm, const char *limit, const char *victim)
{
	w.kill.pid = pid;
	w.kill.seq = 501;
	w.kill.scope = OOM_SCOPE_MEMCG;
	w.kill.complete = true;
	strcpy(w.kill.comm, comm);
	strcpy(w.kill.limit_cgroup, limit);
	strcpy(w.kill.victim_cgroup, victim);
	w.kill.usage = w.kill.limit = 400 * MIB;
}

static void table(const int64_t (*rows)[2], size_t n)
{
	w.kill.tasks = calloc(n, sizeof(*w.kill.tasks));
	assert_non_null(w.kill.tasks);
	for (size_t i = 0; i < n; i++) {
		struct oom_task *t = &w.kill.tasks[i];

		for (size_t k = 0; k < OOM_TASK_COUNT; k++)
			t->v[k] = METRIC_ABSENT;
		t->v[OOM_TASK_PID] = t->v[OOM_TASK_TGID] = rows[i][0];
		t->v[OOM_TASK_RSS] = rows[i][1] * MIB;
		snprintf(t->comm, sizeof(t->comm), "task%u", (unsigned)i % 1000);
	}
	w.kill.n_tasks = n;
	w.kill.tasks_seen = (uint32_t)n;
}

/* ---- the tests ---- */

static const struct past shop[] = {
	{10, "gunicorn", "shop", "web", "/docker/shop", {100, 100, 100, 100}},
	{11, "gunicorn", "shop", "web", "/docker/shop", {80, 90, 150, 160}},
	{12, "redis", "cache", "", "/docker/shop/in", {20, 21, 22, 23}},
	{13, "rsync", "backup", "", "/system.slice/backup", {10, 400, 800, 900}},
};

static void a_cgroups_kill_names_victim_trigger_limit_and_who_grew_inside(void **state unused_arg)
{
	static const int64_t rows[][2] = {{10, 100}, {11, 260}, {12, 23}};
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	memcg_kill(10, "gunicorn", "/docker/shop", "/docker/shop");
	w.kill.victim[OOM_VICTIM_ANON] = 95 * MIB;
	w.kill.victim[OOM_VICTIM_FILE] = 5 * MIB;
	w.kill.victim[OOM_VICTIM_UID] = 33;
	strcpy(w.kill.trigger.comm, "redis");
	w.kill.trigger.pid = 12;
	w.kill.trigger.order = 0;
	w.kill.stat[OOM_STAT_ANON] = 390 * MIB;
	table(rows, ARRAY_SIZE(rows));
	w.host[HOST_METRIC_TOTAL] = 4096 * MIB;
	k = make();
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(k->confidence, KILL_CONFIDENCE_CERTAIN);
	assert_int_equal(k->seq, 501);
	assert_memory_equal(k->boot_id, boot, 16);
	assert_int_equal(k->victim.pid, 10);
	assert_int_equal(k->victim.start_ticks, 100);
	assert_int_equal(k->victim.uid, 33);
	assert_string_equal(k->victim.service, "shop");
	assert_string_equal(k->victim.container, "web");
	assert_int_equal(k->victim.v[KILL_FIGURE_RSS], 100 * MIB);
	assert_int_equal(k->victim.v[KILL_FIGURE_ANON], 95 * MIB);
	assert_int_equal(k->victim.v[KILL_FIGURE_GROWN_60M], 0);
	assert_int_equal(k->trigger.pid, 12);
	assert_int_equal(k->trigger.start_ticks, 120);
	assert_string_equal(k->trigger.service, "cache");
	assert_string_equal(k->limit_cgroup, "/docker/shop");
	assert_string_equal(k->limit_owner, "shop");
	/* 260 MiB says the kernel; the last round knew 160. rsync is outside. */
	assert_int_equal(k->n_growers, 2);
	assert_int_equal(k->growers[0].pid, 11);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_1M], 110 * MIB);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_10M], 170 * MIB);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_60M], 180 * MIB);
	assert_int_equal(k->growers[1].pid, 12);
	assert_int_equal(k->n_tasks, 3);
	assert_int_equal(k->tasks[0].pid, 11);
	assert_string_equal(k->tasks[0].service, "shop");
	assert_int_equal(k->v[KILL_TOTAL_LIMIT], 400 * MIB);
	assert_int_equal(k->v[KILL_TOTAL_CG_ANON], 390 * MIB);
	assert_int_equal(k->v[KILL_TOTAL_HOST_TOTAL], 4096 * MIB);
	assert_true(k->v[KILL_TOTAL_HOST_AVAILABLE] == KILL_ABSENT);
	assert_int_equal(k->v[KILL_TOTAL_KILLS_SO_FAR], 3);
	assert_int_equal(k->ring_seconds, 61 * 60);
	assert_non_null(strstr(k->verdict, "task1 (pid 11) had grown most, by 170 MiB in 10 min"));
	assert_true(k->n_advice >= 1);
}

static void without_a_table_the_ring_says_who_grew_inside(void **state unused_arg)
{
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	memcg_kill(10, "gunicorn", "/docker/shop", "/docker/shop");
	k = make();
	assert_int_equal(k->n_growers, 2);
	assert_int_equal(k->growers[0].pid, 11);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_10M], 70 * MIB);
	assert_int_equal(k->growers[1].pid, 12);
	/* '/docker/shopping' is not inside '/docker/shop'. */
	w.procs[1].cgroup = "/docker/shopping";
	assert_int_equal(make()->n_growers, 1);
	w.procs[2].cgroup = NULL;
	assert_int_equal(make()->n_growers, 0);
}

static void a_kill_of_the_host_looks_at_all(void **state unused_arg)
{
	static const int64_t rows[][2] = {{10, 100}, {11, 160}};
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	w.kill.pid = 11;
	w.kill.scope = OOM_SCOPE_GLOBAL;
	w.kill.complete = true;
	strcpy(w.kill.comm, "gunicorn");
	table(rows, ARRAY_SIZE(rows));
	w.procs[3].unlimited = true;
	w.host[HOST_METRIC_TOTAL] = 4096 * MIB;
	w.host[HOST_METRIC_SWAP_TOTAL] = 0;
	k = make();
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_GLOBAL);
	assert_string_equal(k->limit_cgroup, "");
	assert_string_equal(k->limit_owner, "");
	/* rsync: not in the table that was kept, and the largest growth of all. */
	assert_int_equal(k->growers[0].pid, 13);
	assert_int_equal(k->growers[1].pid, 11);
	assert_int_equal(k->n_growers, 3);
	assert_non_null(strstr(k->verdict, "rsync (pid 13) of backup had grown most"));
	assert_non_null(strstr(k->advice[0], "backup had no memory limit"));
	assert_non_null(strstr(k->advice[1], "no swap"));
}

static void recent_growth_goes_before_old_growth(void **state unused_arg)
{
	static const struct past procs[] = {
		{10, "old", "a", "", "/", {100, 2100, 2100, 2100}},
		{11, "leak", "b", "", "/", {100, 1000, 1170, 1200}},
		{12, "burst", "c", "", "/", {100, 100, 100, 1600}},
		{13, "shrunk", "d", "", "/", {4000, 3000, 2000, 1000}},
	};
	const struct wire_kill *k;

	remember(procs, ARRAY_SIZE(procs));
	w.kill.pid = 10;
	w.kill.scope = OOM_SCOPE_GLOBAL;
	k = make();
	assert_int_equal(k->n_growers, 3);
	assert_int_equal(k->growers[0].pid, 12);
	assert_int_equal(k->growers[1].pid, 10);
	assert_int_equal(k->growers[2].pid, 11);
}

static void who_was_not_there_in_the_last_round_has_all_of_it_grown(void **state unused_arg)
{
	static const int64_t rows[][2] = {{99, 350}, {12, 23}};
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	memcg_kill(99, "hog", "/docker/shop", "/docker/shop");
	w.f.victim_start = 4711;
	table(rows, ARRAY_SIZE(rows));
	k = make();
	assert_int_equal(k->victim.start_ticks, 4711);
	assert_string_equal(k->victim.service, "");
	assert_int_equal(k->growers[0].pid, 99);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_1M], 350 * MIB);
	/* Also where the kernel wrote no table. */
	w.kill.n_tasks = 0;
	w.kill.victim[OOM_VICTIM_ANON] = 340 * MIB;
	k = make();
	assert_int_equal(k->growers[0].pid, 99);
	assert_int_equal(k->growers[0].v[KILL_FIGURE_GROWN_1M], 340 * MIB);
	assert_string_equal(k->growers[0].comm, "hog");
}

static void a_kill_of_the_past_asks_nobody(void **state unused_arg)
{
	static const int64_t rows[][2] = {{10, 100}, {11, 260}};
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	memcg_kill(10, "python3", "/docker/shop", "/docker/shop");
	table(rows, ARRAY_SIZE(rows));
	w.f.replayed = true;
	w.f.host = NULL;
	k = make();
	assert_int_equal(w.asked, 0);
	assert_true(k->replayed);
	assert_int_equal(k->victim.start_ticks, 0);
	assert_string_equal(k->victim.comm, "python3");
	assert_int_equal(k->n_growers, 0);
	assert_int_equal(k->n_tasks, 2);
	assert_int_equal(k->ring_seconds, 0);
	assert_true(k->v[KILL_TOTAL_HOST_TOTAL] == KILL_ABSENT);
}

static void what_we_found_out_ourselves_is_a_kill_too(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 11,
				   .signal = SIGTERM};
	struct death_end end = {.death = {.pid = 11,
					  .start_ticks = 110,
					  .uid = 1000,
					  .comm = "gunicorn",
					  .service = "shop",
					  .container = "web"}};
	const struct wire_kill *k;

	remember(shop, ARRAY_SIZE(shop));
	verdict_decide(&(struct verdict_facts){.pid = 11,
					       .name = "gunicorn (pid 11, shop)",
					       .exit = verdict_exit_of(SIGTERM),
					       .oom_kill_rise = METRIC_ABSENT,
					       .notes = &note,
					       .n_notes = 1},
		       &end.verdict);
	w.kill.pid = 11;
	strcpy(w.kill.comm, "gunicorn");
	w.f.end = &end;
	w.f.seq = dossier_own_seq(boot, 11, 110);
	k = make();
	assert_int_equal(k->cause, KILL_CAUSE_EARLYOOM);
	assert_false(k->complete);
	assert_true(k->seq >= WIRE_KILL_SEQ_OWN && k->seq <= INT64_MAX);
	assert_true(dossier_own_seq(boot, 11, 110) == k->seq);
	assert_true(dossier_own_seq(boot, 11, 111) != k->seq);
	assert_string_equal(k->victim.service, "shop");
	assert_int_equal(k->victim.v[KILL_FIGURE_RSS], 160 * MIB);
	assert_string_equal(k->trigger.comm, "");
	assert_string_equal(k->verdict, "gunicorn (pid 11, shop): ended by earlyoom");
	assert_int_equal(k->n_evidence, end.verdict.n_evidence);
	assert_int_equal(k->growers[0].pid, 13);
}

static void whose_limit_it_was(void **state unused_arg)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char path[128];

	remember(shop, ARRAY_SIZE(shop));
	snprintf(path, sizeof(path), "/docker/%s", id);
	/* The victim's own container, by the name that we know it by. */
	memcg_kill(10, "gunicorn", path, path);
	assert_string_equal(make()->limit_owner, "web");
	strcat(w.kill.victim_cgroup, "/nested");
	assert_string_equal(make()->limit_owner, "web");
	/* Another one, or one whose name is not known. */
	memcg_kill(12, "redis", path, path);
	assert_string_equal(make()->limit_owner, "docker:0123456789ab");
	/* A slice above the services. */
	memcg_kill(10, "gunicorn", "/shop.slice", "/shop.slice/web.service");
	assert_string_equal(make()->limit_owner, "shop.slice");
	memcg_kill(10, "gunicorn", "/a/\xff\n", "/a/\xff\n/b");
	assert_string_equal(make()->limit_owner, "\\xff\\x0a");
}

static void the_kernels_no_limit_is_no_figure(void **state unused_arg)
{
	const struct wire_kill *k;

	memcg_kill(10, "x", "/a", "/a");
	w.kill.limit = INT64_C(9007199254740988);
	w.kill.swap_usage = 500 * MIB;
	w.kill.swap_limit = INT64_C(9007199254740988);
	w.kill.swap_is_memsw = true;
	k = make();
	assert_true(k->v[KILL_TOTAL_LIMIT] == KILL_ABSENT);
	assert_true(k->v[KILL_TOTAL_SWAP_LIMIT] == KILL_ABSENT);
	assert_int_equal(k->v[KILL_TOTAL_SWAP_USAGE], 100 * MIB);
	w.kill.usage = INT64_MAX;
	w.kill.victim[OOM_VICTIM_ANON] = INT64_MAX;
	w.kill.victim[OOM_VICTIM_UID] = INT64_MAX;
	k = make();
	assert_true(k->v[KILL_TOTAL_USAGE] == KILL_ABSENT);
	assert_int_equal(k->victim.uid, -1);
}

/* The worst that strangers can do: everything as long as may be and in need of escapes. */
static void hostile(void)
{
	static struct past procs[OOM_MAX_TASKS];
	static char name[256];
	int64_t rows[OOM_MAX_TASKS][2];

	memset(name, 0xff, sizeof(name) - 1);
	for (uint32_t i = 0; i < OOM_MAX_TASKS; i++) {
		procs[i] = (struct past){1000 + i, name, name, name, "/x", {1, 2, 3, 4 + i}};
		rows[i][0] = 1000 + i;
		rows[i][1] = 1000 + i;
	}
	remember(procs, OOM_MAX_TASKS);
	memcg_kill(1000, "", "/x", "/x");
	memset(w.kill.comm, '\n', sizeof(w.kill.comm) - 1);
	memset(w.kill.trigger.comm, 0xc3, sizeof(w.kill.trigger.comm) - 1);
	memset(w.kill.limit_cgroup + 1, 0x80, sizeof(w.kill.limit_cgroup) - 2);
	memset(w.kill.victim_cgroup + 1, 0x80, sizeof(w.kill.victim_cgroup) - 2);
	w.kill.trigger.pid = 1001;
	w.kill.tasks_seen = 20000;
	table(rows, OOM_MAX_TASKS);
	for (size_t i = 0; i < OOM_MAX_TASKS; i++) {
		memset(w.kill.tasks[i].comm, '\\', sizeof(w.kill.tasks[i].comm) - 1);
		for (size_t v = OOM_TASK_ANON; v < OOM_TASK_COUNT; v++)
			w.kill.tasks[i].v[v] = INT64_C(1) << 40;
	}
}

static void the_largest_dossier_stays_below_its_bound(void **state unused_arg)
{
	static char line[4096];
	const char *lines[20];
	const struct wire_kill *k;

	hostile();
	memset(line, 0xfe, sizeof(line) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = line;
	w.f.lines = lines;
	w.f.n_lines = ARRAY_SIZE(lines);
	k = make();
	assert_true(k->n_tasks >= 30 && k->n_tasks <= DOSSIER_MAX_TASKS);
	/* The smallest went. */
	assert_int_equal(k->tasks[0].v[KILL_FIGURE_RSS], (1000 + 127) * MIB);
	assert_int_equal(k->n_growers, DOSSIER_MAX_GROWERS);
	assert_int_equal(k->n_evidence, DOSSIER_MAX_LINES);
}

static void without_memory_it_fails_whole(void **state unused_arg)
{
	struct wire_kill out;
	unsigned n = 0;
	int rc;

	hostile();
	(void)make();
	do {
		struct arena a;

		arena_init(&a, DOSSIER_ARENA);
		alloc_fail_at(++n);
		rc = dossier_make(&a, &w.f, &out);
		alloc_fail_off();
		assert_true(rc == 0 || rc == -ENOMEM);
		arena_fini(&a);
	} while (alloc_failed());
	assert_int_equal(rc, 0);
	assert_true(n > 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(a_cgroups_kill_names_victim_trigger_limit_and_who_grew_inside),
		TEST(without_a_table_the_ring_says_who_grew_inside),
		TEST(a_kill_of_the_host_looks_at_all),
		TEST(recent_growth_goes_before_old_growth),
		TEST(who_was_not_there_in_the_last_round_has_all_of_it_grown),
		TEST(a_kill_of_the_past_asks_nobody),
		TEST(what_we_found_out_ourselves_is_a_kill_too),
		TEST(whose_limit_it_was),
		TEST(the_kernels_no_limit_is_no_figure),
		TEST(the_largest_dossier_stays_below_its_bound),
		TEST(without_memory_it_fails_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
