/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/ring.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define SEC  ((int64_t)1000000)
#define SLOW (1u << RING_SLOW)
#define FAST (1u << RING_FAST)

static const int64_t spans[RING_SPANS] = {60 * SEC, 600 * SEC, 3600 * SEC};

static void birth(struct ring *r, uint32_t id, uint32_t pid, bool fresh)
{
	char comm[16];
	struct ring_birth b = {.pid = pid,
			       .start_ticks = pid * 10,
			       .uid = 33,
			       .fresh = fresh,
			       .comm = comm,
			       .service = "shop",
			       .container = ""};

	snprintf(comm, sizeof(comm), "p%u", pid);
	assert_int_equal(ring_birth(r, id, &b), 0);
}

static const struct ring_grown *of_pid(const struct ring_grown *g, size_t n, uint32_t pid)
{
	static const struct ring_grown nobody;

	for (size_t i = 0; i < n; i++)
		if (g[i].who->pid == pid)
			return &g[i];
	fail_msg("process %u is not told", pid);
	return &nobody;
}

static void growth_is_seen_over_three_spans(void **state unused_arg)
{
	struct ring_grown *g;
	const struct ring_grown *x;
	struct ring r;
	size_t n;
	int64_t t;

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	/* 1 grows by 1 MiB in 10 s, 2 not at all, 3 is born half an hour before the end */
	for (int i = 0; i <= 400; i++) {
		t = (1000 + i * 10) * SEC;
		ring_round_begin(&r, t, SLOW);
		if (i == 0) {
			birth(&r, 0, 101, false);
			birth(&r, 1, 102, false);
		}
		if (i == 220)
			birth(&r, 2, 103, true);
		ring_value(&r, 0, 1000 + (uint32_t)i * 1024, 7);
		ring_value(&r, 1, 5000, 0);
		ring_value(&r, 2, 300 + (uint32_t)i, (uint32_t)i);
		ring_round_end(&r);
	}
	t = 5000 * SEC;
	assert_int_equal(ring_covered_us(&r, RING_SLOW, t), 3610 * SEC);
	assert_int_equal(ring_covered_us(&r, RING_FAST, t), 0);
	assert_int_equal(ring_growth(&r, t, spans, &g, &n), 0);
	assert_int_equal(n, 3);
	x = of_pid(g, n, 101);
	assert_int_equal(x->rss, 1000 + 400 * 1024);
	assert_int_equal(x->rss_then[0], 1000 + 394 * 1024);
	assert_int_equal(x->rss_then[1], 1000 + 340 * 1024);
	assert_int_equal(x->rss_then[2], 1000 + 40 * 1024);
	assert_int_equal(x->swap_then[2], 7);
	assert_int_equal(ring_gain(x, 0, t, spans[0]), 6 * 1024);
	assert_string_equal(x->who->comm, "p101");
	assert_string_equal(names_text(&r.names, x->who->service), "shop");
	x = of_pid(g, n, 102);
	assert_int_equal(ring_gain(x, 2, t, spans[2]), 0);
	x = of_pid(g, n, 103);
	assert_int_equal(x->rss_then[1], 300 + 340);
	assert_int_equal(x->swap_then[1], 340);
	assert_int_equal(x->rss_then[2], RING_ABSENT);
	/* it was born within the hour: all that it has */
	assert_int_equal(ring_gain(x, 2, t, spans[2]), 700 + 400);
	assert_int_equal(ring_gain(x, 1, t, spans[1]), 120);
	free(g);
	ring_fini(&r);
}

static void what_is_not_known_is_absent(void **state unused_arg)
{
	struct ring_grown *g;
	struct ring r;
	size_t n;

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	assert_int_equal(ring_growth(&r, SEC, spans, &g, &n), 0);
	assert_int_equal(n, 0);
	free(g);
	ring_round_begin(&r, 1000 * SEC, SLOW);
	birth(&r, 0, 1, false);
	ring_value(&r, 0, 500, 0);
	ring_round_end(&r);
	assert_int_equal(ring_growth(&r, 1010 * SEC, spans, &g, &n), 0);
	assert_int_equal(g[0].rss_then[0], RING_ABSENT);
	/* it was there before us: what it had is not known */
	assert_int_equal(ring_gain(&g[0], 0, 1010 * SEC, spans[0]), METRIC_ABSENT);
	free(g);
	ring_fini(&r);
}

static void the_dead_are_told_for_two_minutes_and_named_for_an_hour(void **state unused_arg)
{
	struct ring_grown *g;
	struct ring r;
	size_t n;

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	for (int i = 0; i < 380; i++) {
		ring_round_begin(&r, (1000 + i * 10) * SEC, SLOW);
		if (i == 0)
			birth(&r, 0, 1, false);
		/* the id goes to another in the next round */
		if (i == 10)
			ring_exit(&r, 0);
		if (i == 11)
			birth(&r, 0, 2, true);
		ring_value(&r, 0, 100 + (uint32_t)i, 0);
		ring_round_end(&r);
		if (i == 20) {
			assert_int_equal(ring_growth(&r, 1200 * SEC, spans, &g, &n), 0);
			assert_int_equal(n, 2);
			assert_int_equal(of_pid(g, n, 1)->rss, 109);
			assert_int_equal(of_pid(g, n, 1)->who->exit_us, 1100 * SEC);
			assert_int_equal(of_pid(g, n, 1)->rss_then[0], RING_ABSENT);
			assert_int_equal(of_pid(g, n, 2)->rss_then[0], 114);
			free(g);
		}
	}
	assert_int_equal(ring_find(&r, 1), RING_NO_SLOT);
	assert_int_not_equal(ring_find(&r, 2), RING_NO_SLOT);
	assert_int_equal(r.n_dead, 0);
	ring_fini(&r);
}

static void the_fast_lane_answers_what_it_covers(void **state unused_arg)
{
	struct ring_grown *g;
	struct ring_point points[200];
	struct ring r;
	uint32_t kib;
	int64_t at;
	size_t n;

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	for (int i = 0; i <= 1205; i++) {
		ring_round_begin(&r, (1000 + i) * SEC, i % 10 ? FAST : FAST | SLOW);
		if (i == 0)
			birth(&r, 0, 1, false);
		/* a peak between two slow rounds */
		ring_value(&r, 0, i == 1155 ? 9000 : 1000 + (uint32_t)i, 0);
		ring_round_end(&r);
	}
	assert_int_equal(ring_covered_us(&r, RING_FAST, 2205 * SEC), 121 * SEC);
	assert_int_equal(ring_growth(&r, 2205 * SEC, spans, &g, &n), 0);
	assert_int_equal(g[0].rss, 2205);
	assert_int_equal(g[0].rss_then[0], 2145);
	/* the slow lane's round of 1600, not the moment 1605 */
	assert_int_equal(g[0].rss_then[1], 1600);
	assert_int_equal(g[0].rss_then[2], RING_ABSENT);
	free(g);
	assert_true(ring_peak(&r, 0, &kib, &at));
	assert_int_equal(kib, 9000);
	assert_int_equal(at, 2155 * SEC);
	n = ring_series(&r, RING_FAST, 0, points, 200);
	assert_int_equal(n, 122);
	assert_int_equal(points[0].rss, 2205);
	assert_int_equal(points[50].rss, 9000);
	assert_int_equal(points[121].t_us, 2084 * SEC);
	assert_int_equal(points[121].rss, 2084);
	assert_int_equal(ring_series(&r, RING_SLOW, 0, points, 5), 5);
	assert_int_equal(points[4].t_us, 2160 * SEC);
	ring_fini(&r);
}

/* Against a full copy of every round: births, exits, reused ids, both lanes, evictions. */
enum { IDS = 40, ROUNDS = 3000 };
struct truth {
	uint32_t pid[ROUNDS][IDS];
	uint32_t rss[ROUNDS][IDS];
	int64_t t_us[ROUNDS];
	bool slow[ROUNDS];
};

static uint32_t dice(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % n;
}

static void play(struct ring *r, struct truth *t, int i, uint32_t *seed, uint32_t *next_pid)
{
	t->slow[i] = i % 5 == 0;
	t->t_us[i] = (100 + i) * SEC;
	ring_round_begin(r, t->t_us[i], t->slow[i] ? SLOW | FAST : FAST);
	for (uint32_t id = 0; id < IDS; id++) {
		uint32_t pid = i ? t->pid[i - 1][id] : 0;
		uint32_t rss = i ? t->rss[i - 1][id] : 0;

		if (pid && dice(seed, 60) == 0) {
			ring_exit(r, id);
			pid = 0;
		} else if (!pid && dice(seed, 10) == 0) {
			pid = (*next_pid)++;
			rss = dice(seed, 1 << 20);
			birth(r, id, pid, true);
			ring_value(r, id, rss, 0);
		} else if (pid && dice(seed, 4) == 0) {
			rss = dice(seed, 1 << 22);
			ring_value(r, id, rss, 0);
		}
		t->pid[i][id] = pid;
		t->rss[i][id] = rss;
	}
	ring_round_end(r);
}

/* The last round of a lane that is not after t_us. */
static int round_before(const struct truth *t, int last, bool slow, int64_t t_us)
{
	while (last >= 0 && (t->t_us[last] > t_us || (slow && !t->slow[last])))
		last--;
	return last;
}

static void compare(const struct ring *r, const struct truth *t, int last)
{
	const int64_t ago[RING_SPANS] = {17 * SEC, 100 * SEC, 900 * SEC};
	struct ring_grown *g;
	size_t n;

	assert_int_equal(ring_growth(r, t->t_us[last], ago, &g, &n), 0);
	for (unsigned k = 0; k < RING_SPANS; k++) {
		int64_t then = t->t_us[last] - ago[k];
		bool slow = r->lanes[RING_FAST].begin_us > then;
		int i = round_before(t, last, slow, then);

		if (i < 0 || r->lanes[RING_SLOW].begin_us > then)
			continue;
		for (uint32_t id = 0; id < IDS; id++) {
			const struct ring_grown *x;

			if (!t->pid[last][id])
				continue;
			x = of_pid(g, n, t->pid[last][id]);
			assert_int_equal(x->rss, t->rss[last][id]);
			if (t->pid[i][id] == t->pid[last][id])
				assert_int_equal(x->rss_then[k], t->rss[i][id]);
			else if (x->who->birth_us > then)
				assert_int_equal(x->rss_then[k], RING_ABSENT);
		}
	}
	free(g);
}

static void it_agrees_with_a_full_copy(void **state unused_arg)
{
	struct ring_config cfg = {
		.lanes = {{.max_bytes = 8192, .max_rounds = 200},
			  {.max_bytes = 4096, .max_rounds = 60}},
		.max_slots = 64,
		.max_dead = 20,
		.linger_us = 300 * SEC,
	};
	struct truth *t = calloc(1, sizeof(*t));
	uint32_t seed = 42;
	uint32_t next_pid = 1;
	struct ring r;

	assert_non_null(t);
	assert_int_equal(ring_init(&r, &cfg), 0);
	for (int i = 0; i < ROUNDS; i++) {
		play(&r, t, i, &seed, &next_pid);
		if (i % 7 == 0)
			compare(&r, t, i);
		assert_true(r.lanes[RING_SLOW].cap <= 8192 && r.lanes[RING_FAST].cap <= 4096);
		assert_true(r.high <= 64 && r.n_dead <= 20);
	}
	assert_true(r.lanes[RING_SLOW].evicted > 0);
	ring_fini(&r);
	free(t);
}

static void an_hour_of_500_processes_is_small(void **state unused_arg)
{
	struct ring r;
	uint32_t seed = 1;
	uint32_t rss[500];

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	for (int i = 0; i <= 361; i++) {
		ring_round_begin(&r, (1000 + i * 10) * SEC, SLOW);
		for (uint32_t id = 0; id < 500; id++) {
			if (i == 0) {
				birth(&r, id, id + 1, false);
				rss[id] = 20000;
			}
			if (i == 0 || dice(&seed, 100) < 18)
				rss[id] += dice(&seed, 2000) - 1000;
			ring_value(&r, id, rss[id], 0);
		}
		ring_round_end(&r);
	}
	print_message("500 processes, 18 %% changing: %u bytes of rounds, %zu in all\n",
		      r.lanes[RING_SLOW].len, ring_bytes(&r));
	assert_int_equal(r.lanes[RING_SLOW].evicted, 0);
	assert_true(r.lanes[RING_SLOW].len < 128 * 1024);
	assert_true(ring_bytes(&r) < 200 * 1024);
	ring_fini(&r);
}

static void twenty_thousand_do_not_break_the_bound(void **state unused_arg)
{
	struct ring_grown *g;
	struct ring r;
	uint32_t seed = 1;
	size_t n;
	int64_t t = 0;

	assert_int_equal(ring_init(&r, &ring_defaults), 0);
	for (int i = 0; i < 150; i++) {
		t = (1000 + i * 10) * SEC;
		ring_round_begin(&r, t, SLOW | FAST);
		for (uint32_t id = 0; id < 20000; id++) {
			if (i == 0)
				birth(&r, id, id + 1, false);
			if (i == 0 || dice(&seed, 100) < 30)
				ring_value(&r, id, dice(&seed, 1 << 20), 0);
		}
		ring_round_end(&r);
	}
	print_message("20,000 processes, 30 %% changing: %lld s in %zu bytes\n",
		      (long long)(ring_covered_us(&r, RING_SLOW, t) / SEC), ring_bytes(&r));
	assert_true(r.lanes[RING_SLOW].evicted > 0);
	assert_true(ring_bytes(&r) < (size_t)5 << 20);
	assert_true(ring_covered_us(&r, RING_SLOW, t) > 100 * SEC);
	assert_int_equal(ring_growth(&r, t, spans, &g, &n), 0);
	assert_int_equal(n, 20000);
	free(g);
	ring_fini(&r);
}

static void a_round_larger_than_the_lane_begins_anew(void **state unused_arg)
{
	struct ring_config cfg = ring_defaults;
	struct ring r;

	cfg.lanes[RING_SLOW].max_bytes = 4096;
	assert_int_equal(ring_init(&r, &cfg), 0);
	for (int i = 0; i < 3; i++) {
		ring_round_begin(&r, (1000 + i * 10) * SEC, SLOW);
		for (uint32_t id = 0; id < 3000; id++) {
			if (i == 0)
				birth(&r, id, id + 1, false);
			ring_value(&r, id, i == 2 ? id % 100 + 1000 : 1000, 0);
		}
		ring_round_end(&r);
	}
	assert_int_equal(r.lanes[RING_SLOW].lost, 1);
	assert_int_equal(ring_covered_us(&r, RING_SLOW, 1030 * SEC), 10 * SEC);
	ring_round_begin(&r, 1030 * SEC, SLOW);
	ring_value(&r, 5, 2000, 0);
	ring_round_end(&r);
	assert_int_equal(r.lanes[RING_SLOW].count, 1);
	ring_fini(&r);
}

static void when_slots_run_out_the_dead_go_first(void **state unused_arg)
{
	struct ring_config cfg = ring_defaults;
	struct ring_birth b = {.pid = 9, .comm = "x", .service = "", .container = ""};
	struct ring r;

	cfg.max_slots = 3;
	assert_int_equal(ring_init(&r, &cfg), 0);
	ring_round_begin(&r, 1000 * SEC, SLOW);
	for (uint32_t id = 0; id < 3; id++)
		birth(&r, id, id + 1, true);
	assert_int_equal(ring_birth(&r, 3, &b), -ENOSPC);
	assert_int_equal(r.refused, 1);
	/* what is not in it may be spoken of */
	ring_value(&r, 3, 5, 5);
	ring_exit(&r, 3);
	ring_exit(&r, 99999);
	ring_exit(&r, 1);
	assert_int_equal(ring_birth(&r, 3, &b), 0);
	assert_int_equal(r.forgotten, 1);
	assert_int_equal(ring_find(&r, 2), RING_NO_SLOT);
	assert_int_equal(ring_find(&r, 9), ring_slot(&r, 3));
	ring_round_end(&r);
	ring_fini(&r);
}

static void without_memory_it_says_so(void **state unused_arg)
{
	unsigned failures = 0;

	for (unsigned at = 1;; at++) {
		struct ring_birth b = {.pid = 9, .comm = "x", .service = "s", .container = "c"};
		struct ring_grown *g = NULL;
		struct ring r;
		size_t n;

		alloc_fail_at(at);
		if (ring_init(&r, &ring_defaults) == 0) {
			ring_round_begin(&r, 1000 * SEC, SLOW);
			(void)!ring_birth(&r, 0, &b);
			ring_round_end(&r);
			ring_round_begin(&r, 1010 * SEC, SLOW);
			ring_value(&r, 0, 77, 0);
			ring_round_end(&r);
			if (ring_growth(&r, 1010 * SEC, spans, &g, &n) == 0)
				free(g);
			ring_fini(&r);
		}
		alloc_fail_off();
		if (!alloc_failed())
			break;
		failures++;
	}
	assert_true(failures > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_seen_over_three_spans),
		cmocka_unit_test(what_is_not_known_is_absent),
		cmocka_unit_test(the_dead_are_told_for_two_minutes_and_named_for_an_hour),
		cmocka_unit_test(the_fast_lane_answers_what_it_covers),
		cmocka_unit_test(it_agrees_with_a_full_copy),
		cmocka_unit_test(an_hour_of_500_processes_is_small),
		cmocka_unit_test(twenty_thousand_do_not_break_the_bound),
		cmocka_unit_test(a_round_larger_than_the_lane_begins_anew),
		cmocka_unit_test(when_slots_run_out_the_dead_go_first),
		cmocka_unit_test(without_memory_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
