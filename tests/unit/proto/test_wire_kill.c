/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
/* Kills, postures, and the cgroups of a tick. */
#include "proto/wire.h"

#include <errno.h>
#include <string.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

struct fixture {
	struct buf b;
	struct arena a;
	struct error err;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->b = BUF_INIT(256 * 1024);
	arena_init(&f->a, WIRE_BUDGET(256 * 1024));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	buf_fini(&f->b);
	arena_fini(&f->a);
	free(f);
	return 0;
}

#define PACK(f, name, m)                                  \
	do {                                              \
		buf_reset(&(f)->b);                       \
		wire_pack_##name(&(f)->b, m);             \
		assert_int_equal(buf_status(&(f)->b), 0); \
	} while (0)
#define UNPACK(f, name, r) wire_unpack_##name(&(f)->a, (f)->b.data, (f)->b.len, r, &(f)->err)
#define REFUSED(f, name, m, r, why)                                     \
	do {                                                            \
		PACK(f, name, m);                                       \
		assert_int_equal(UNPACK(f, name, r), -EBADMSG);         \
		if (!strstr((f)->err.msg, why))                         \
			fail_msg("'%s' lacks '%s'", (f)->err.msg, why); \
	} while (0)

static struct wire_party party(uint32_t pid, const char *comm)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = 77,
			       .uid = 33,
			       .comm = comm,
			       .service = "shop",
			       .container = "web-1"};

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	p.v[KILL_FIGURE_RSS] = 1000;
	p.v[KILL_FIGURE_GROWN_1M] = -5;
	p.v[KILL_FIGURE_OOM_SCORE_ADJ] = -1000;
	return p;
}

static const char *lines[] = {"no swap", "limit of 40 MiB"};

static struct wire_kill good_kill(struct wire_party *rows, size_t n)
{
	struct wire_kill m = {.t_wall_us = 5,
			      .boot_id = {9, 8, 7},
			      .seq = 4711,
			      .cause = KILL_CAUSE_KERNEL_MEMCG,
			      .confidence = KILL_CONFIDENCE_CERTAIN,
			      .complete = true,
			      .victim = party(7, "python3"),
			      .trigger = party(0, ""),
			      .victim_cgroup = "/docker/ab/x",
			      .limit_cgroup = "/docker/ab",
			      .limit_owner = "docker:ab",
			      .tasks = rows,
			      .n_tasks = n,
			      .tasks_total = 12,
			      .growers = rows,
			      .n_growers = MIN_OF(n, (size_t)1),
			      .verdict = "The kernel killed python3.",
			      .advice = lines,
			      .n_advice = 1,
			      .evidence = lines,
			      .n_evidence = 2,
			      .ring_seconds = 3600};

	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		m.v[i] = KILL_ABSENT;
	m.v[KILL_TOTAL_LIMIT] = 40960;
	return m;
}

static void assert_party(const struct wire_party *a, const struct wire_party *b)
{
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->start_ticks, b->start_ticks);
	assert_int_equal(a->uid, b->uid);
	assert_string_equal(a->comm, b->comm);
	assert_string_equal(a->service, b->service);
	assert_string_equal(a->container, b->container);
	assert_memory_equal(a->v, b->v, sizeof(a->v));
}

static void a_kill_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct wire_party rows[] = {party(7, "python3"), party(8, "evil) x,pid=1")};
	struct wire_kill m = good_kill(rows, 2), r;

	PACK(f, kill, &m);
	assert_int_equal(UNPACK(f, kill, &r), 0);
	assert_int_equal(r.seq, 4711);
	assert_int_equal(r.cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(r.confidence, KILL_CONFIDENCE_CERTAIN);
	assert_true(r.complete);
	assert_false(r.replayed);
	assert_memory_equal(r.boot_id, m.boot_id, sizeof(r.boot_id));
	assert_party(&r.victim, &m.victim);
	assert_party(&r.trigger, &m.trigger);
	assert_int_equal(r.n_tasks, 2);
	assert_party(&r.tasks[1], &rows[1]);
	assert_int_equal(r.n_growers, 1);
	assert_memory_equal(r.v, m.v, sizeof(r.v));
	assert_string_equal(r.limit_cgroup, "/docker/ab");
	assert_string_equal(r.limit_owner, "docker:ab");
	assert_string_equal(r.verdict, m.verdict);
	assert_string_equal(r.advice[0], "no swap");
	assert_string_equal(r.evidence[1], "limit of 40 MiB");
	assert_int_equal(r.ring_seconds, 3600);
	assert_int_equal(r.tasks_total, 12);
}

static void bad_kills_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_party many[WIRE_MAX_PARTIES + 1];
	const char *texts[WIRE_MAX_LINES + 1];
	struct wire_kill m = good_kill(NULL, 0), r;

	m.cause = (enum kill_cause)99;
	REFUSED(f, kill, &m, &r, "unknown cause 99");
	m = good_kill(NULL, 0);
	m.confidence = (enum kill_confidence)3;
	REFUSED(f, kill, &m, &r, "unknown confidence 3");
	m = good_kill(NULL, 0);
	m.victim.uid = -2;
	REFUSED(f, kill, &m, &r, "'uid' is out of range");
	m = good_kill(NULL, 0);
	m.victim.v[KILL_FIGURE_RSS] = INT64_MAX;
	REFUSED(f, kill, &m, &r, "figure 0 is out of range");
	m = good_kill(NULL, 0);
	m.victim.comm = "two\nlines";
	REFUSED(f, kill, &m, &r, "comm");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = party(1, "x");
	m = good_kill(many, ARRAY_SIZE(many));
	REFUSED(f, kill, &m, &r, "129 'tasks', 128 are allowed");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		texts[i] = "x";
	m = good_kill(NULL, 0);
	m.evidence = texts;
	m.n_evidence = ARRAY_SIZE(texts);
	REFUSED(f, kill, &m, &r, "33 'evidence', 32 are allowed");
	buf_reset(&f->b);
	assert_int_equal(UNPACK(f, kill, &r), -EBADMSG);
	assert_non_null(strstr(f->err.msg, "boot_id"));
}

static void a_posture_comes_back(void **state)
{
	struct fixture *f = *state;
	struct wire_finding two[] = {{"no_swap", WIRE_WARN, "no swap", "add some"},
				     {"kmsg_unreadable", WIRE_BAD, "", ""}};
	struct wire_finding many[WIRE_MAX_FINDINGS + 1];
	struct wire_posture m = {.t_wall_us = 1, .findings = two, .n = 2}, r;

	PACK(f, posture, &m);
	assert_int_equal(UNPACK(f, posture, &r), 0);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.findings[0].fix, "add some");
	assert_int_equal(r.findings[1].severity, WIRE_BAD);
	two[1].severity = (enum wire_severity)3;
	REFUSED(f, posture, &m, &r, "unknown severity 3");
	two[1] = (struct wire_finding){"", WIRE_INFO, "x", "y"};
	REFUSED(f, posture, &m, &r, "without code");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = two[0];
	m.findings = many;
	m.n = ARRAY_SIZE(many);
	REFUSED(f, posture, &m, &r, "65 findings, 64 are allowed");
}

static void cgroups_of_a_tick_come_back(void **state)
{
	struct fixture *f = *state;
	struct wire_cgroup two[] = {{3, 2, "/system.slice/a.service", "a", "systemd", "",
				     "/system.slice"},
				    {9, 1, "/", "", "", "", ""}};
	uint32_t gone[] = {1, 2}, ids[] = {3, 9};
	int64_t deltas[] = {5, -6};
	struct wire_column column = {CGROUP_METRIC_USAGE, 2, ids, deltas, 0, NULL};
	struct wire_column unknown[] = {column, {CGROUP_METRIC_COUNT, 2, ids, deltas, 0, NULL}};
	struct wire_tick m = {.cgroups = two,
			      .n_cgroups = 2,
			      .cgroups_gone = gone,
			      .n_cgroups_gone = 2,
			      .cgroup_columns = unknown,
			      .n_cgroup_columns = 2},
			 r;

	PACK(f, tick, &m);
	assert_int_equal(UNPACK(f, tick, &r), 0);
	assert_int_equal(r.n_cgroups, 2);
	assert_string_equal(r.cgroups[0].limited_by, "/system.slice");
	assert_string_equal(r.cgroups[0].runtime, "systemd");
	assert_int_equal(r.cgroups[1].version, 1);
	assert_int_equal(r.cgroups_gone[1], 2);
	assert_int_equal(r.n_cgroup_columns, 1); /* what a newer agent adds is skipped */
	assert_int_equal(r.cgroup_columns[0].ids[1], 9);
	assert_int_equal(r.cgroup_columns[0].deltas[1], -6);
	two[0].version = 3;
	REFUSED(f, tick, &m, &r, "cgroup version 3");
	two[0].version = 2;
	two[0].path = "x";
	REFUSED(f, tick, &m, &r, "begins with '/'");
	two[0].path = "/x";
	two[0].id = WIRE_MAX_CGROUPS;
	REFUSED(f, tick, &m, &r, "cgroup id 1024 is not below 1024");
	two[0].id = 3;
	gone[0] = WIRE_MAX_CGROUPS;
	REFUSED(f, tick, &m, &r, "cgroup id 1024 is not below 1024");
	gone[0] = 1;
	unknown[1].metric = CGROUP_METRIC_USAGE;
	REFUSED(f, tick, &m, &r, "cgroup metric 0 twice");
}

static void cut_and_flipped_bytes_never_crash(void **state)
{
	struct fixture *f = *state;
	struct wire_party rows[] = {party(7, "python3"), party(8, "x")};
	struct wire_kill m = good_kill(rows, 2), r;
	size_t whole;

	PACK(f, kill, &m);
	whole = f->b.len;
	for (f->b.len = 0; f->b.len < whole; f->b.len++) {
		int rc = UNPACK(f, kill, &r);

		assert_true(rc == 0 || rc == -EBADMSG);
	}
	for (size_t bit = 0; bit < whole * 8; bit++) {
		int rc;

		arena_reset(&f->a);
		f->b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = UNPACK(f, kill, &r);
		assert_true(rc == 0 || rc == -EBADMSG);
		f->b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void each_failed_allocation_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct wire_party rows[] = {party(7, "python3"), party(8, "x")};
	struct wire_kill m = good_kill(rows, 2), r;
	unsigned n = 0;

	PACK(f, kill, &m);
	do {
		int rc;

		arena_fini(&f->a);
		arena_init(&f->a, WIRE_BUDGET(4096));
		alloc_fail_at(++n);
		rc = UNPACK(f, kill, &r);
		alloc_fail_off();
		assert_int_equal(rc, alloc_failed() ? -ENOMEM : 0);
	} while (alloc_failed());
	assert_true(n > 1);
}

static void words_are_found_both_ways(void **state unused_arg)
{
	for (unsigned i = 0; i < KILL_CAUSE_COUNT; i++)
		assert_int_equal(kill_cause_find(kill_cause_word(i)), i);
	assert_int_equal(kill_cause_find("nonsense"), -1);
	assert_null(kill_cause_word(KILL_CAUSE_COUNT));
	assert_null(kill_figure_name(KILL_FIGURE_COUNT));
	assert_null(kill_total_name(KILL_TOTAL_COUNT));
	assert_null(kill_confidence_word(KILL_CONFIDENCE_COUNT));
	assert_true(kill_cause_is_oom(KILL_CAUSE_EARLYOOM));
	assert_false(kill_cause_is_oom(KILL_CAUSE_KILLED));
	assert_false(kill_total_is_kib(KILL_TOTAL_FAILCNT));
	assert_null(wire_role_word(3));
	assert_null(wire_severity_word(3));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kill_comes_back_whole),
		TEST(bad_kills_are_refused),
		TEST(a_posture_comes_back),
		TEST(cgroups_of_a_tick_come_back),
		TEST(cut_and_flipped_bytes_never_crash),
		TEST(each_failed_allocation_is_an_error),
		TEST(words_are_found_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
