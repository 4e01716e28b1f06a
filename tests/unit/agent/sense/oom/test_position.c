/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/position.h"

#include "tests/support/folder.h"

static const uint8_t boot[16] = {0x0b, 0x00, 0x7b, 0x00, 0x7b, 0x00, 0x7b, 0x00,
				 0x7b, 0x00, 0x7b, 0x00, 0x7b, 0x00, 0x7b, 0xff};
#define BOOT "0b007b00-7b00-7b00-7b00-7b007b007bff"

static bool parse(const char *text, uint64_t *seq)
{
	return position_parse(text, strlen(text), boot, seq);
}

static void only_a_whole_line_of_this_boot_is_a_position(void **state unused_arg)
{
	uint64_t seq = 5;

	assert_true(parse(BOOT " 9223372036854775807\n", &seq));
	assert_true(seq == INT64_MAX);
	assert_true(parse(BOOT " 0\n", &seq));
	assert_int_equal(seq, 0);
	seq = 5;
	assert_false(parse(BOOT " 123", &seq));
	assert_false(parse(BOOT " 12 3\n", &seq));
	assert_false(parse(BOOT " -1\n", &seq));
	assert_false(parse(BOOT " 9223372036854775808\n", &seq));
	assert_false(parse(BOOT " \n", &seq));
	assert_false(parse(BOOT "\n", &seq));
	assert_false(parse("1b007b00-7b00-7b00-7b00-7b007b007bff 12\n", &seq));
	assert_false(parse("xb007b00-7b00-7b00-7b00-7b007b007bff 12\n", &seq));
	assert_false(parse("", &seq));
	assert_false(parse("12\n", &seq));
	assert_false(parse(BOOT " 00000000000000000000000000000000000000000000000001\n", &seq));
	assert_int_equal(seq, 5);
}

static void what_was_saved_is_loaded(void **state unused_arg)
{
	char path[128];
	struct error err;
	uint64_t seq = 5;
	uint8_t other[16] = {1};

	snprintf(path, sizeof(path), "%s/position", folder);
	assert_false(position_load(path, boot, &seq));
	assert_int_equal(position_save(path, boot, 4711, &err), 0);
	assert_true(position_load(path, boot, &seq));
	assert_int_equal(seq, 4711);
	assert_false(position_load(path, other, &seq));
	folder_put("position", BOOT " 47");
	assert_false(position_load(path, boot, &seq));
	assert_true(position_save("/nowhere/position", boot, 1, &err) < 0);
	assert_says(err, "/nowhere/position");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_whole_line_of_this_boot_is_a_position),
		cmocka_unit_test_setup_teardown(what_was_saved_is_loaded, folder_begin, folder_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
