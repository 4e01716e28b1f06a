/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=mail_notice
#include "collector/outage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/notify/mail.h"
#include "common/clock.h"
#include "tests/support/test.h"

#define SEC   USEC_PER_SEC
#define AFTER (120 * SEC)

static struct fake {
	unsigned mails;
	int rc;
	char state[16], subject[256], thread[64], text[4096];
	unsigned sequence;
	int64_t now_us;
} fake;

int __wrap_mail_notice(struct mailer *m unused_arg, const struct mail_notice *n, struct error *err)
{
	fake.mails++;
	snprintf(fake.state, sizeof(fake.state), "%s", n->state);
	snprintf(fake.subject, sizeof(fake.subject), "%s", n->subject);
	snprintf(fake.thread, sizeof(fake.thread), "%s", n->thread);
	snprintf(fake.text, sizeof(fake.text), "%s", n->text);
	fake.sequence = n->sequence;
	return fake.rc ? error_set(err, fake.rc, "no") : 0;
}

/* For so many seconds. */
static void look(struct outage *o, const char *trouble, int seconds)
{
	for (int i = 0; i < seconds; i++) {
		const struct outage_view v = {.trouble = trouble,
					      .queued_bytes = 5 * 1024 * 1024,
					      .queued_batches = 77,
					      .queue_bytes = 64 << 20,
					      .agents = 9,
					      .boot_us = fake.now_us,
					      .wall_us = 1000 * SEC + fake.now_us};

		outage_look(o, &v);
		fake.now_us += SEC;
	}
}

static struct outage *begin(int64_t after_us)
{
	struct outage *o;

	fake = (struct fake){.now_us = SEC};
	assert_int_equal(outage_new(NULL, after_us, "tower", &o), 0);
	return o;
}

static void one_mail_when_it_is_away_and_one_when_it_is_back(void **state unused_arg)
{
	struct outage *o = begin(AFTER);
	char thread[64];

	look(o, NULL, 500);
	look(o, "no route\n<b>", 120);
	assert_int_equal(fake.mails, 0);
	look(o, "no route\n<b>", 3000);
	assert_int_equal(fake.mails, 1);
	assert_string_equal(fake.state, "firing");
	assert_non_null(strstr(fake.subject, "tower"));
	assert_non_null(strstr(fake.text, "been away for 2 min"));
	assert_non_null(strstr(fake.text, "no route\\x0a<b>"));
	assert_non_null(strstr(fake.text, "77 batches (5120 KiB of 65536 KiB)"));
	memcpy(thread, fake.thread, sizeof(thread));
	assert_true(outage_lasts_us(o, fake.now_us) == 3120 * SEC);
	look(o, NULL, 60);
	assert_int_equal(fake.mails, 1);
	look(o, NULL, 1);
	assert_int_equal(fake.mails, 2);
	assert_string_equal(fake.state, "resolved");
	assert_string_equal(fake.thread, thread);
	assert_int_equal(fake.sequence, 2);
	assert_non_null(strstr(fake.text, "away for 52 min"));
	assert_int_equal(outage_lasts_us(o, fake.now_us), 0);
	look(o, NULL, 5000);
	assert_int_equal(fake.mails, 2);
	outage_free(&o);
}

static void a_short_one_is_not_told(void **state unused_arg)
{
	struct outage *o = begin(AFTER);

	for (int i = 0; i < 20; i++) {
		look(o, "restart", 60);
		look(o, NULL, 61);
	}
	assert_int_equal(fake.mails, 0);
	outage_free(&o);
}

static void one_that_flaps_is_one_outage(void **state unused_arg)
{
	struct outage *o = begin(AFTER);

	for (int i = 0; i < 100; i++) {
		look(o, "comes and goes", 50);
		look(o, NULL, 50);
	}
	assert_int_equal(fake.mails, 1);
	look(o, NULL, 61);
	assert_int_equal(fake.mails, 2);
	outage_free(&o);
}

static void no_flood_over_a_day(void **state unused_arg)
{
	struct outage *o = begin(AFTER);
	int rounds = 24 * 3600 / 200;

	for (int i = 0; i < rounds; i++) {
		look(o, "each time for long", 130);
		look(o, NULL, 70);
	}
	assert_true(fake.mails >= 2);
	assert_true(fake.mails <= 2 * (24 * 6 + 1));
	outage_free(&o);
}

/* Within the quiet time a new outage is told late, not never. */
static void a_second_one_is_told_when_the_quiet_time_is_over(void **state unused_arg)
{
	struct outage *o = begin(AFTER);

	look(o, "first", 130);
	look(o, NULL, 70);
	assert_int_equal(fake.mails, 2);
	look(o, "second", 300);
	assert_int_equal(fake.mails, 2);
	look(o, "second", 300);
	assert_int_equal(fake.mails, 3);
	assert_non_null(strstr(fake.text, "second"));
	outage_free(&o);
}

static void without_a_time_nothing_is_mailed(void **state unused_arg)
{
	struct outage *o = begin(0);

	look(o, "away", 5000);
	look(o, NULL, 5000);
	assert_int_equal(fake.mails, 0);
	outage_free(&o);
}

static void a_mail_that_cannot_go_is_not_tried_for_ever(void **state unused_arg)
{
	struct outage *o = begin(AFTER);

	fake.rc = -ENOTSUP;
	look(o, "away", 5000);
	assert_int_equal(fake.mails, 1);
	outage_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_mail_when_it_is_away_and_one_when_it_is_back),
		cmocka_unit_test(a_short_one_is_not_told),
		cmocka_unit_test(one_that_flaps_is_one_outage),
		cmocka_unit_test(no_flood_over_a_day),
		cmocka_unit_test(a_second_one_is_told_when_the_quiet_time_is_over),
		cmocka_unit_test(without_a_time_nothing_is_mailed),
		cmocka_unit_test(a_mail_that_cannot_go_is_not_tried_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
