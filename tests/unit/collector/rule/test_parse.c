/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/rule/parse.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

static int parse(const char *text, struct rule_set **ret, struct error *err)
{
	int rc;

	assert_int_equal(rule_set_new(ret), 0);
	rc = rule_set_parse(*ret, "t.rules", text, strlen(text), err);
	if (rc < 0) {
		assert_int_equal((*ret)->n_rules, 0);
		assert_int_equal((*ret)->n_windows, 0);
		rule_set_free(ret);
	}
	return rc;
}

static const char *printed(const struct rule_set *set)
{
	static char out[16384];
	struct buf b = BUF_INIT(sizeof(out) - 1);

	for (unsigned i = 0; i < set->n_rules; i++)
		rule_print_rule(&b, set, set->rules[i]);
	assert_int_equal(buf_status(&b), 0);
	snprintf(out, sizeof(out), "%s", (char *)b.data);
	buf_fini(&b);
	return out;
}

static const char full[] =
	"# a comment\n"
	"rule slow_leak on process where python and not (comm ~ \"pip*\" or uid == 0) {\n"
	"  why \"say \\\"why\\\"\"; owner \"ops\"; runbook \"https://x/y\";\n"
	"  warmup 5min; missing clear after 1h; census every 30min;\n"
	"  when slope(rss, 1h) > 2MiB/h and r2(rss,1h) > 0.8 for 30m\n"
	"       clear slope(rss,30m) < 0.5MiB/h for 20min;\n"
	"  level log;\n"
	"  level mail when tto(rss, 25% of host.total, 1h) < 2h for 1m;\n"
	"  level trim when rss/limit > 90% max 2 per 1h approve\n"
	"    do \"limit bytes=512MiB for=20min kind=max\"\n"
	"}\n"
	"rule two on host { level mail when available / total < 5% or -swap_used * 2 < -1GiB }\n";

static void whole_rules_are_understood(void **state unused_arg)
{
	struct rule_set *set;
	struct error err;
	const struct rule *r;

	assert_int_equal(parse(full, &set, &err), 0);
	assert_int_equal(set->n_rules, 2);
	r = rule_set_find(set, "slow_leak");
	assert_non_null(r);
	assert_int_equal(r->kind, RULE_PROCESS);
	assert_string_equal(r->why, "say \"why\"");
	assert_int_equal(r->warmup_us, 300000000);
	assert_int_equal(r->missing, RULE_MISSING_CLEAR);
	assert_int_equal(r->missing_us, 3600000000);
	assert_int_equal(r->census_us, 1800000000);
	assert_int_equal(r->census_max, 4);
	assert_int_equal(rule_set_find(set, "two")->census_us, 0);
	assert_int_equal(r->n_levels, 3);
	assert_int_equal(r->levels[0].on.for_us, 1800000000);
	assert_int_equal(r->levels[0].on.clear_us, 1200000000);
	assert_null(r->levels[1].on.clear);
	assert_int_equal(r->levels[1].on.clear_us, RULE_CLEAR_US);
	assert_int_equal(r->levels[2].max, 2);
	assert_int_equal(r->levels[2].max_us, 3600000000);
	assert_int_equal(r->levels[2].action, COMMAND_LIMIT);
	assert_int_equal(r->levels[2].params[0], 512 << 20);
	assert_int_equal(r->levels[2].params[1], 1200);
	assert_int_equal(r->levels[2].params[2], 1);
	assert_int_equal(r->measure->op, RULE_OP_CALL);
	assert_int_equal(r->measure->type, RULE_BYTE_RATE);
	assert_false(r->lower_is_worse);
	assert_int_equal(r->metrics, 1 << METRIC_RSS);
	assert_true(rule_set_find(set, "two")->lower_is_worse);
	/* slope and r2 share one window, tto's is the same width and expression too */
	assert_int_equal(set->n_windows, 2);
	rule_set_free(&set);
}

static void what_is_printed_parses_to_the_same(void **state unused_arg)
{
	struct rule_set *set;
	struct error err;
	char first[16384];

	assert_int_equal(parse(full, &set, &err), 0);
	snprintf(first, sizeof(first), "%s", printed(set));
	rule_set_free(&set);
	assert_int_equal(parse(first, &set, &err), 0);
	assert_string_equal(printed(set), first);
	assert_non_null(strstr(first, "where python and not (comm ~ \"pip*\" or uid == 0)"));
	assert_non_null(strstr(first, "    census every 30min max 4;\n"));
	assert_non_null(strstr(first, "tto(rss, 25% * host.total, 1h) < 2h for 1min"));
	rule_set_free(&set);
}

static void precedence_is_kept_by_parentheses(void **state unused_arg)
{
	static const char *const same[] = {
		"(rss + anon) * 2 > 1GiB",
		"rss - (anon - file) > 1GiB",
		"rss / (anon / 2) > 3",
		"not (rss > 1GiB and anon > 1GiB)",
		"rss > 1GiB and (anon > 1GiB or swap > 1GiB)",
		"-(rss - anon) > 0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct rule_set *set;
		struct error err;
		char text[256];

		snprintf(text, sizeof(text), "rule x on process { level log when %s }", same[i]);
		assert_int_equal(parse(text, &set, &err), 0);
		assert_non_null(strstr(printed(set), same[i]));
		rule_set_free(&set);
	}
}

/* X(text, what the error says): each with its position. */
static const struct {
	const char *text;
	const char *says;
} mistakes[] = {
	{"rule x on process { census every 5min; level log when rss > 1K }",
	 "duration '5min' is not within 600s"},
	{"rule x on process { census max 2; level log when rss > 1K }", "expected 'every'"},
	{"rule x on process { census every 1h max 99; level log when rss > 1K }",
	 "expected a whole number from 1 to 16"},
	{"rule x on process { level log when rss > 1K; census every 1h }",
	 "'census' belongs before the levels"},
	{"rule x on host { census every 1h; level log when used > 1K }",
	 "'census' is of a process or a service"},
	{"rule x on process {\n  level log when rss > 5m }",
	 "t.rules:2:18: 'rss > 5m' compares bytes with a duration"},
	{"rule x on process { level log when threads > 5% }", "compares a count with a ratio"},
	{"rule x on process { level log when rss + 5 > 1G }", "adds bytes and a count"},
	{"rule x on process { level log when rss - cpu > 1G }", "takes bytes less a duration"},
	{"rule x on process { level log when rss * anon > 1G }", "multiplies bytes with bytes"},
	{"rule x on process { level log when 5 / rss > 1 }", "divides a count by bytes"},
	{"rule x on process { level log when rss }",
	 "t.rules:1:36: 'rss' is bytes, not a condition"},
	{"rule x on process { level log when rss > 1G and anon }",
	 "'anon' is bytes, not a condition"},
	{"rule x on process { level log when not rss }", "not a condition"},
	{"rule x on process { level log when - (rss > 1) > 2 }", "compares bytes with a count"},
	{"rule x on process { level log when 1G < rss < 2G }", "comparisons do not chain"},
	{"rule x on process { level log when slope(rss, 1h) > 5MiB }",
	 "compares a rate in bytes per time with bytes"},
	{"rule x on process { level log when slope(rss, 3h) > 5MiB/h }",
	 "t.rules:1:47: duration '3h' is not within 1s and 2h"},
	{"rule x on process { level log when slope(rss) > 5MiB/h }", "expected ',' and the window"},
	{"rule x on process { level log when slope(rss, 5) > 5MiB/h }", "expected a duration"},
	{"rule x on process { level log when max(max(rss, 1h), 1h) > 5MiB }",
	 "a window cannot hold another window"},
	{"rule x on process { level log when max(rss > 1G, 1h) > 1 }", "is a condition, not"},
	{"rule x on process { level log when tto(rss, 5m, 1h) < 1h }",
	 "'5m' is a duration, not bytes"},
	{"rule x on process { level log when ewma(rss, 1h) < 1G }",
	 "function 'ewma' is not supported by this version"},
	{"rule x on process { level log when foo(rss, 1h) < 1G }", "unknown function 'foo'"},
	{"rule x on process { level log when nope > 1G }", "t.rules:1:36: a process has no 'nope'"},
	{"rule x on host { level log when rss > 1G }", "a host has no 'rss'"},
	{"rule x on host { level log when host.nope > 1G }", "a host has no 'host.nope'"},
	{"rule x on process { level log when python }", "a label can only be used in 'where'"},
	{"rule x on host where comm ~ \"x\" { level log when used > 1G }",
	 "a host has no label 'comm'"},
	{"rule x on process where rss > 1G { level log when rss > 1G }",
	 "'where' chooses by labels"},
	{"rule x on process where avg(rss, 1h) > 1G { level log when rss > 1G }",
	 "'where' chooses by labels"},
	{"rule x on process where comm { level log when rss > 1G }",
	 "'comm' is text, not a condition"},
	{"rule x on process where comm > \"a\" { level log when rss > 1G }",
	 "is text, not a number"},
	{"rule x on process where uid ~ \"a\" { level log when rss > 1G }", "is a count, not text"},
	{"rule x on process where comm ~ exe { level log when rss > 1G }", "a pattern in quotes"},
	{"rule x on process { level restart when rss > 1G }",
	 "t.rules:1:27: level 'restart' is not supported by this version"},
	{"rule x on process { level kill when rss > 1G }", "expected a level: log, mail or trim"},
	{"rule x on process { level mail when rss > 1G; level log when rss > 2G }",
	 "level 'log' after 'mail'"},
	{"rule x on process { level log when rss > 1G; level log when rss > 2G }",
	 "level 'log' after 'log'"},
	{"rule x on process { level log }", "level 'log' has no condition"},
	{"rule x on process { }", "rule 'x' has no level"},
	{"rule x on process { level log when rss > 1G max 2 per 1h }", "'max' limits actions"},
	{"rule x on process { level log when rss > 1G approve }", "'approve' is of actions"},
	{"rule x on process { level trim when rss > 1G approve approve }", "expected ';' or '}'"},
	{"rule x on process { level mail when rss > 1G do \"gc\" }",
	 "'do' is of the level that acts, not of 'mail'"},
	{"rule x on process { level trim when rss > 1G do gc }",
	 "expected an action in quotes, found 'gc'"},
	{"rule x on process { level trim when rss > 1G do \"restart\" }",
	 "t.rules:1:49: a rule does 'trim', 'gc', 'limit', 'reclaim', 'shed', not 'restart'"},
	{"rule x on process { level trim when rss > 1G do \"\" }", "'shed', not ''"},
	{"rule x on process { level trim when rss > 1G do \"gc generation\" }",
	 "'generation': expected NAME=VALUE"},
	{"rule x on process { level trim when rss > 1G do \"gc generation=9\" }",
	 "gc: 'generation' is 9, but at most 2"},
	{"rule x on process { level trim when rss > 1G do \"gc bytes=9\" }", "bytes"},
	{"rule x on process { level trim when rss > 1G do \"limit for=10min\" }",
	 "limit: 'bytes' must be given"},
	{"rule x on process { level trim when rss > 1G do \"trim seconds=1\" }", "trim"},
	{"rule x on process { level trim when rss > 1G do \"gc\" do \"gc\" }",
	 "expected ';' or '}'"},
	{"rule x on process { level trim when rss > 1G max 0 per 1h }",
	 "whole number from 1 to 16"},
	{"rule x on process { level trim when rss > 1G max 2 in 1h }",
	 "expected 'per', found 'in'"},
	{"rule x on process { level trim when rss > 1G verify }",
	 "'verify' is not supported by this version"},
	{"rule x on container { level log when rss > 1G }",
	 "'container' is not supported by this version"},
	{"rule x on planet { level log when rss > 1G }", "expected a subject"},
	{"rule x on process { when rss > 1G; warmup 1m; level log }", "'warmup' belongs before"},
	{"rule x on process { when rss > 1G; when rss > 2G; level log }", "belongs once"},
	{"rule x on process { missing never; level log when rss > 1G }", "expected 'hold'"},
	{"rule x on process { why 5; level log when rss > 1G }", "expected text in quotes"},
	{"rule x on process { level log when rss > 1G ", "expected ';' or '}', found the end"},
	{"rule x on process { level log when (rss > 1G }", "expected ')', found '}'"},
	{"rule x on process { level log when rss > }", "expected an expression, found '}'"},
	{"rule x on process { level log when rss = 1G }", "'=' is not an operator"},
	{"rule x on process { level log when rss > 1parsec }",
	 "t.rules:1:42: unknown unit 'parsec'"},
	{"rule x on process { level log when rss > 1.2.3 }", "malformed number"},
	{"rule x on process { level log when rate(rss,1h) > 1h/h/h }", "a process has no 'h'"},
	{"rule x on process where comm ~ \"a\nb\" { level log when rss > 1G }", "no closing quote"},
	{"rule x on process where comm ~ \"a\\n\" { level log when rss > 1G }", "text may hold"},
	{"rule x on process where comm ~ \"\x01\" { level log when rss > 1G }",
	 "control characters"},
	{"rule x on process where comm ~ \"\xff\" { level log when rss > 1G }", "valid UTF-8"},
	{"rule \xc3\xa9 on process { level log when rss > 1G }",
	 "t.rules:1:6: unexpected byte 0xc3"},
	{"rule a.b on process { level log when rss > 1G }", "expected the rule's name"},
	{"rule x on process { level log when rss > 1G }\nrule x on host { level log when used > 1G "
	 "}",
	 "t.rules:2:6: rule 'x' stands twice, first in t.rules:1"},
	{"hello", "expected 'rule', found 'hello'"},
	{"restart", "'restart' is not supported by this version"},
};

static void mistakes_name_their_place(void **state unused_arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		struct rule_set *set = NULL;
		struct error err = {""};

		if (parse(mistakes[i].text, &set, &err) != -EINVAL)
			fail_msg("'%s' was taken", mistakes[i].text);
		assert_int_equal(strncmp(err.msg, "t.rules:", 8), 0);
		if (!strstr(err.msg, mistakes[i].says))
			fail_msg("'%s': error '%s' does not say '%s'", mistakes[i].text, err.msg,
				 mistakes[i].says);
	}
}

static void nesting_and_length_are_bounded(void **state unused_arg)
{
	static const char *const shapes[][2] = {{"(", ")"}, {"not ", ""}, {"-", ""}, {"1 + ", ""}};
	static char text[RULE_FILE_MAX + 64];

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct rule_set *set;
		struct error err;

		strcpy(text, "rule x on process { level log when ");
		for (int k = 0; k < 20000; k++)
			strcat(text + k, shapes[i][0]);
		strcat(text, "1 > 0 }");
		assert_int_equal(parse(text, &set, &err), -EINVAL);
		assert_says(err, "nested too deep");
	}
	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	struct rule_set *set;
	struct error err;

	assert_int_equal(parse(text, &set, &err), -EINVAL);
	assert_says(err, "larger than 256 KiB");
}

static void units_make_units(void **state unused_arg)
{
	assert_int_equal(rule_type_mul(RULE_BYTES, RULE_RATIO), RULE_BYTES);
	assert_int_equal(rule_type_mul(RULE_BYTE_RATE, RULE_DURATION), RULE_BYTES);
	assert_int_equal(rule_type_mul(RULE_COUNT_RATE, RULE_DURATION), RULE_COUNT);
	assert_int_equal(rule_type_mul(RULE_RATIO, RULE_RATIO), RULE_RATIO);
	assert_int_equal(rule_type_div(RULE_BYTES, RULE_BYTES), RULE_RATIO);
	assert_int_equal(rule_type_div(RULE_BYTES, RULE_DURATION), RULE_BYTE_RATE);
	assert_int_equal(rule_type_div(RULE_BYTES, RULE_BYTE_RATE), RULE_DURATION);
	assert_int_equal(rule_type_div(RULE_DURATION, RULE_DURATION), RULE_RATIO);
	assert_int_equal(rule_type_per_second(RULE_COUNT), RULE_COUNT_RATE);
	assert_int_equal(rule_type_mul(RULE_BYTES, RULE_BYTES), -1);
	assert_int_equal(rule_type_mul(RULE_STRING, RULE_COUNT), -1);
	assert_int_equal(rule_type_per_second(RULE_BYTE_RATE), -1);
}

static void values_read_as_people_write(void **state unused_arg)
{
	char out[RULE_VALUE_SIZE];

	assert_string_equal(rule_value_text(out, RULE_BYTES, 512.0 * 1048576), "512 MiB");
	assert_string_equal(rule_value_text(out, RULE_BYTE_RATE, 41.0 * 1048576 / 3600),
			    "41 MiB/h");
	assert_string_equal(rule_value_text(out, RULE_RATIO, 0.875), "87.5%");
	assert_string_equal(rule_value_text(out, RULE_DURATION, 2460), "41 min");
	assert_string_equal(rule_value_text(out, RULE_DURATION, 1.0 / 0.0), "never");
	assert_string_equal(rule_value_text(out, RULE_BYTES, 1e300), "1e+300 B");
	assert_string_equal(rule_value_text(out, RULE_COUNT, 12), "12");
	assert_string_equal(rule_value_text(out, RULE_BOOL, 1), "true");
}

static void each_failed_allocation_is_an_error(void **state unused_arg)
{
	for (unsigned n = 1;; n++) {
		struct rule_set *set = NULL;
		struct error err;
		int rc;

		alloc_fail_at(n);
		rc = rule_set_new(&set);
		if (rc == 0)
			rc = rule_set_parse(set, "t", full, sizeof(full) - 1, &err);
		alloc_fail_off();
		rule_set_free(&set);
		assert_int_equal(rc, alloc_failed() ? -ENOMEM : 0);
		if (!alloc_failed())
			return;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_rules_are_understood),
		cmocka_unit_test(what_is_printed_parses_to_the_same),
		cmocka_unit_test(precedence_is_kept_by_parentheses),
		cmocka_unit_test(mistakes_name_their_place),
		cmocka_unit_test(nesting_and_length_are_bounded),
		cmocka_unit_test(units_make_units),
		cmocka_unit_test(values_read_as_people_write),
		cmocka_unit_test(each_failed_allocation_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
