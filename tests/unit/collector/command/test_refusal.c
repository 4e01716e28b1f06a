/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

#define T    (1000 * REFUSAL_RULES_US) /* boot clock */
#define WALL 1700000000000000LL

static const struct refusal ops = {.actor = "token:ops",
				   .what = "issue",
				   .action = "trim",
				   .target = "web-1:42",
				   .why = "remediation is switched off"};

static bool note(struct refusal_book *b, struct refusal r, int64_t us)
{
	return refusal_note(b, &r, T + us, WALL + us);
}

/* Tells what is due, and how many entries that were. */
static unsigned tell(struct refusal_book *b, int64_t us, uint64_t *ret_times)
{
	struct refused *e;
	unsigned n = 0;

	*ret_times = 0;
	while ((e = refusal_due(b, T + us))) {
		*ret_times += e->times;
		refusal_told(e, e->times, T + us, WALL + us);
		n++;
	}
	return n;
}

static void the_first_is_told_at_once_and_the_same_again_as_a_number(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	struct refused *e;
	uint64_t times;

	assert_true(note(&b, ops, 0));
	e = refusal_due(&b, T);
	assert_non_null(e);
	assert_string_equal(e->actor, "token:ops");
	assert_string_equal(e->why, ops.why);
	assert_int_equal(e->since_us, WALL);
	assert_int_equal(tell(&b, 0, &times), 1);
	for (int i = 1; i <= 1000; i++)
		assert_false(note(&b, ops, i * 1000));
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US - 1, &times), 0);
	assert_int_equal(refusal_due(&b, T + REFUSAL_PEOPLE_US)->since_us, WALL + 1000);
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US, &times), 1);
	assert_int_equal(times, 1000);
	/* quiet for its time: it goes, and the next one is news again */
	assert_int_equal(tell(&b, 2 * REFUSAL_PEOPLE_US, &times), 0);
	assert_int_equal(b.n, 0);
	note(&b, ops, 3 * REFUSAL_PEOPLE_US);
	assert_int_equal(tell(&b, 3 * REFUSAL_PEOPLE_US, &times), 1);
	refusal_book_fini(&b);
}

static void what_differs_is_told_by_itself(void **state unused_arg)
{
	struct refusal others[6] = {ops, ops, ops, ops, ops, ops};
	struct refusal_book b = {.n = 0};
	uint64_t times;

	others[0].actor = "token:dev";
	others[1].what = "approve";
	others[2].action = "restart";
	others[3].target = "web-1:43";
	others[4].why = "another reason";
	others[5].code = -EAGAIN;
	note(&b, ops, 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		note(&b, others[i], 0);
	assert_int_equal(tell(&b, 0, &times), 7);
	assert_int_equal(times, 7);
	refusal_book_fini(&b);
}

static void a_code_says_the_same_in_other_words(void **state unused_arg)
{
	struct refusal r = ops;
	struct refusal_book b = {.n = 0};
	uint64_t times;

	r.code = -EAGAIN;
	r.why = "it cools down for another 3 min";
	note(&b, r, 0);
	r.why = "it cools down for another 2 min";
	note(&b, r, 1);
	assert_int_equal(tell(&b, 1, &times), 1);
	assert_int_equal(times, 2);
	refusal_book_fini(&b);
}

static void what_a_rule_asks_again_and_again_is_a_row_an_hour(void **state unused_arg)
{
	struct refusal r = ops;
	struct refusal_book b = {.n = 0};
	uint64_t times;
	unsigned rows = 0;

	r.actor = "rule:leak";
	for (int64_t t = 0; t < 2 * REFUSAL_RULES_US; t += 15 * 1000000LL) {
		note(&b, r, t);
		rows += tell(&b, t, &times);
	}
	assert_int_equal(rows, 2);
	refusal_book_fini(&b);
}

static void one_actor_leaves_a_few_rows_a_minute(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	struct refusal r = ops;
	struct refused *e;
	char target[32];
	uint64_t times;

	r.target = target;
	for (int i = 0; i < 5000; i++) {
		snprintf(target, sizeof(target), "web-1:%d", i);
		assert_int_equal(note(&b, r, 0), i < REFUSAL_EACH);
	}
	assert_int_equal(b.n, REFUSAL_EACH);
	assert_int_equal(tell(&b, 0, &times), REFUSAL_EACH - 1);
	e = refusal_due(&b, T + REFUSAL_PEOPLE_US);
	assert_true(e->rest);
	assert_string_equal(e->actor, "token:ops");
	assert_string_equal(e->target, "");
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US, &times), 1);
	assert_int_equal(times, 5000 - (REFUSAL_EACH - 1));
	refusal_book_fini(&b);
}

static void many_actors_have_the_book_and_no_more(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	struct refusal r = ops;
	struct refused *e;
	char actor[32];
	uint64_t times, told;

	r.actor = actor;
	for (int i = 0; i < 2 * REFUSALS_MAX; i++) {
		snprintf(actor, sizeof(actor), "token:%d", i);
		note(&b, r, 0);
	}
	assert_int_equal(b.n, REFUSALS_MAX);
	assert_int_equal(tell(&b, 0, &told), REFUSALS_MAX);
	e = refusal_due(&b, T + REFUSAL_PEOPLE_US);
	assert_string_equal(e->actor, "several");
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US, &times), 1);
	assert_int_equal(times, REFUSALS_MAX);
	assert_null(refusal_due(&b, T + 10 * REFUSAL_PEOPLE_US));
	assert_int_equal(b.n, 0);
	refusal_book_fini(&b);
}

static void what_is_not_told_stays_due(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	uint64_t times;

	note(&b, ops, 0);
	assert_non_null(refusal_due(&b, T));
	assert_non_null(refusal_due(&b, T + 5 * REFUSAL_PEOPLE_US));
	note(&b, ops, 6 * REFUSAL_PEOPLE_US);
	assert_int_equal(tell(&b, 6 * REFUSAL_PEOPLE_US, &times), 1);
	assert_int_equal(times, 2);
	refusal_book_fini(&b);
}

/* What comes while a row is being written is of the next one. */
static void what_comes_meanwhile_is_counted_after(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	struct refused *e;
	uint64_t times;

	note(&b, ops, 0);
	e = refusal_due(&b, T);
	note(&b, ops, 1);
	note(&b, ops, 2);
	refusal_told(e, 1, T + 3, WALL + 3);
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US, &times), 0);
	assert_int_equal(tell(&b, REFUSAL_PEOPLE_US + 3, &times), 1);
	assert_int_equal(times, 2);
	refusal_book_fini(&b);
}

static void texts_are_made_safe_and_cut(void **state unused_arg)
{
	struct refusal_book b = {.n = 0};
	struct refusal r = ops;
	char long_text[2000];
	struct refused *e;

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	r.target = "web\n1\xff";
	r.why = long_text;
	r.action = long_text;
	note(&b, r, 0);
	e = refusal_due(&b, T);
	assert_string_equal(e->target, "web\\x0a1\\xff");
	assert_int_equal(strlen(e->why), sizeof(e->why) - 1);
	assert_int_equal(strlen(e->action), sizeof(e->action) - 1);
	refusal_book_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_told_at_once_and_the_same_again_as_a_number),
		cmocka_unit_test(what_differs_is_told_by_itself),
		cmocka_unit_test(a_code_says_the_same_in_other_words),
		cmocka_unit_test(what_a_rule_asks_again_and_again_is_a_row_an_hour),
		cmocka_unit_test(one_actor_leaves_a_few_rows_a_minute),
		cmocka_unit_test(many_actors_have_the_book_and_no_more),
		cmocka_unit_test(what_is_not_told_stays_due),
		cmocka_unit_test(what_comes_meanwhile_is_counted_after),
		cmocka_unit_test(texts_are_made_safe_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
