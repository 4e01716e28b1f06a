/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/effect.h"

#include <errno.h>

#include "tests/support/test.h"

static const char *verdict(int64_t before, int64_t after, unsigned n, int64_t a, int64_t b,
			   int64_t c)
{
	const struct effects e = {.n = n, .at = {{.rss = a}, {.rss = b}, {.rss = c}}};

	return effect_verdict_word(effects_judge(before, after, &e));
}

static void what_stays_less_is_gained(void **state unused_arg)
{
	assert_string_equal(verdict(1000, 500, 3, 500, 510, 520), "gained");
	assert_string_equal(verdict(1000, 500, 3, 500, 700, 750), "gained");
	assert_string_equal(verdict(1000, -1, 1, 949, 0, 0), "gained");
	/* what came only later counts as well */
	assert_string_equal(verdict(1000, 1000, 3, 1000, 500, 500), "gained");
}

static void what_comes_back_has_regrown(void **state unused_arg)
{
	assert_string_equal(verdict(1000, 500, 3, 500, 700, 751), "regrew");
	assert_string_equal(verdict(1000, 500, 1, 1000, 0, 0), "regrew");
	assert_string_equal(verdict(1000, 940, 1, 951, 0, 0), "regrew");
}

static void what_never_was_less_is_ineffective(void **state unused_arg)
{
	assert_string_equal(verdict(1000, 950, 3, 960, 970, 1200), "ineffective");
	assert_string_equal(verdict(1000, -1, 1, 950, 0, 0), "ineffective");
}

static void what_was_not_seen_is_gone(void **state unused_arg)
{
	assert_string_equal(verdict(1000, 500, 0, 0, 0, 0), "gone");
}

static void stages_follow_the_time(void **state unused_arg)
{
	assert_int_equal(effect_stage(effect_stages_s, 4), -1);
	assert_int_equal(effect_stage(effect_stages_s, 5), 0);
	assert_int_equal(effect_stage(effect_stages_s, 59), 0);
	assert_int_equal(effect_stage(effect_stages_s, 60), 1);
	assert_int_equal(effect_stage(effect_stages_s, 600), 2);
	assert_int_equal(effect_stage(effect_stages_s, INT64_MAX), 2);
}

static void what_was_written_is_read(void **state unused_arg)
{
	const struct effect big = {.after_s = 600,
				   .t_us = 1764300000123000,
				   .proc_id = INT64_MAX,
				   .pid = 4194304,
				   .rss = 1LL << 44,
				   .pss = -1};
	const struct effects e = {.n = 3, .at = {big, big, big}};
	char text[EFFECT_TEXT_SIZE];
	struct effects back;

	assert_int_equal(effects_format(&e, text), 0);
	assert_int_equal(effects_parse(text, &back), 0);
	assert_int_equal(back.n, 3);
	assert_memory_equal(&back.at[2], &big, sizeof(big));
	assert_int_equal(effects_format(&(struct effects){.n = 0}, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(effects_parse("", &back), 0);
	assert_int_equal(back.n, 0);
}

static void what_is_none_is_not_read(void **state unused_arg)
{
	static const char *const bad[] = {
		"{",
		"{}",
		"1",
		"[1]",
		"[{}]",
		"[{},{},{},{}]",
		"[{\"after_seconds\":5,\"time\":\"x\",\"process_id\":\"1\",\"pid\":1,\"rss_bytes\":"
		"1,"
		"\"pss_bytes\":1}]",
		"[{\"after_seconds\":5,\"time\":\"2026-11-23T01:02:03.000Z\",\"process_id\":1,"
		"\"pid\":1,"
		"\"rss_bytes\":1,\"pss_bytes\":1}]",
	};
	struct effects e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(effects_parse(bad[i], &e), -EBADMSG);
		assert_int_equal(e.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stays_less_is_gained),
		cmocka_unit_test(what_comes_back_has_regrown),
		cmocka_unit_test(what_never_was_less_is_ineffective),
		cmocka_unit_test(what_was_not_seen_is_gone),
		cmocka_unit_test(stages_follow_the_time),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(what_is_none_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
