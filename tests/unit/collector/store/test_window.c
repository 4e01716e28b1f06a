/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/window.h"

#include <errno.h>

#include "collector/store/chunk.h"
#include "tests/support/test.h"

#define SEC  1000000LL
#define WIN  (1800 * SEC)
#define BASE (WIN * 1000000)

struct seen {
	struct point p[1000];
	size_t n;
};

static void on_point(void *arg, const struct point *p)
{
	struct seen *s = arg;

	s->p[s->n++] = *p;
}

static void values(int64_t v[METRIC_COUNT], int64_t rss)
{
	for (unsigned k = 0; k < METRIC_COUNT; k++)
		v[k] = METRIC_ABSENT;
	v[METRIC_RSS] = rss;
	v[METRIC_SWAP] = 0;
	v[METRIC_CPU] = rss * 2;
}

static int add(struct window_set *ws, int64_t proc, int64_t t, int64_t rcv, int64_t rss)
{
	int64_t v[METRIC_COUNT];

	values(v, rss);
	return window_add(ws, &SERIES_OF_PROCESS(1, proc), t, rcv, v);
}

static struct window_set *set_new(void)
{
	struct window_set *ws;

	assert_int_equal(window_set_new(WIN, 1 << 20, &ws), 0);
	return ws;
}

static void samples_are_read_back(void **state unused_arg)
{
	struct window_set *ws = set_new();
	struct seen s = {.n = 0};

	for (int i = 0; i < 200; i++)
		assert_int_equal(add(ws, 7, BASE + i * 10 * SEC, BASE + i * 10 * SEC, 1000 - i), 0);
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, 7), METRIC_RSS, BASE + 100 * SEC,
				     BASE + 1900 * SEC, on_point, &s),
			 180);
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(s.p[i].t_us, BASE + (int64_t)(i + 10) * 10 * SEC);
		assert_int_equal(s.p[i].v, 1000 - (int64_t)(i + 10));
	}
	s.n = 0;
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, 7), METRIC_SWAP, BASE, BASE + WIN,
				     on_point, &s),
			 180);
	assert_int_equal(s.p[0].v, 0); /* appearing at 0 is not absent */
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, 7), METRIC_PSS, BASE, BASE + WIN,
				     on_point, &s),
			 0);
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(2, 7), METRIC_RSS, BASE, BASE + WIN,
				     on_point, &s),
			 0);
	window_set_free(&ws);
	assert_null(ws);
}

static void a_sample_counts_once(void **state unused_arg)
{
	struct window_set *ws = set_new();

	assert_int_equal(add(ws, 7, BASE, BASE, 1), 0);
	assert_int_equal(add(ws, 7, BASE, BASE + 1, 1), 1);
	assert_int_equal(add(ws, 7, BASE - SEC, BASE + 2, 1), 1);
	assert_int_equal(add(ws, 7, -5, BASE + 2, 1), -ERANGE);
	window_set_free(&ws);
}

static void memory_is_bounded(void **state unused_arg)
{
	struct window_set *ws;
	int rc = 0;

	assert_int_equal(window_set_new(WIN, 20000, &ws), 0);
	for (int i = 1; i < 1000 && rc == 0; i++)
		rc = add(ws, i, BASE, BASE, 1);
	assert_int_equal(rc, -ENOBUFS);
	assert_true(window_bytes(ws) < 22000);
	window_set_free(&ws);
}

struct sealed {
	struct window_part part[16];
	size_t n;
	int64_t rss_last;
	int fail_at;
};

static int on_part(void *arg, const struct window_part *p, const struct buf *chunk)
{
	struct sealed *s = arg;
	int64_t v[1000];
	struct error err;

	assert_int_equal(chunk_samples(chunk->data, chunk->len, &err), (int)p->n);
	if (p->id.kind == SERIES_PROCESS) {
		assert_int_equal(chunk_decode_column(&chunk_process_spec, chunk->data, chunk->len,
						     METRIC_RSS, p->n, v, &err),
				 0);
		s->rss_last = v[p->n - 1];
	}
	if (s->fail_at && (int)s->n + 1 == s->fail_at)
		return -ENOMEM;
	s->part[s->n++] = *p;
	return 0;
}

static void a_window_is_sealed_once(void **state unused_arg)
{
	struct window_set *ws = set_new();
	struct sealed s = {.n = 0};
	struct seen seen = {.n = 0};
	int64_t host[HOST_METRIC_COUNT] = {8000000, 4000000};

	for (int i = 0; i < 180; i++) {
		assert_int_equal(add(ws, 9, BASE + i * 10 * SEC, BASE + i * 10 * SEC, 100 + i), 0);
		assert_int_equal(add(ws, 3, BASE + i * 10 * SEC, BASE + i * 10 * SEC, 50), 0);
	}
	assert_int_equal(window_add(ws, &SERIES_OF_HOST(1), BASE, BASE, host), 0);
	assert_int_equal(add(ws, 9, BASE + WIN, BASE + WIN, 999), 0);
	assert_int_equal(window_oldest(ws), BASE);

	/* one that fails leaves everything as it was */
	s.fail_at = 2;
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), -ENOMEM);
	assert_int_equal(window_oldest(ws), BASE);
	s = (struct sealed){.n = 0};
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), 0);
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), -EBUSY);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.part[0].id.obj_id, 3);
	assert_int_equal(s.part[1].id.obj_id, 9);
	assert_int_equal(s.part[2].id.kind, SERIES_HOST);
	assert_int_equal(s.part[1].figures.rss_min, 100);
	assert_int_equal(s.part[1].figures.rss_max, 279);
	assert_int_equal(s.part[1].figures.rss_last, 279);
	assert_int_equal(s.part[1].figures.rss_avg, 190);
	assert_int_equal(s.part[1].figures.cpu_ms, 358);
	assert_int_equal(s.part[1].figures.majflt, METRIC_ABSENT);
	assert_true(s.part[1].figures.has_slope);
	assert_true(s.part[1].figures.rss_slope > 359.99 && s.part[1].figures.rss_slope < 360.01);
	/* readable until it is done; the next window does not care */
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, 9), METRIC_RSS, 0, INT64_MAX,
				     on_point, &seen),
			 181);
	assert_int_equal(window_oldest(ws), BASE + WIN);
	window_seal_done(ws, BASE + WIN + 5);
	seen.n = 0;
	assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, 9), METRIC_RSS, 0, INT64_MAX,
				     on_point, &seen),
			 1);
	window_set_free(&ws);
}

/* One number may be a process, its main interpreter, a cgroup and, as 0, the host: the kind tells
 * them apart. */
static void kinds_do_not_mix(void **state unused_arg)
{
	int64_t host[HOST_METRIC_COUNT], cgroup[CGROUP_METRIC_COUNT];
	int64_t interpreter[INTERPRETER_METRIC_COUNT] = {0};
	struct window_set *ws = set_new();
	struct sealed s = {.n = 0};
	struct seen seen = {.n = 0};

	for (int k = 0; k < HOST_METRIC_COUNT; k++)
		host[k] = 1000 + k;
	for (int k = 0; k < CGROUP_METRIC_COUNT; k++)
		cgroup[k] = 2000 + k;
	assert_int_equal(add(ws, 7, BASE, BASE, 1), 0);
	assert_int_equal(window_add(ws, &SERIES_OF_HOST(1), BASE, BASE, host), 0);
	assert_int_equal(window_add(ws, &SERIES_OF_CGROUP(1, 7), BASE, BASE, cgroup), 0);
	cgroup[CGROUP_METRIC_PROCESSES] = METRIC_ABSENT;
	assert_int_equal(window_add(ws, &SERIES_OF_CGROUP(1, 7), BASE + SEC, BASE, cgroup), 0);
	/* the last column of each, which the narrower kinds have not */
	assert_int_equal(window_read(ws, &SERIES_OF_HOST(1), HOST_METRIC_RING, 0, INT64_MAX,
				     on_point, &seen),
			 1);
	assert_int_equal(seen.p[0].v, 1000 + HOST_METRIC_RING);
	assert_int_equal(window_read(ws, &SERIES_OF_CGROUP(1, 7), CGROUP_METRIC_PROCESSES, 0,
				     INT64_MAX, on_point, &seen),
			 1);
	assert_int_equal(seen.p[1].v, 2000 + CGROUP_METRIC_PROCESSES);
	assert_int_equal(window_read(ws, &SERIES_OF_CGROUP(1, 7), CGROUP_METRIC_COUNT, 0, INT64_MAX,
				     on_point, &seen),
			 0);
	interpreter[INTERPRETER_METRIC_GC_TIME] = 3000;
	assert_int_equal(window_add(ws, &SERIES_OF_INTERPRETER(1, 7), BASE, BASE, interpreter), 0);
	assert_int_equal(window_read(ws, &SERIES_OF_INTERPRETER(1, 7), INTERPRETER_METRIC_GC_TIME,
				     0, INT64_MAX, on_point, &seen),
			 1);
	assert_int_equal(seen.p[2].v, 3000);
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), 0);
	assert_int_equal(s.n, SERIES_KINDS);
	for (int kind = 0; kind < SERIES_KINDS; kind++)
		assert_int_equal(s.part[kind].id.kind, kind);
	assert_int_equal(s.part[SERIES_CGROUP].id.obj_id, 7);
	assert_int_equal(s.part[SERIES_CGROUP].n, 2);
	window_seal_done(ws, BASE + WIN);
	window_set_free(&ws);
}

/* A process is kept with its own columns only, however many a host has. */
static void a_process_costs_no_more_than_its_columns(void **state unused_arg)
{
	int64_t host[HOST_METRIC_COUNT] = {0};
	struct window_set *ws = set_new();
	size_t before = window_bytes(ws), process;

	assert_int_equal(add(ws, 7, BASE, BASE, 1), 0);
	process = window_bytes(ws) - before;
	before = window_bytes(ws);
	assert_int_equal(window_add(ws, &SERIES_OF_HOST(1), BASE, BASE, host), 0);
	assert_true(window_bytes(ws) - before >=
		    process + (HOST_METRIC_COUNT - METRIC_COUNT) * sizeof(int64_t));
	window_set_free(&ws);
}

static int on_sealed_part(void *arg, const struct window_part *p,
			  const struct buf *chunk unused_arg)
{
	*(struct window_part *)arg = *p;
	return 0;
}

/* As if they had never come: also in the figures. */
static void what_another_stored_is_taken_back(void **state unused_arg)
{
	struct window_part part = {.n = 0};
	struct window_set *ws;
	int64_t t = BASE + 50 * SEC;

	assert_int_equal(window_set_new(WIN, 1 << 20, &ws), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(add(ws, 7, BASE + i * 10 * SEC, BASE + i * 10 * SEC, 100 + i), 0);
	assert_int_equal(add(ws, 8, t, t, 1), 0); /* all of it goes */
	assert_int_equal(add(ws, 9, BASE, BASE, 1), 0);
	assert_int_equal(window_take_back(ws, 2, BASE), 0); /* of another host: nothing */
	assert_int_equal(window_take_back(ws, 1, t), 0);
	assert_int_equal(add(ws, 7, t, t, 1), 0);
	assert_int_equal(window_take_back(ws, 1, t), 0);
	assert_int_equal(window_take_back(ws, 1, BASE + SEC), 0);
	assert_int_equal(add(ws, 7, t, t + 1, 300), 0); /* and by whoever stored it */
	assert_int_equal(window_seal_begin(ws, BASE, on_sealed_part, &part), 0);
	window_seal_done(ws, t + 2);
	assert_int_equal(part.id.obj_id, 9); /* the last one; 8 is gone */
	assert_int_equal(window_bytes(ws) > 0, 1);
	window_set_free(&ws);

	assert_int_equal(window_set_new(WIN, 1 << 20, &ws), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(add(ws, 7, BASE + i * 10 * SEC, BASE + i * 10 * SEC, 100 + i), 0);
	assert_int_equal(window_take_back(ws, 1, t), 0);
	assert_int_equal(window_seal_begin(ws, BASE, on_sealed_part, &part), 0);
	assert_int_equal(part.n, 5);
	assert_int_equal(part.t_last_us, BASE + 40 * SEC);
	assert_int_equal(part.figures.rss_max, 104);
	assert_int_equal(part.figures.rss_last, 104);
	assert_int_equal(part.figures.rss_avg, 102);
	window_seal_done(ws, t);
	window_set_free(&ws);
}

static void a_replay_skips_what_is_sealed(void **state unused_arg)
{
	struct window_set *ws = set_new();

	assert_int_equal(window_set_cut(ws, BASE, 5000), 0);
	assert_int_equal(add(ws, 7, BASE + 1 * SEC, 4000, 1), 1);
	assert_int_equal(add(ws, 7, BASE + 2 * SEC, 5000, 1), 1);
	assert_int_equal(add(ws, 7, BASE + 3 * SEC, 5001, 1), 0); /* late: another part */
	assert_int_equal(add(ws, 7, BASE + WIN, 4000, 1), 0);
	assert_int_equal(window_oldest_received(ws), 4000);
	assert_int_equal(window_last_received(ws, BASE), 5001);
	window_forget(ws, BASE + 1);
	assert_int_equal(add(ws, 8, BASE, 100, 1), 0);
	window_set_free(&ws);
}

/* Whatever order they come in, and when some of them are gone. */
static void order_of_series_does_not_matter(void **state unused_arg)
{
	static const int64_t rounds[][4] = {
		{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 3, 2, 4}, {4, 3, 2, 1}, {1, 2, 3, 4}};
	struct window_set *ws = set_new();
	struct sealed s = {.n = 0};

	for (size_t r = 0; r < ARRAY_SIZE(rounds); r++)
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(add(ws, rounds[r][i], BASE + (int64_t)r * SEC, 1,
					     rounds[r][i] * 100 + (int64_t)r),
					 0);
	for (int64_t proc = 1; proc <= 4; proc++) {
		struct seen seen = {.n = 0};

		assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, proc), METRIC_RSS, BASE,
					     BASE + WIN, on_point, &seen),
				 5);
		for (size_t r = 0; r < seen.n; r++)
			assert_int_equal(seen.p[r].v, proc * 100 + (int64_t)r);
	}
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), 0);
	window_seal_done(ws, 1);
	assert_int_equal(add(ws, 2, BASE + WIN, 2, 7), 0);
	window_forget(ws, BASE + WIN); /* only 2 is left */
	for (int64_t proc = 1; proc <= 4; proc++)
		assert_int_equal(add(ws, proc, BASE + WIN + SEC, 2, proc), 0);
	for (int64_t proc = 1; proc <= 4; proc++) {
		struct seen seen = {.n = 0};

		assert_int_equal(window_read(ws, &SERIES_OF_PROCESS(1, proc), METRIC_RSS, BASE,
					     BASE + 2 * WIN, on_point, &seen),
				 proc == 2 ? 2 : 1);
		assert_int_equal(seen.p[seen.n - 1].v, proc);
	}
	window_set_free(&ws);
}

static void a_batch_without_samples_has_its_window_sealed(void **state unused_arg)
{
	struct window_set *ws = set_new();
	struct sealed s = {.n = 0};

	assert_int_equal(window_stored(ws, BASE, 5000), 0);
	assert_int_equal(window_stored(ws, BASE, 4000), 0);
	assert_int_equal(add(ws, 7, BASE + WIN, 6000, 1), 0);
	assert_int_equal(window_oldest(ws), BASE);
	assert_int_equal(window_last_received(ws, BASE), 5000);
	assert_int_equal(window_oldest_received(ws), 6000); /* the inbox is not kept for it */
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(window_oldest(ws), BASE + WIN);
	assert_int_equal(window_stored(ws, BASE, 7000), 0); /* while that is under way */
	window_seal_done(ws, 6500);
	assert_int_equal(window_oldest(ws), BASE);
	assert_int_equal(window_set_cut(ws, BASE, 7000), 0);
	assert_int_equal(window_oldest(ws), BASE + WIN);
	assert_int_equal(window_last_received(ws, BASE), 0);
	window_set_free(&ws);
}

static void counters_that_restart_count_from_zero(void **state unused_arg)
{
	struct window_set *ws = set_new();
	struct sealed s = {.n = 0};

	assert_int_equal(add(ws, 7, BASE, BASE, 100), 0);
	assert_int_equal(add(ws, 7, BASE + SEC, BASE, 150), 0);
	assert_int_equal(add(ws, 7, BASE + 2 * SEC, BASE, 10), 0);
	assert_int_equal(window_seal_begin(ws, BASE, on_part, &s), 0);
	assert_int_equal(s.part[0].figures.cpu_ms, 100 + 20);
	assert_int_equal(s.rss_last, 10);
	window_set_free(&ws);
}

static void windows_start_on_the_grid(void **state unused_arg)
{
	assert_int_equal(window_start(WIN, BASE), BASE);
	assert_int_equal(window_start(WIN, BASE + WIN - 1), BASE);
	assert_int_equal(window_start(WIN, -1), -WIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_read_back),
		cmocka_unit_test(a_sample_counts_once),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(a_window_is_sealed_once),
		cmocka_unit_test(kinds_do_not_mix),
		cmocka_unit_test(a_process_costs_no_more_than_its_columns),
		cmocka_unit_test(what_another_stored_is_taken_back),
		cmocka_unit_test(a_replay_skips_what_is_sealed),
		cmocka_unit_test(a_batch_without_samples_has_its_window_sealed),
		cmocka_unit_test(order_of_series_does_not_matter),
		cmocka_unit_test(counters_that_restart_count_from_zero),
		cmocka_unit_test(windows_start_on_the_grid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
