/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/eval.h"

#include <math.h>

#include "collector/rule/parse.h"
#include "tests/support/test.h"

/* One rule around a condition; the caller frees the set. */
static const struct rule_node *condition(const char *kind, const char *where, const char *when,
					 struct rule_set **set)
{
	struct error err = {""};
	char text[1024];

	snprintf(text, sizeof(text), "rule x on %s %s { level log when %s }", kind, where, when);
	assert_int_equal(rule_set_new(set), 0);
	if (rule_set_parse(*set, "t", text, strlen(text), &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return (*set)->rules[0]->levels[0].on.when;
}

static enum rule_truth truth(const char *when, const struct rule_scope *s, double relax)
{
	struct rule_set *set;
	enum rule_truth t = rule_eval_truth(condition("process", "", when, &set), s, relax);

	rule_set_free(&set);
	return t;
}

static void three_valued_tables(void **state unused_arg)
{
	/* rss is 1 GiB, swap is 0, pss is unknown */
	static const char *const words[] = {"swap > 1G", "rss > 1M", "pss > 1G"};
	static const enum rule_truth and_[3][3] = {
		{RULE_FALSE, RULE_FALSE, RULE_FALSE},
		{RULE_FALSE, RULE_TRUE, RULE_UNKNOWN},
		{RULE_FALSE, RULE_UNKNOWN, RULE_UNKNOWN},
	};
	static const enum rule_truth or_[3][3] = {
		{RULE_FALSE, RULE_TRUE, RULE_UNKNOWN},
		{RULE_TRUE, RULE_TRUE, RULE_TRUE},
		{RULE_UNKNOWN, RULE_TRUE, RULE_UNKNOWN},
	};
	static const enum rule_truth not_[3] = {RULE_TRUE, RULE_FALSE, RULE_UNKNOWN};
	int64_t own[METRIC_COUNT] = {0};
	struct rule_scope s = {.own = own, .age_us = -1};
	char text[128];

	own[METRIC_RSS] = 1 << 20;
	own[METRIC_PSS] = METRIC_ABSENT;
	for (int a = 0; a < 3; a++) {
		snprintf(text, sizeof(text), "not %s", words[a]);
		assert_int_equal(truth(text, &s, 0), not_[a]);
		for (int b = 0; b < 3; b++) {
			snprintf(text, sizeof(text), "%s and %s", words[a], words[b]);
			assert_int_equal(truth(text, &s, 0), and_[a][b]);
			snprintf(text, sizeof(text), "%s or %s", words[a], words[b]);
			assert_int_equal(truth(text, &s, 0), or_[a][b]);
		}
	}
}

static void values_and_their_units(void **state unused_arg)
{
	int64_t own[METRIC_COUNT] = {0};
	int64_t host[HOST_METRIC_COUNT] = {0};
	struct rule_scope s = {.own = own, .host = host, .age_us = 90000000};

	own[METRIC_RSS] = 512 << 10; /* KiB */
	own[METRIC_CPU] = 1500;      /* ms */
	own[METRIC_THREADS] = 7;
	host[HOST_METRIC_TOTAL] = 2048 << 10;
	host[HOST_METRIC_AVAILABLE] = 512 << 10;
	host[HOST_METRIC_SWAP_TOTAL] = 100;
	host[HOST_METRIC_SWAP_FREE] = 40;
	assert_int_equal(truth("rss == 512MiB", &s, 0), RULE_TRUE);
	assert_int_equal(truth("rss == 25% of host.total", &s, 0), RULE_TRUE);
	assert_int_equal(truth("rss / host.total == 0.25", &s, 0), RULE_TRUE);
	assert_int_equal(truth("host.used == 1.5GiB", &s, 0), RULE_TRUE);
	assert_int_equal(truth("host.swap_used == 60KiB", &s, 0), RULE_TRUE);
	assert_int_equal(truth("cpu == 1.5s and threads == 7 and age == 90s", &s, 0), RULE_TRUE);
	assert_int_equal(truth("rss / age > 20GiB/h", &s, 0), RULE_FALSE);
	assert_int_equal(truth("rss - 512MiB != 0", &s, 0), RULE_FALSE);
	assert_int_equal(truth("2 * 3 - 1 == 5", &s, 0), RULE_TRUE);
	/* a limit that was not told, and nothing divides by nothing */
	assert_int_equal(truth("rss / limit > 90%", &s, 0), RULE_UNKNOWN);
	s.limit_kib = INT64_MAX;
	assert_int_equal(truth("rss / limit > 90%", &s, 0), RULE_FALSE);
	s.limit_kib = 1;
	assert_int_equal(truth("rss / limit > 90%", &s, 0), RULE_TRUE);
	s.limit_kib = 0;
	assert_int_equal(truth("rss / swap > 1", &s, 0), RULE_UNKNOWN);
	assert_int_equal(truth("slope(rss, 1h) > 0", &s, 0), RULE_UNKNOWN);
}

static void the_dead_band_moves_thresholds_towards_true(void **state unused_arg)
{
	int64_t own[METRIC_COUNT] = {0};
	struct rule_scope s = {.own = own, .age_us = -1};

	own[METRIC_RSS] = 95 << 10;
	assert_int_equal(truth("rss > 100MiB", &s, 0), RULE_FALSE);
	assert_int_equal(truth("rss > 100MiB", &s, 0.1), RULE_TRUE);
	assert_int_equal(truth("100MiB < rss", &s, 0.1), RULE_TRUE);
	assert_int_equal(truth("not rss <= 100MiB", &s, 0.1), RULE_TRUE);
	assert_int_equal(truth("rss < 90MiB", &s, 0.1), RULE_TRUE);
	own[METRIC_RSS] = 89 << 10;
	assert_int_equal(truth("rss > 100MiB", &s, 0.1), RULE_FALSE);
	assert_int_equal(truth("not rss <= 100MiB", &s, 0.1), RULE_FALSE);
}

static enum rule_truth chosen(const char *where, const struct rule_labels *labels)
{
	struct rule_scope s = {.age_us = -1, .labels = labels};
	struct rule_set *set;
	enum rule_truth t;

	condition("process", where, "rss > 0", &set);
	t = rule_eval_truth(set->rules[0]->where, &s, 0);
	rule_set_free(&set);
	return t;
}

static void labels_choose(void **state unused_arg)
{
	struct rule_labels l = {
		.text = {[RULE_LABEL_COMM] = "gunicorn: worker", [RULE_LABEL_EXE] = NULL},
		.uid = 33,
		.python = true,
	};

	assert_int_equal(chosen("where python", &l), RULE_TRUE);
	assert_int_equal(chosen("where not python", &l), RULE_FALSE);
	assert_int_equal(chosen("where comm ~ \"gunicorn*\" and uid == 33", &l), RULE_TRUE);
	assert_int_equal(chosen("where comm == \"gunicorn\"", &l), RULE_FALSE);
	assert_int_equal(chosen("where comm != \"gunicorn\"", &l), RULE_TRUE);
	assert_int_equal(chosen("where exe ~ \"*\"", &l), RULE_UNKNOWN);
	l.uid = -1;
	assert_int_equal(chosen("where uid == 0", &l), RULE_UNKNOWN);
}

static void globs(void **state unused_arg)
{
	char many[2001];
	char text[2001];

	assert_true(rule_glob("*", ""));
	assert_true(rule_glob("a*c?", "abbbcd"));
	assert_true(rule_glob("*a*b*", "xxaxxbxx"));
	assert_true(rule_glob("", ""));
	assert_false(rule_glob("", "a"));
	assert_false(rule_glob("?", ""));
	assert_false(rule_glob("a", "A"));
	assert_false(rule_glob("a*c", "abcd"));
	/* what takes a naive matcher for ever */
	for (int i = 0; i < 2000; i += 2)
		memcpy(many + i, "a*", 2);
	many[2000] = '\0';
	memset(text, 'a', 2000);
	text[2000] = '\0';
	many[1999] = 'b';
	assert_false(rule_glob(many, text));
}

static void explained_values_are_the_current_ones(void **state unused_arg)
{
	int64_t own[METRIC_COUNT] = {0};
	struct window w;
	struct window *windows[1] = {&w};
	struct rule_scope s = {.own = own, .age_us = -1, .windows = windows};
	struct buf b = BUF_INIT(4096);
	const struct rule_node *n;
	struct rule_set *set;

	own[METRIC_RSS] = 512 << 10;
	own[METRIC_PSS] = METRIC_ABSENT;
	window_init(&w, 600 * 1000000LL);
	for (int64_t t = 1; t < 700; t += 10)
		assert_int_equal(window_feed(&w, t * 1000000, (double)t * 1048576 / 3600), 0);
	n = condition("process", "",
		      "rss > 1GiB or not pss / rss > 50% or slope(rss, 10min) > 2MiB/h", &set);
	rule_explain(&b, set, n, &s);
	assert_string_equal((char *)b.data, "rss > 1GiB = false\n"
					    "rss = 512 MiB\n"
					    "pss / rss > 50% = unknown\n"
					    "pss / rss = unknown\n"
					    "slope(rss, 10min) > 2MiB/h = false\n"
					    "slope(rss, 10min) = 1 MiB/h\n");
	buf_fini(&b);
	window_fini(&w);
	rule_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_valued_tables),
		cmocka_unit_test(values_and_their_units),
		cmocka_unit_test(the_dead_band_moves_thresholds_towards_true),
		cmocka_unit_test(labels_choose),
		cmocka_unit_test(globs),
		cmocka_unit_test(explained_values_are_the_current_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
