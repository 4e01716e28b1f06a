/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/host_news.h"

#include <errno.h>

#include "tests/support/test.h"

static struct host_news sample(void)
{
	return (struct host_news){
		.what = HOST_NEWS_NOTE,
		.dry_run = true,
		.action = COMMAND_LIMIT,
		.pid = 4711,
		.through = 0x0102030405060708,
		.start_ticks = 99,
		.t_wall_us = -5,
		.result = {.id = {7},
			   .status = COMMAND_DONE,
			   .rss_before = -1,
			   .detail = "taken back",
			   .journal = {.last = 12, .records = 2, .head = {3}}},
	};
}

static void news_come_back(void **state unused_arg)
{
	struct host_news n = sample(), got;
	uint8_t bytes[HOST_NEWS_SIZE];
	struct error err = {""};

	host_news_pack(bytes, &n);
	if (host_news_unpack(bytes, sizeof(bytes), &got, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(got.what, n.what);
	assert_true(got.dry_run);
	assert_int_equal(got.action, n.action);
	assert_int_equal(got.pid, n.pid);
	assert_int_equal(got.through, n.through);
	assert_int_equal(got.start_ticks, n.start_ticks);
	assert_int_equal(got.t_wall_us, n.t_wall_us);
	assert_string_equal(got.result.detail, "taken back");
	assert_memory_equal(&got.result.journal, &n.result.journal, sizeof(n.result.journal));
	assert_string_equal(host_news_word(got.what), "note");
}

static void what_is_no_news_is_refused(void **state unused_arg)
{
	struct host_news n = sample(), got;
	uint8_t bytes[HOST_NEWS_SIZE];
	struct error err = {""};

	host_news_pack(bytes, &n);
	for (size_t len = 0; len < sizeof(bytes); len++)
		assert_int_equal(host_news_unpack(bytes, len, &got, &err), -EBADMSG);
	bytes[4] = 4;
	assert_int_equal(host_news_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
	assert_says(err, "unknown kind 4");
	host_news_pack(bytes, &n);
	bytes[48] = 99; /* the result's status */
	assert_int_equal(host_news_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
	assert_says(err, "unknown status 99");
	bytes[0] = 'X';
	assert_int_equal(host_news_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
}

static void a_question_is_told_from_a_command(void **state unused_arg)
{
	uint8_t bytes[HOST_NEWS_QUESTION];
	struct command_request command = {.body = "MHC1"};
	uint64_t kept = 0;

	host_news_ask(bytes, HOST_NEWS_UNKNOWN);
	assert_int_equal(host_news_asked(bytes, sizeof(bytes), &kept), 0);
	assert_int_equal(kept, HOST_NEWS_UNKNOWN);
	assert_int_equal(host_news_asked(bytes, sizeof(bytes) - 1, &kept), -EBADMSG);
	assert_int_equal(host_news_asked(&command, sizeof(command), &kept), -EBADMSG);
	bytes[0] = 'X';
	assert_int_equal(host_news_asked(bytes, sizeof(bytes), &kept), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_come_back),
		cmocka_unit_test(what_is_no_news_is_refused),
		cmocka_unit_test(a_question_is_told_from_a_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
