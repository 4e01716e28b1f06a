/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/lives.h"

#include <math.h>

#include "common/check.h"
#include "tests/support/test.h"

#define SEC    1000000LL
#define MINUTE (60 * SEC)
#define HOUR   (60 * MINUTE)
#define MIB    (1024.0 * 1024)
#define T0     (1700000000 * SEC)

static uint32_t seed;

/* -1 .. 1, the same in every run. */
static double noise(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (double)(seed >> 8) / (1 << 23) - 1;
}

struct shape {
	double base;
	double per_hour;
	double amplitude; /* of noise */
	double jump;      /* at jump_at of the life */
	double jump_at;
	double warm_up; /* e-fold per 10 % of the life */
	double per_cpu; /* bytes a CPU second */
	bool uneven;    /* load comes and goes by the hour, else it is even */
};

/* A life of so many points; its CPU time goes on as the load is. */
static void live(struct lives *l, int64_t id, int64_t key, int64_t from, int64_t span, int n,
		 const struct shape *s)
{
	struct life *to = lives_get(l, id, key);
	double cpu = 0;
	double at = 0;

	assert_non_null(to);
	for (int i = 0; i < n; i++) {
		int64_t t = span * i / (n - 1);
		double hours = (double)t / (double)HOUR;
		double part = (double)i / (n - 1);
		double bytes;

		cpu += (hours - at) * 3600 *
		       (s->uneven ? ((int)(hours * 2) % 3 ? 0.02 : 0.9) : 0.3);
		at = hours;
		bytes = s->base + s->per_hour * hours + s->amplitude * noise() + s->per_cpu * cpu +
			(part >= s->jump_at ? s->jump : 0) + s->warm_up * (1 - exp(-part * 10));
		life_add(to, from + t, bytes, cpu);
	}
}

static struct growth of_one(const struct shape *s)
{
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	seed = 1;
	live(l, 1, 0, T0, 6 * HOUR, 40, s);
	assert_int_equal(lives_judge(l, &g), 0);
	free(l);
	return g;
}

static void a_leak_is_a_line(void **state unused_arg)
{
	struct growth g = of_one(&(struct shape){
		.base = 100 * MIB, .per_hour = 10 * MIB, .amplitude = 4 * MIB, .uneven = true});

	assert_int_equal(g.shape, GROWTH_GRADUAL);
	assert_int_equal(g.driver, DRIVER_CLOCK);
	assert_true(g.bytes_per_hour > 9 * MIB && g.bytes_per_hour < 11 * MIB && g.r2 > 0.95);
	assert_int_equal(g.restarts, 0);
	assert_non_null(strstr(g.sentence, "leaks "));
	assert_non_null(strstr(g.sentence, "/h, no restart, r2 0.9"));
	assert_non_null(strstr(g.sentence, "by the clock and not by load"));
}

static void restarts_are_no_falls(void **state unused_arg)
{
	const struct shape s = {.base = 80 * MIB,
				.per_hour = 3 * MIB,
				.amplitude = 0.3 * MIB,
				.uneven = true};
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	seed = 2;
	for (int i = 0; i < 15; i++)
		live(l, i + 1, 7, T0 + i * 4 * HOUR, 4 * HOUR - MINUTE, 12, &s);
	assert_int_equal(lives_judge(l, &g), 0);
	assert_int_equal(g.shape, GROWTH_GRADUAL);
	assert_int_equal(g.restarts, 14);
	assert_int_equal(g.lives, 15);
	assert_true(g.bytes_per_hour > 2.8 * MIB && g.bytes_per_hour < 3.2 * MIB && g.r2 > 0.9);
	assert_non_null(strstr(g.sentence, "14 restarts"));
	free(l);
}

/* Two workers that live at the same time did not follow one another. */
static void slots_are_not_restarts(void **state unused_arg)
{
	const struct shape s = {.base = 80 * MIB, .per_hour = 20 * MIB};
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	live(l, 1, 1, T0, 2 * HOUR, 20, &s);
	live(l, 2, 2, T0, HOUR, 20, &s);
	live(l, 3, 2, T0 + HOUR + MINUTE, HOUR, 20, &s);
	assert_int_equal(lives_judge(l, &g), 0);
	assert_int_equal(g.restarts, 1);
	assert_int_equal(g.shape, GROWTH_GRADUAL);
	free(l);
}

static void a_burst_is_no_leak(void **state unused_arg)
{
	struct growth g = of_one(&(struct shape){
		.base = 100 * MIB, .amplitude = MIB, .jump = 150 * MIB, .jump_at = 0.6});

	assert_int_equal(g.shape, GROWTH_BURST);
	assert_true(g.burst_bytes > 145 * MIB && g.burst_bytes < 155 * MIB);
	assert_true(g.burst_us > T0 + 3 * HOUR && g.burst_us < T0 + 4 * HOUR);
	assert_non_null(strstr(g.sentence, "at one moment"));
	assert_int_equal(of_one(&(struct shape){.base = 100 * MIB, .per_hour = 100 * MIB}).shape,
			 GROWTH_GRADUAL);
}

/* In each life at another moment. */
static void bursts_of_many_lives_are_bursts(void **state unused_arg)
{
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	seed = 3;
	for (int i = 0; i < 5; i++)
		live(l, i + 1, 7, T0 + i * 4 * HOUR, 4 * HOUR - MINUTE, 24,
		     &(struct shape){.base = 80 * MIB,
				     .amplitude = MIB,
				     .jump = 60 * MIB,
				     .jump_at = 0.3 + 0.1 * i});
	assert_int_equal(lives_judge(l, &g), 0);
	assert_int_equal(g.shape, GROWTH_BURST);
	assert_int_equal(g.restarts, 4);
	free(l);
}

static void noise_is_not_growth(void **state unused_arg)
{
	struct growth g = of_one(&(struct shape){.base = 200 * MIB, .amplitude = 20 * MIB});

	assert_true(g.shape == GROWTH_STEADY || g.shape == GROWTH_ERRATIC);
	assert_int_equal(of_one(&(struct shape){.base = 200 * MIB}).shape, GROWTH_STEADY);
	assert_int_equal(of_one(&(struct shape){.base = 200 * MIB, .amplitude = MIB}).shape,
			 GROWTH_STEADY);
}

static void a_warm_up_levels_off(void **state unused_arg)
{
	struct growth g =
		of_one(&(struct shape){.base = 60 * MIB, .amplitude = MIB, .warm_up = 200 * MIB});

	assert_int_equal(g.shape, GROWTH_WARM_UP);
}

static void load_is_told_from_time(void **state unused_arg)
{
	struct growth g = of_one(&(struct shape){
		.base = 60 * MIB, .amplitude = 0.2 * MIB, .per_cpu = 10 * 1024, .uneven = true});

	assert_int_equal(g.shape, GROWTH_GRADUAL);
	assert_int_equal(g.driver, DRIVER_LOAD);
	assert_true(g.bytes_per_cpu_second > 9 * 1024 && g.bytes_per_cpu_second < 11 * 1024);
	assert_non_null(strstr(g.sentence, "by load and not by the clock"));
	/* Even load and time go together: nobody can tell. */
	g = of_one(&(struct shape){.base = 60 * MIB, .per_cpu = 10 * 1024});
	assert_int_equal(g.shape, GROWTH_GRADUAL);
	assert_int_equal(g.driver, DRIVER_UNKNOWN);
}

static void little_is_too_little(void **state unused_arg)
{
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	assert_int_equal(lives_judge(l, &g), 0);
	assert_int_equal(g.shape, GROWTH_UNKNOWN);
	assert_true(isnan(g.bytes_per_hour));
	live(l, 1, 0, T0, 5 * MINUTE, 30, &(struct shape){.base = MIB, .per_hour = 100 * MIB});
	assert_int_equal(lives_judge(l, &g), 0);
	assert_int_equal(g.shape, GROWTH_UNKNOWN);
	free(l);
}

static void a_full_life_is_thinned_out(void **state unused_arg)
{
	struct lives *l = calloc(1, sizeof(*l));
	struct growth g;

	live(l, 1, 0, T0, 24 * HOUR, 5000, &(struct shape){.base = MIB, .per_hour = 5 * MIB});
	assert_true(l->life[0].n > LIFE_POINTS / 3 && l->life[0].n <= LIFE_POINTS);
	assert_true(l->life[0].p[l->life[0].n - 1].t_us == T0 + 24 * HOUR);
	assert_int_equal(lives_judge(l, &g), 0);
	assert_true(fabs(g.bytes_per_hour - 5 * MIB) < MIB / 10);
	for (int64_t i = 2; i < 100; i++)
		lives_get(l, i, 0);
	assert_int_equal(l->n, LIVES_MAX);
	free(l);
}

static void words_are_there(void **state unused_arg)
{
	assert_string_equal(growth_shape_word(GROWTH_BURST), "burst");
	assert_string_equal(growth_driver_word(DRIVER_LOAD), "load");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leak_is_a_line),
		cmocka_unit_test(restarts_are_no_falls),
		cmocka_unit_test(slots_are_not_restarts),
		cmocka_unit_test(a_burst_is_no_leak),
		cmocka_unit_test(bursts_of_many_lives_are_bursts),
		cmocka_unit_test(noise_is_not_growth),
		cmocka_unit_test(a_warm_up_levels_off),
		cmocka_unit_test(load_is_told_from_time),
		cmocka_unit_test(little_is_too_little),
		cmocka_unit_test(a_full_life_is_thinned_out),
		cmocka_unit_test(words_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
