/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/rule/engine.h"

#include <errno.h>

#include "collector/rule/parse.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define S    1000000LL
#define MIN_ (60 * S)
#define T0   (1700000000 * S)

/* An engine, its rules, and what it told as 'what:level ...'. */
struct world {
	struct rule_set *set;
	struct rule_engine *engine;
	int64_t t_us;
	char told[4096];
	char last_key[RULE_KEY_SIZE];
	char last_explain[2048];
	struct rule_transition last;
};

static void on_transition(void *arg, const struct rule_transition *t)
{
	struct world *w = arg;
	size_t n = strlen(w->told);

	snprintf(w->told + n, sizeof(w->told) - n, "%s%s:%s", n ? " " : "",
		 rule_change_name(t->what), rule_level_names[t->level]);
	snprintf(w->last_key, sizeof(w->last_key), "%s", t->key);
	snprintf(w->last_explain, sizeof(w->last_explain), "%s", t->explain);
	w->last = *t;
}

static const struct rule_engine_ops ops = {on_transition};

static void world_init(struct world *w, const char *rules)
{
	struct error err = {""};

	memset(w, 0, sizeof(*w));
	w->t_us = T0;
	assert_int_equal(rule_set_new(&w->set), 0);
	if (rule_set_parse(w->set, "t", rules, strlen(rules), &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(engine_new(w->set, w->t_us, &ops, w, &w->engine), 0);
}

static void world_fini(struct world *w)
{
	engine_free(&w->engine);
	rule_set_free(&w->set);
}

static struct rule_subject process(int64_t id)
{
	return (struct rule_subject){
		.kind = RULE_PROCESS,
		.host_id = 1,
		.id = id,
		.host = "vps1",
		.service = "web",
		.comm = "python3",
		.uid = 33,
		.python = true,
		.first_seen_us = T0 - 3600 * S,
	};
}

static int sample_at(struct world *w, int64_t id, int64_t t_us, int64_t rss_mib)
{
	struct rule_subject who = process(id);
	int64_t v[METRIC_COUNT];

	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = rss_mib < 0 ? METRIC_ABSENT : rss_mib * 1024;
	return engine_sample(w->engine, &who, t_us, v);
}

static int host_at(struct world *w, int64_t t_us, int64_t available_mib)
{
	struct rule_subject who = {.kind = RULE_HOST, .host_id = 1, .host = "vps1", .uid = -1};
	int64_t v[HOST_METRIC_COUNT] = {0};

	v[HOST_METRIC_TOTAL] = 1000 * 1024;
	v[HOST_METRIC_AVAILABLE] = available_mib * 1024;
	return engine_sample(w->engine, &who, t_us, v);
}

/* Process 7 at that size for so long, a sample each 10 s. */
static void stay(struct world *w, int64_t seconds, int64_t rss_mib)
{
	for (int64_t end = w->t_us + seconds * S; w->t_us < end;) {
		w->t_us += 10 * S;
		engine_sweep(w->engine, w->t_us);
		assert_int_equal(sample_at(w, 7, w->t_us, rss_mib), 0);
	}
}

static void pass(struct world *w, int64_t seconds)
{
	for (int64_t end = w->t_us + seconds * S; w->t_us < end;) {
		w->t_us += 10 * S;
		engine_sweep(w->engine, w->t_us);
	}
}

#define assert_told(w, text)                          \
	do {                                          \
		assert_string_equal((w)->told, text); \
		(w)->told[0] = '\0';                  \
	} while (0)

#define BIG \
	"rule big on process { level mail when rss > 100MiB for 1min clear rss < 80MiB for 2min }"
#define KEY "big|1|process|7"

static void fires_after_for_and_clears_after_clear(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	stay(&w, 100, 50);
	assert_told(&w, "");
	stay(&w, 60, 120); /* true at 10 s, for 50 s */
	assert_told(&w, "");
	assert_int_equal(engine_phase(w.engine, KEY), RULE_PENDING);
	stay(&w, 10, 130);
	assert_told(&w, "raised:mail");
	assert_string_equal(w.last_key, KEY);
	assert_string_equal(w.last.service, "web");
	assert_string_equal(w.last_explain, "rss > 100MiB = true\nrss = 130 MiB\n");
	assert_int_equal(engine_phase(w.engine, KEY), RULE_FIRING);
	assert_int_equal(engine_stats(w.engine).firing, 1);
	stay(&w, 100, 200);
	stay(&w, 600, 90); /* between clear and when */
	assert_told(&w, "");
	stay(&w, 120, 70);
	assert_told(&w, "");
	assert_int_equal(engine_phase(w.engine, KEY), RULE_CLEARING);
	stay(&w, 10, 71);
	assert_told(&w, "resolved:mail");
	assert_string_equal(w.last.reason, "clear");
	assert_true(w.last.first == 130.0 * 1048576);
	assert_true(w.last.peak == 200.0 * 1048576);
	assert_true(w.last.last == 71.0 * 1048576);
	assert_int_equal(engine_stats(w.engine).firing, 0);
	world_fini(&w);
}

static void an_interrupted_condition_starts_again(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	for (int i = 0; i < 20; i++) {
		stay(&w, 50, 120);
		stay(&w, 10, 90);
	}
	assert_told(&w, "");
	world_fini(&w);
}

static void the_default_clear_has_a_dead_band(void **state unused_arg)
{
	struct world w;

	world_init(&w, "rule big on process { level log when rss > 100MiB }");
	stay(&w, 10, 120);
	assert_told(&w, "raised:log");
	stay(&w, 1200, 95); /* not above, but within 10 % */
	assert_told(&w, "");
	stay(&w, 300, 89);
	assert_told(&w, "");
	stay(&w, 10, 89);
	assert_told(&w, "resolved:log");
	world_fini(&w);
}

static void unknown_holds_and_counts_for_nothing(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	stay(&w, 40, 120);
	stay(&w, 600, -1);
	assert_told(&w, "");
	stay(&w, 20, 120);
	assert_told(&w, "");
	stay(&w, 20, 120);
	assert_told(&w, "raised:mail");
	stay(&w, 3600, -1);
	assert_told(&w, "");
	world_fini(&w);
}

static void a_hole_in_the_samples_counts_for_nothing(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	stay(&w, 20, 120);
	pass(&w, 1200);
	stay(&w, 10, 120);
	assert_told(&w, "");
	stay(&w, 60, 120);
	assert_told(&w, "raised:mail");
	world_fini(&w);
}

#define LADDER                                                                     \
	"rule ladder on process { when rss > 100MiB clear rss < 50MiB; level log;" \
	" level mail when rss > 200MiB for 1min clear rss < 150MiB for 1min;"      \
	" level trim when rss > 300MiB for 1min clear rss < 250MiB max 2 per 1h }"

static void levels_go_up_and_down_in_order(void **state unused_arg)
{
	struct world w;

	world_init(&w, LADDER);
	stay(&w, 30, 120);
	assert_told(&w, "raised:log");
	stay(&w, 70, 250);
	assert_told(&w, "raised:mail");
	stay(&w, 70, 350);
	assert_told(&w, "raised:trim act:trim");
	assert_int_equal(w.last.max_actions, 2);
	assert_int_equal(engine_action_done(w.engine, "ladder|1|process|7", true, w.t_us), 0);
	stay(&w, 10, 240);
	assert_told(&w, "lowered:mail");
	stay(&w, 80, 120);
	assert_told(&w, "lowered:log");
	stay(&w, 10, 40);
	assert_told(&w, "resolved:log");
	world_fini(&w);
}

static void a_jump_passes_every_level(void **state unused_arg)
{
	struct world w;

	world_init(&w, LADDER);
	stay(&w, 70, 400);
	assert_told(&w, "raised:log raised:mail raised:trim act:trim");
	stay(&w, 10, 40);
	assert_told(&w, "lowered:mail");
	stay(&w, 60, 40);
	assert_told(&w, "resolved:mail");
	world_fini(&w);
}

static void actions_wait_for_their_result_and_budget(void **state unused_arg)
{
	struct world w;

	world_init(&w, LADDER);
	stay(&w, 70, 400);
	w.told[0] = '\0';
	stay(&w, 300, 400); /* no result yet */
	assert_told(&w, "");
	assert_int_equal(engine_action_done(w.engine, "ladder|1|process|7", true, w.t_us), 0);
	stay(&w, 300, 400);
	assert_told(&w, "act:trim");
	assert_int_equal(engine_action_done(w.engine, "ladder|1|process|7", true, w.t_us), 0);
	stay(&w, 2900, 400); /* two within the hour were had */
	assert_told(&w, "");
	stay(&w, 200, 400);
	assert_told(&w, "act:trim");
	/* a result that never comes blocks for ten minutes only, then the budget rules again */
	stay(&w, 590, 400);
	assert_told(&w, "act:trim");
	world_fini(&w);
}

static void ineffective_actions_stand_down(void **state unused_arg)
{
	struct world w;

	world_init(&w, "rule t on process { level trim when rss > 300MiB max 16 per 1h }");
	stay(&w, 10, 400);
	assert_told(&w, "raised:trim act:trim");
	assert_int_equal(engine_action_done(w.engine, "t|1|process|7", false, w.t_us), 0);
	stay(&w, 10, 400);
	assert_told(&w, "act:trim");
	assert_int_equal(engine_action_done(w.engine, "t|1|process|7", false, w.t_us), 0);
	assert_told(&w, "stood_down:trim");
	assert_int_equal(w.last.ineffective, 2);
	stay(&w, 7200, 400);
	assert_told(&w, "");
	assert_int_equal(engine_action_done(w.engine, "t|1|process|8", false, w.t_us), -ENOENT);
	assert_int_equal(engine_action_done(w.engine, "garbage", false, w.t_us), -ENOENT);
	world_fini(&w);
}

static void flapping_takes_longer_to_clear(void **state unused_arg)
{
	struct world w;

	world_init(&w,
		   "rule f on process { level log when rss > 100MiB clear rss < 90MiB for 1min }");
	stay(&w, 10, 200);
	stay(&w, 70, 10);
	assert_told(&w, "raised:log resolved:log");
	stay(&w, 10, 200);
	stay(&w, 120, 10);
	assert_told(&w, "raised:log");
	stay(&w, 10, 10);
	assert_told(&w, "resolved:log");
	/* a quiet hour forgives */
	stay(&w, 3610, 10);
	stay(&w, 10, 200);
	stay(&w, 70, 10);
	assert_told(&w, "raised:log resolved:log");
	world_fini(&w);
}

static void late_and_future_samples_move_no_alert(void **state unused_arg)
{
	struct world w;

	world_init(&w,
		   "rule n on process { level log when rss > 100MiB or max(rss, 1h) > 300MiB }");
	w.t_us = T0 + 7200 * S;
	engine_sweep(w.engine, w.t_us);
	for (int64_t t = w.t_us - 3600 * S; t < w.t_us - 300 * S; t += 10 * S)
		assert_int_equal(sample_at(&w, 7, t, 400), 0);
	assert_told(&w, "");
	assert_true(engine_stats(w.engine).late > 300);
	assert_int_equal(sample_at(&w, 7, w.t_us + 301 * S, 400), -ERANGE);
	assert_int_equal(sample_at(&w, 7, w.t_us - 400 * S, 400), -ERANGE);
	assert_int_equal(sample_at(&w, 8, -5, 400), -ERANGE);
	assert_int_equal(sample_at(&w, 8, INT64_MIN, 400), -ERANGE);
	assert_int_equal(sample_at(&w, 8, INT64_MAX, 400), -ERANGE);
	assert_told(&w, "");
	/* but the windows know what came late */
	assert_int_equal(sample_at(&w, 7, w.t_us, 10), 0);
	assert_told(&w, "raised:log");
	world_fini(&w);
}

static void a_gone_subject_resolves_its_alerts(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	stay(&w, 100, 200);
	assert_told(&w, "raised:mail");
	engine_gone(w.engine, RULE_PROCESS, 1, 7, w.t_us);
	assert_told(&w, "resolved:mail");
	assert_string_equal(w.last.reason, "gone");
	engine_gone(w.engine, RULE_PROCESS, 1, 7, w.t_us);
	engine_gone(w.engine, RULE_SERVICE, 1, 7, w.t_us);
	assert_told(&w, "");
	stay(&w, 100, 200);
	assert_told(&w, "raised:mail");
	engine_gone(w.engine, RULE_HOST, 1, 0, w.t_us);
	assert_told(&w, "resolved:mail");
	assert_int_equal(engine_stats(w.engine).subjects, 0);
	world_fini(&w);
}

static void a_process_that_its_host_no_longer_reports_has_gone(void **state unused_arg)
{
	struct world w;

	world_init(&w, BIG);
	stay(&w, 100, 200);
	assert_told(&w, "raised:mail");
	for (int64_t end = w.t_us + 1900 * S; w.t_us < end;) {
		pass(&w, 10);
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
	}
	assert_told(&w, "resolved:mail");
	pass(&w, 10);
	for (int64_t end = w.t_us + 1900 * S; w.t_us < end;) {
		pass(&w, 10);
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
	}
	/* the empty service went after it; the host stays */
	assert_int_equal(engine_stats(w.engine).subjects, 1);
	world_fini(&w);
}

static void silence_fires_and_the_next_sample_ends_it(void **state unused_arg)
{
	struct rule_subject who = {.kind = RULE_HOST, .host_id = 2, .host = "vps2", .uid = -1};
	struct world w;

	world_init(&w, "rule silent on host { missing fire after 3min; level mail }");
	assert_int_equal(host_at(&w, w.t_us, 500), 0);
	pass(&w, 170);
	assert_told(&w, "");
	pass(&w, 10);
	assert_told(&w, "raised:mail");
	assert_string_equal(w.last_key, "silent|1|host|0");
	assert_string_equal(w.last.reason, "missing");
	pass(&w, 600);
	assert_told(&w, "");
	for (int i = 0; i < 32; i++) {
		pass(&w, 10);
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
	}
	assert_told(&w, "resolved:mail");
	/* one that never came since the collector started */
	assert_int_equal(engine_expect(w.engine, &who, T0), 0);
	pass(&w, 10);
	assert_string_equal(w.last_key, "silent|2|host|0");
	world_fini(&w);
}

static void missing_clear_ends_an_alert(void **state unused_arg)
{
	struct world w;

	world_init(&w, "rule c on process { missing clear after 5min; level log when rss > 1MiB }");
	stay(&w, 10, 5);
	assert_told(&w, "raised:log");
	pass(&w, 290);
	assert_told(&w, "");
	pass(&w, 20);
	assert_told(&w, "resolved:log");
	assert_string_equal(w.last.reason, "missing");
	world_fini(&w);
}

static void where_chooses_and_changed_labels_choose_again(void **state unused_arg)
{
	struct rule_subject who = process(7);
	int64_t v[METRIC_COUNT] = {1024};
	struct world w;

	world_init(&w, "rule p on process where comm == \"python3\" { level log when rss > 0 }");
	assert_int_equal(engine_sample(w.engine, &who, w.t_us, v), 0);
	assert_told(&w, "raised:log");
	who.comm = "nginx";
	assert_int_equal(engine_sample(w.engine, &who, w.t_us + 10 * S, v), 0);
	assert_told(&w, "");
	who.rev++;
	assert_int_equal(engine_sample(w.engine, &who, w.t_us + 20 * S, v), 0);
	assert_told(&w, "resolved:log");
	assert_string_equal(w.last.reason, "gone");
	world_fini(&w);
}

static void a_young_process_is_left_to_warm_up(void **state unused_arg)
{
	struct rule_subject who = process(7);
	int64_t v[METRIC_COUNT] = {0};
	struct world w;

	world_init(&w,
		   "rule g on process { warmup 2min; level log when delta(rss, 10min) > 50MiB }");
	who.first_seen_us = w.t_us;
	for (int64_t t = 10; t <= 700; t += 10) {
		v[METRIC_RSS] = (t < 120 ? t : 120) * 1024; /* grows while it starts */
		engine_sweep(w.engine, w.t_us + t * S);
		assert_int_equal(engine_sample(w.engine, &who, w.t_us + t * S, v), 0);
	}
	assert_told(&w, "");
	v[METRIC_RSS] = 180 * 1024;
	engine_sweep(w.engine, w.t_us + 710 * S);
	assert_int_equal(engine_sample(w.engine, &who, w.t_us + 710 * S, v), 0);
	assert_told(&w, "raised:log");
	world_fini(&w);
}

/* ---- services ---- */

static void a_service_is_the_sum_of_its_processes(void **state unused_arg)
{
	struct world w;

	world_init(&w, "rule pool on service where service ~ \"w*\" and python {"
		       " level mail when rss > 250MiB clear rss < 250MiB }");
	for (int64_t id = 1; id <= 2; id++)
		assert_int_equal(sample_at(&w, id, w.t_us, 100), 0);
	assert_int_equal(host_at(&w, w.t_us, 500), 0);
	assert_told(&w, "");
	w.t_us += 200 * S;
	engine_sweep(w.engine, w.t_us);
	for (int64_t id = 1; id <= 3; id++)
		assert_int_equal(sample_at(&w, id, w.t_us, 100), 0);
	assert_told(&w, "");
	assert_int_equal(host_at(&w, w.t_us, 500), 0);
	assert_told(&w, "raised:mail");
	assert_string_equal(w.last_key, "pool|1|service|web");
	assert_true(w.last.last == 300.0 * 1048576);
	engine_gone(w.engine, RULE_PROCESS, 1, 2, w.t_us);
	assert_told(&w, "");
	w.t_us += 10 * S;
	engine_sweep(w.engine, w.t_us);
	assert_int_equal(host_at(&w, w.t_us, 500), 0);
	assert_told(&w, "resolved:mail");
	world_fini(&w);
}

/* Of a service the smallest of its processes' limits, told by each sample anew. */
static void a_limit_is_the_smallest(void **state unused_arg)
{
	int64_t v[METRIC_COUNT];
	struct world w;

	world_init(&w, "rule near on service { level mail when rss / limit > 50% clear rss / limit "
		       "< 50% }\nrule own on process { level log when rss > 90% of limit }");
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = 100 << 10;
	for (int64_t round = 0; round < 3; round++) {
		w.t_us += 200 * S;
		engine_sweep(w.engine, w.t_us);
		for (int64_t id = 1; id <= 2; id++) {
			struct rule_subject who = process(id);

			/* not told; 300 and 1000 MiB; 1000 MiB both */
			who.limit_kib = !round ? 0 : id == 1 && round == 1 ? 300 << 10 : 1000 << 10;
			assert_int_equal(engine_sample(w.engine, &who, w.t_us, v), 0);
		}
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
	}
	assert_told(&w, "raised:mail resolved:mail");
	world_fini(&w);
}

static void counters_of_a_service_never_fall(void **state unused_arg)
{
	struct rule_subject who = process(1);
	int64_t v[METRIC_COUNT] = {0};
	struct world w;

	world_init(&w,
		   "rule faults on service { level log when delta(majflt, 1h) < 0 or majflt < 0;"
		   " level mail when majflt == 150 }");
	v[METRIC_MAJFLT] = 1000000; /* lived long before we looked */
	for (int64_t t = 0; t <= 300; t += 10) {
		who.id = t < 150 ? 1 : 2; /* replaced by another with a smaller count */
		if (t == 150) {
			engine_gone(w.engine, RULE_PROCESS, 1, 1, w.t_us);
			v[METRIC_MAJFLT] = 5;
		}
		w.t_us += 10 * S;
		engine_sweep(w.engine, w.t_us);
		assert_int_equal(engine_sample(w.engine, &who, w.t_us, v), 0);
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
		v[METRIC_MAJFLT] += 10;
	}
	/* 14 steps of ten, then 15 of ten */
	assert_told(&w, "raised:log raised:mail");
	world_fini(&w);
}

static void host_values_are_there_for_all(void **state unused_arg)
{
	struct world w;

	world_init(&w, "rule a on process { level log when rss > 40% of host.total }\n"
		       "rule b on host { level log when available / total < 10% }");
	assert_int_equal(sample_at(&w, 7, w.t_us, 500), 0);
	assert_told(&w, ""); /* the host's size is not known yet */
	assert_int_equal(host_at(&w, w.t_us, 90), -0);
	assert_told(&w, "raised:log");
	assert_string_equal(w.last_key, "b|1|host|0");
	w.t_us += 10 * S;
	assert_int_equal(sample_at(&w, 7, w.t_us, 500), 0);
	assert_string_equal(w.last_key, "a|1|process|7");
	world_fini(&w);
}

/* ---- scenarios: the rule a user would write, three kinds of process ---- */

#define LEAK                                                                              \
	"rule leak on process where python {"                                             \
	" when slope(rss, 1h) > 10MiB/h and r2(rss, 1h) > 0.8 and delta(rss, 1h) > 32MiB" \
	" for 10min; level log; level mail }"

typedef int64_t shape(int64_t seconds);

static int64_t leaking(int64_t s)
{
	/* 60 MiB/h in steps, with some noise, as a heap grows */
	return 100 + s / 60 + (s / 10 * 7919) % 3;
}

static int64_t steady(int64_t s)
{
	return 300 + (s / 10 * 7919) % 5;
}

static int64_t sawtooth(int64_t s)
{
	/* a cache that fills 200 MiB in 20 min and is emptied */
	return 100 + s % 1200 / 6;
}

static int64_t stepped(int64_t s)
{
	/* loads a model once */
	return s < 7200 ? 100 : 600;
}

static unsigned alerts_in_6h(shape *f)
{
	struct world w;
	unsigned n = 0;

	world_init(&w, LEAK);
	for (int64_t s = 0; s < 6 * 3600; s += 10) {
		w.t_us = T0 + s * S;
		engine_sweep(w.engine, w.t_us);
		assert_int_equal(sample_at(&w, 7, w.t_us, f(s)), 0);
		if (w.told[0]) {
			assert_told(&w, "raised:log raised:mail");
			n++;
		}
	}
	world_fini(&w);
	return n;
}

static void a_leak_is_found_and_nothing_else(void **state unused_arg)
{
	assert_int_equal(alerts_in_6h(leaking), 1);
	assert_int_equal(alerts_in_6h(steady), 0);
	assert_int_equal(alerts_in_6h(sawtooth), 0);
	assert_int_equal(alerts_in_6h(stepped), 0);
}

static void skipping_changes_no_answer(void **state unused_arg)
{
	/* steps, rests and falls; a rule that is never skipped must say the same at the same time
	 */
	static const char fast[] = "rule x on process { warmup 0s; level log when"
				   " delta(rss, 5min) > 20MiB clear delta(rss, 5min) < 10MiB }";
	static const char slow[] = "rule x on process { warmup 0s; level log when"
				   " delta(rss, 5min) > 20MiB or age < 0s"
				   " clear delta(rss, 5min) < 10MiB and age >= 0s }";
	struct world a;
	struct world b;
	uint32_t x = 7;
	int64_t rss = 100;

	world_init(&a, fast);
	world_init(&b, slow);
	for (int64_t i = 0; i < 20000; i++) {
		x = x * 1664525 + 1013904223;
		if (x >> 24 < 1)
			rss = 100 + (x >> 8) % 60;
		a.t_us = b.t_us = T0 + i * 10 * S;
		engine_sweep(a.engine, a.t_us);
		engine_sweep(b.engine, b.t_us);
		assert_int_equal(sample_at(&a, 7, a.t_us, rss), 0);
		assert_int_equal(sample_at(&b, 7, b.t_us, rss), 0);
		assert_string_equal(a.told, b.told);
		if (strlen(a.told) > 3000)
			a.told[0] = b.told[0] = '\0';
	}
	assert_true(engine_stats(a.engine).skipped > 2000);
	assert_int_equal(engine_stats(b.engine).skipped, 0);
	assert_true(strlen(a.told) > 0 || engine_stats(a.engine).firing);
	world_fini(&a);
	world_fini(&b);
}

/* ---- over a restart ---- */

struct kept {
	struct rule_saved row;
	char key[RULE_KEY_SIZE];
	unsigned n;
};

static void on_row(void *arg, const struct rule_saved *row)
{
	struct kept *k = arg;

	k->row = *row;
	snprintf(k->key, sizeof(k->key), "%s", row->key);
	k->row.key = k->key;
	k->n++;
}

static void a_restart_does_not_fire_again(void **state unused_arg)
{
	struct kept kept = {0};
	struct world a;
	struct world b;

	world_init(&a, LADDER);
	stay(&a, 100, 250);
	assert_told(&a, "raised:log raised:mail");
	engine_save(a.engine, on_row, &kept);
	assert_int_equal(kept.n, 1);
	world_init(&b, LADDER);
	b.t_us = a.t_us;
	world_fini(&a);
	assert_int_equal(engine_restore(b.engine, &kept.row), 0);
	assert_int_equal(engine_phase(b.engine, "ladder|1|process|7"), RULE_FIRING);
	assert_int_equal(engine_stats(b.engine).firing, 1);
	stay(&b, 600, 250);
	assert_told(&b, "");
	stay(&b, 70, 400);
	assert_told(&b, "raised:trim act:trim");
	assert_int_equal(b.last.since_us, kept.row.since_us);
	assert_true(b.last.first == 250.0 * 1048576);
	stay(&b, 200, 10);
	assert_told(&b, "lowered:mail resolved:mail");
	world_fini(&b);
}

static void a_restored_service_is_found_by_its_processes(void **state unused_arg)
{
	struct rule_saved row = {.key = "pool|1|service|web", .level = RULE_MAIL, .since_us = T0};
	struct world w;

	world_init(&w, "rule pool on service { level mail when rss > 250MiB clear rss < 250MiB }");
	assert_int_equal(engine_restore(w.engine, &row), 0);
	for (int i = 0; i < 30; i++) {
		w.t_us += 10 * S;
		engine_sweep(w.engine, w.t_us);
		assert_int_equal(sample_at(&w, 1, w.t_us, 100), 0);
		assert_int_equal(host_at(&w, w.t_us, 500), 0);
	}
	assert_told(&w, "resolved:mail");
	world_fini(&w);
}

static void restore_refuses_what_is_no_more(void **state unused_arg)
{
	struct rule_saved row = {.key = "big|1|process|7", .level = RULE_LOG};
	struct world w;

	world_init(&w, BIG);
	assert_int_equal(engine_restore(w.engine, &row), -ENOENT); /* the rule has no level log */
	row.level = RULE_MAIL;
	row.key = "other|1|process|7";
	assert_int_equal(engine_restore(w.engine, &row), -ENOENT);
	row.key = "big|1|host|0";
	assert_int_equal(engine_restore(w.engine, &row), -ENOENT);
	row.key = "big|1|process|x";
	assert_int_equal(engine_restore(w.engine, &row), -EINVAL);
	row.key = "";
	assert_int_equal(engine_restore(w.engine, &row), -EINVAL);
	row.key = "big|99999999999|process|7";
	assert_int_equal(engine_restore(w.engine, &row), -EINVAL);
	world_fini(&w);
}

static void keys_are_read_back(void **state unused_arg)
{
	char text[RULE_KEY_SIZE];
	struct rule_key k;

	rule_key_format(text, "r", -3, RULE_SERVICE, 0, "a|b");
	assert_string_equal(text, "r|-3|service|a|b");
	assert_int_equal(rule_key_parse(text, &k), 0);
	assert_string_equal(k.service, "a|b");
	assert_int_equal(k.host_id, -3);
	rule_key_format(text, "r", 3, RULE_PROCESS, INT64_MAX, "");
	assert_int_equal(rule_key_parse(text, &k), 0);
	assert_int_equal(k.id, INT64_MAX);
}

/* ---- memory ---- */

static void each_failed_allocation_is_survived(void **state unused_arg)
{
	for (unsigned n = 1;; n++) {
		struct rule_saved row = {.key = "ladder|1|process|9",
					 .level = RULE_LOG,
					 .since_us = T0};
		struct rule_engine *e = NULL;
		struct world w;

		world_init(&w, LADDER "rule l on service { level log when slope(rss, 1min) > 0 }");
		alloc_fail_at(n);
		if (engine_new(w.set, T0, &ops, &w, &e) == 0) {
			struct rule_engine *swap = w.engine;

			w.engine = e;
			if (engine_restore(e, &row) == 0)
				w.told[0] = '\0';
			for (int64_t i = 1; i < 60; i++) {
				int rc = sample_at(&w, 1 + i % 3, T0 + i * 10 * S, 90 + i * 10);

				assert_true(rc == 0 || rc == -ENOMEM);
				rc = host_at(&w, T0 + i * 10 * S, 100);
				assert_true(rc == 0 || rc == -ENOMEM);
				engine_sweep(e, T0 + i * 10 * S);
			}
			engine_gone(e, RULE_HOST, 1, 0, T0 + 600 * S);
			w.engine = swap;
		}
		alloc_fail_off();
		engine_free(&e);
		world_fini(&w);
		if (!alloc_failed())
			return;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_after_for_and_clears_after_clear),
		cmocka_unit_test(an_interrupted_condition_starts_again),
		cmocka_unit_test(the_default_clear_has_a_dead_band),
		cmocka_unit_test(unknown_holds_and_counts_for_nothing),
		cmocka_unit_test(a_hole_in_the_samples_counts_for_nothing),
		cmocka_unit_test(levels_go_up_and_down_in_order),
		cmocka_unit_test(a_jump_passes_every_level),
		cmocka_unit_test(actions_wait_for_their_result_and_budget),
		cmocka_unit_test(ineffective_actions_stand_down),
		cmocka_unit_test(flapping_takes_longer_to_clear),
		cmocka_unit_test(late_and_future_samples_move_no_alert),
		cmocka_unit_test(a_gone_subject_resolves_its_alerts),
		cmocka_unit_test(a_process_that_its_host_no_longer_reports_has_gone),
		cmocka_unit_test(silence_fires_and_the_next_sample_ends_it),
		cmocka_unit_test(missing_clear_ends_an_alert),
		cmocka_unit_test(where_chooses_and_changed_labels_choose_again),
		cmocka_unit_test(a_young_process_is_left_to_warm_up),
		cmocka_unit_test(a_service_is_the_sum_of_its_processes),
		cmocka_unit_test(a_limit_is_the_smallest),
		cmocka_unit_test(counters_of_a_service_never_fall),
		cmocka_unit_test(host_values_are_there_for_all),
		cmocka_unit_test(a_leak_is_found_and_nothing_else),
		cmocka_unit_test(skipping_changes_no_answer),
		cmocka_unit_test(a_restart_does_not_fire_again),
		cmocka_unit_test(a_restored_service_is_found_by_its_processes),
		cmocka_unit_test(restore_refuses_what_is_no_more),
		cmocka_unit_test(keys_are_read_back),
		cmocka_unit_test(each_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
