/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

#include <errno.h>

#include "tests/support/test.h"

static struct command sample(void)
{
	struct command c = {
		.action = COMMAND_TRIM,
		.dry_run = true,
		.pid = 0x01020304,
		.start_ticks = 0x1122334455667788,
		.issued_us = 1700000000000000,
		.expires_us = 1700000600000000,
		.counter = 77,
		.fence = 3,
		.actor = "rule:frag",
		.reason = "512 MiB of free pages held",
	};

	memset(c.id, 0xa1, sizeof(c.id));
	memset(c.host_uuid, 0xb2, sizeof(c.host_uuid));
	memset(c.boot_id, 0xc3, sizeof(c.boot_id));
	return c;
}

static struct command_result sample_result(void)
{
	struct command_result r = {
		.status = COMMAND_DONE,
		.rss_before = 503 << 20,
		.rss_after = 69 << 20,
		.swap_before = -1,
		.swap_after = -1,
		.held_us = 120,
		.total_us = 29000,
		.detail = "gave back 434 MiB of 503 MiB",
	};

	memset(r.id, 0x5e, sizeof(r.id));
	return r;
}

/* The bytes are signed and kept in journals: their places are a promise. */
static void the_layout_does_not_move(void **state unused_arg)
{
	static const uint8_t head[] = {'M', 'H', 'C', '1', 1, 0, 0, 0, 1, 0, 0, 0, 0xa1};
	static const uint8_t pid[] = {4, 3, 2, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
	struct command c = sample();
	uint8_t bytes[COMMAND_SIZE];

	command_pack(bytes, &c);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_memory_equal(bytes + 60, pid, sizeof(pid));
	assert_string_equal((char *)bytes + 104, "rule:frag");
	assert_string_equal((char *)bytes + 152, "512 MiB of free pages held");
	for (size_t i = 216; i < COMMAND_SIZE; i++)
		assert_int_equal(bytes[i], 0);
	c.params[0] = 0x0102030405060708;
	c.params[2] = -2;
	command_pack(bytes, &c);
	assert_memory_equal(bytes + 216, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_int_equal(bytes[224], 0);
	assert_memory_equal(bytes + 232, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
	for (size_t i = 240; i < COMMAND_SIZE; i++)
		assert_int_equal(bytes[i], 0);
	memset(c.warrant_hash, 0xd4, sizeof(c.warrant_hash));
	command_pack(bytes, &c);
	for (size_t i = 240; i < COMMAND_SIZE; i++)
		assert_int_equal(bytes[i], i < 248 ? 0 : 0xd4);
}

static void a_command_comes_back(void **state unused_arg)
{
	struct command c = sample();
	struct command got;
	uint8_t bytes[COMMAND_SIZE];
	uint8_t again[COMMAND_SIZE];
	struct error err;

	command_pack(bytes, &c);
	assert_int_equal(command_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_int_equal(got.pid, c.pid);
	assert_int_equal(got.start_ticks, c.start_ticks);
	assert_int_equal(got.issued_us, c.issued_us);
	assert_int_equal(got.expires_us, c.expires_us);
	assert_int_equal(got.counter, c.counter);
	assert_int_equal(got.fence, c.fence);
	assert_true(got.dry_run);
	assert_string_equal(got.reason, c.reason);
	command_pack(again, &got);
	assert_memory_equal(bytes, again, sizeof(bytes));
}

static void parameters_are_bounded_by_their_table(void **state unused_arg)
{
	struct command c = sample();
	struct command got;
	uint8_t bytes[COMMAND_SIZE];
	struct error err;

	c.action = COMMAND_CENSUS;
	c.params[0] = 3;
	command_pack(bytes, &c);
	assert_int_equal(command_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_int_equal(got.params[0], 3);
	c.params[0] = 4;
	command_pack(bytes, &c);
	assert_int_equal(command_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
	assert_says(err, "census: 'method' is one of fitting|snapshot|stopped|live");
}

static void a_result_comes_back(void **state unused_arg)
{
	struct command_result r = sample_result();
	struct command_result got;
	uint8_t bytes[COMMAND_RESULT_SIZE];
	struct error err;

	command_result_pack(bytes, &r);
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_int_equal(got.status, COMMAND_DONE);
	assert_int_equal(got.rss_before, r.rss_before);
	assert_int_equal(got.swap_after, -1);
	assert_int_equal(got.total_us, r.total_us);
	assert_string_equal(got.detail, r.detail);
	assert_memory_equal(got.id, r.id, sizeof(r.id));
}

/* It goes beside the result, so that who does not know it reads the result all the same. */
static void the_place_in_the_journal_is_taken_out_and_put_back(void **state unused_arg)
{
	struct command_result r = sample_result(), got;
	uint8_t bytes[COMMAND_RESULT_SIZE], whole[COMMAND_RESULT_SIZE];
	uint8_t journal[COMMAND_SPAN_SIZE];
	struct error err;

	command_result_pack(bytes, &r);
	assert_false(command_result_split(bytes, journal));
	r.journal = (struct command_span){.last = 0x0102030405060708, .records = 2};
	memset(r.journal.before, 0xbb, sizeof(r.journal.before));
	memset(r.journal.head, 0xcc, sizeof(r.journal.head));
	command_result_pack(bytes, &r);
	memcpy(whole, bytes, sizeof(whole));
	assert_true(command_result_split(bytes, journal));
	assert_int_equal(journal[0], 8);
	assert_int_equal(journal[8], 2);
	assert_int_equal(journal[12], 0xbb);
	assert_int_equal(journal[COMMAND_SPAN_SIZE - 1], 0xcc);
	for (size_t i = 456; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_int_equal(got.journal.last, 0);
	command_result_join(bytes, journal);
	assert_memory_equal(bytes, whole, sizeof(whole));
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_memory_equal(&got.journal, &r.journal, sizeof(r.journal));
	bytes[COMMAND_RESULT_SIZE - 1] = 1;
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
	assert_says(err, "'spare bytes'");
}

static void long_and_hostile_texts_are_cut_and_made_safe(void **state unused_arg)
{
	struct command_result r = sample_result();
	struct command_result got;
	uint8_t bytes[COMMAND_RESULT_SIZE];
	struct error err;

	memset(r.detail, '\x1b', sizeof(r.detail));
	command_result_pack(bytes, &r);
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), 0);
	assert_true(strlen(got.detail) < sizeof(got.detail));
	assert_memory_equal(got.detail, "\\x1b\\x1b", 8);
}

static void what_is_not_well_formed_is_refused(void **state unused_arg)
{
	static const struct {
		const char *says;
		size_t at;
		uint8_t value;
	} rows[] = {
		{"does not begin", 0, 'm'},
		{"unknown action", 4, 99},
		{"unknown action", 7, 1},
		{"'dry_run'", 8, 2},
		{"'spare bytes'", 9, 1},
		{"'actor'", 104 + 47, 'x'},
		{"'actor'", 104, 0xff},
		{"'actor'", 104 + 20, 'x'},
		{"'reason'", 153, 0x07},
		{"'spare bytes'", 247, 1},
		{"'spare bytes'", 240, 1},
		{"trim takes no parameter", 216, 1},
		{"trim takes no further parameter", 239, 0x80},
	};
	struct command c = sample();
	struct command got;
	uint8_t bytes[COMMAND_SIZE];
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		command_pack(bytes, &c);
		bytes[rows[i].at] = rows[i].value;
		assert_int_equal(command_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
		assert_says(err, rows[i].says);
	}
	command_pack(bytes, &c);
	for (size_t len = 0; len < COMMAND_SIZE; len++)
		assert_int_equal(command_unpack(bytes, len, &got, &err), -EBADMSG);
	assert_says(err, "has 255 bytes, expected 256");
}

static void a_result_with_an_unknown_status_is_refused(void **state unused_arg)
{
	struct command_result r = sample_result();
	struct command_result got;
	uint8_t bytes[COMMAND_RESULT_SIZE];
	struct error err;

	command_result_pack(bytes, &r);
	bytes[4] = 0;
	assert_int_equal(command_result_unpack(bytes, sizeof(bytes), &got, &err), -EBADMSG);
	assert_says(err, "unknown status 0");
	assert_int_equal(command_result_unpack(bytes, COMMAND_SIZE, &got, &err), -EBADMSG);
}

static void words_and_numbers_agree(void **state unused_arg)
{
	assert_string_equal(command_action_word(COMMAND_TRIM), "trim");
	assert_int_equal(command_action_find("trim"), COMMAND_TRIM);
	assert_int_equal(command_action_find("rm"), -1);
	assert_null(command_action_word(0));
	assert_string_equal(command_status_word(COMMAND_DRY_RUN), "dry_run");
	assert_null(command_status_word(77));
}

static struct command_statement sample_statement(void)
{
	struct command c = sample();
	struct command_statement s = {.action = COMMAND_LIMIT,
				      .pid = c.pid,
				      .start_ticks = c.start_ticks,
				      .issued_us = 1764000000000000,
				      .expires_us = 1764003600000000,
				      .params = {64 << 20, 600, 1}};

	memcpy(s.id, c.id, sizeof(s.id));
	memcpy(s.host_uuid, c.host_uuid, sizeof(s.host_uuid));
	memcpy(s.boot_id, c.boot_id, sizeof(s.boot_id));
	return s;
}

static void a_statement_comes_back(void **state unused_arg)
{
	static const uint8_t head[] = {'M', 'H', 'O', '1', 16, 0, 0, 0, 0xa1};
	struct command_statement s = sample_statement();
	struct command_statement got;
	uint8_t bytes[COMMAND_STATEMENT_SIZE];
	struct error err = {""};

	command_statement_pack(bytes, &s);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_memory_equal(bytes + 24, s.host_uuid, 16);
	assert_memory_equal(bytes + 56, "\x04\x03\x02\x01\x88\x77", 6);
	assert_memory_equal(bytes + 84, "\x00\x00\x00\x04\x00\x00\x00\x00\x58\x02", 10);
	for (size_t i = 108; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	if (command_statement_unpack(bytes, &got, &err) < 0)
		fail_msg("%s", err.msg);
	assert_memory_equal(got.id, s.id, sizeof(s.id));
	assert_memory_equal(got.boot_id, s.boot_id, sizeof(s.boot_id));
	assert_int_equal(got.start_ticks, s.start_ticks);
	assert_int_equal(got.issued_us, s.issued_us);
	assert_int_equal(got.expires_us, s.expires_us);
	assert_memory_equal(got.params, s.params, sizeof(s.params));
}

static void a_statement_that_is_not_well_formed_is_refused(void **state unused_arg)
{
	static const struct {
		const char *says;
		size_t at;
		uint8_t value;
	} rows[] = {
		{"does not begin", 3, '2'}, {"unknown action", 4, 99}, {"'spare bytes'", 127, 1},
		{"'spare bytes'", 108, 1},  {"limit: 'for'", 99, 1},   {"24 hours", 75, 0x80},
		{"24 hours", 83, 0x7f},     {"24 hours", 83, 0x80},
	};
	struct command_statement s = sample_statement();
	struct command_statement got;
	uint8_t bytes[COMMAND_STATEMENT_SIZE];
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		command_statement_pack(bytes, &s);
		bytes[rows[i].at] = rows[i].value;
		assert_int_equal(command_statement_unpack(bytes, &got, &err), -EBADMSG);
		assert_says(err, rows[i].says);
	}
	s.expires_us = s.issued_us;
	command_statement_pack(bytes, &s);
	assert_int_equal(command_statement_unpack(bytes, &got, &err), -EBADMSG);
	s.expires_us = s.issued_us + COMMAND_STATEMENT_LIFE_US + 1;
	command_statement_pack(bytes, &s);
	assert_int_equal(command_statement_unpack(bytes, &got, &err), -EBADMSG);
}

static void a_statement_is_of_one_command(void **state unused_arg)
{
	static const struct {
		const char *says;
		size_t at;
	} rows[] = {
		{"another host", offsetof(struct command, host_uuid) + 15},
		{"another process", offsetof(struct command, boot_id)},
		{"another process", offsetof(struct command, pid)},
		{"another process", offsetof(struct command, start_ticks) + 7},
		{"another action", offsetof(struct command, action)},
		{"other parameters", offsetof(struct command, params) + 23},
		{"another command", offsetof(struct command, id) + 8},
	};
	struct command_statement s = sample_statement();
	struct command good = sample();
	struct error err;

	good.action = s.action;
	memcpy(good.params, s.params, sizeof(good.params));
	assert_int_equal(command_statement_fits(&s, &good, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct command c = good;

		((uint8_t *)&c)[rows[i].at] ^= 1;
		assert_int_equal(command_statement_fits(&s, &c, &err), -EACCES);
		assert_says(err, rows[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_layout_does_not_move),
		cmocka_unit_test(a_command_comes_back),
		cmocka_unit_test(parameters_are_bounded_by_their_table),
		cmocka_unit_test(a_result_comes_back),
		cmocka_unit_test(the_place_in_the_journal_is_taken_out_and_put_back),
		cmocka_unit_test(long_and_hostile_texts_are_cut_and_made_safe),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(a_result_with_an_unknown_status_is_refused),
		cmocka_unit_test(words_and_numbers_agree),
		cmocka_unit_test(a_statement_comes_back),
		cmocka_unit_test(a_statement_that_is_not_well_formed_is_refused),
		cmocka_unit_test(a_statement_is_of_one_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
