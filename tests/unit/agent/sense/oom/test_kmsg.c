/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/kmsg.h"

#include <errno.h>

#include "tests/support/test.h"

static int parse(const char *s, struct kmsg_record *ret)
{
	return kmsg_parse(s, strlen(s), ret);
}

static void a_record_is_taken_apart(void **state unused_arg)
{
	struct kmsg_record r;

	assert_int_equal(parse("6,339,5140900,-,caller=T17,later=1;NET: up\n SUBSYSTEM=net\n", &r),
			 0);
	assert_int_equal(r.facility, 0);
	assert_int_equal(r.level, 6);
	assert_int_equal(r.seq, 339);
	assert_int_equal(r.usec, 5140900);
	assert_int_equal(r.flag, '-');
	assert_false(kmsg_is_fragment(&r));
	assert_string_equal(r.caller, "T17");
	assert_string_equal(r.text, "NET: up");
	assert_int_equal(r.len, 7);
	assert_int_equal(parse("11,1,2,c;x", &r), 0);
	assert_int_equal(r.facility, 1);
	assert_int_equal(r.level, 3);
	assert_true(kmsg_is_fragment(&r));
	assert_string_equal(r.caller, "");
}

static void bytes_are_unescaped_after_the_line_was_found(void **state unused_arg)
{
	struct kmsg_record r;

	assert_int_equal(parse("6,1,2,-;a\\x0ab\\x5cx41\\xe5\\x00z\n K=v\n", &r), 0);
	assert_int_equal(r.len, 10);
	assert_memory_equal(r.text, "a\nb\\x41\xe5\0z", 10);
	/* What only looks like an escape stays. */
	assert_int_equal(parse("6,1,2,-;\\x4 \\xZZ \\x", &r), 0);
	assert_string_equal(r.text, "\\x4 \\xZZ \\x");
}

static void what_is_no_record_is_refused_and_nothing_written(void **state unused_arg)
{
	static const char *const bad[] = {
		"",
		";",
		"6,1,2,-",
		"6,1,2;x",
		"6,1,2,;x",
		"-6,1,2,-;x",
		"6,-1,2,-;x",
		"6,1,-2,-;x",
		"x,1,2,-;x",
		"6,1,2,-x;x",
		"6;1,2,-;x",
		"99999999999,1,2,-;x",
		"6,1,2,-\n;x\n",
		"6 ,1,2,-;x",
		"6,1,99999999999999999999,-;x",
	};
	struct kmsg_record r = {.seq = 77};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], &r), -EBADMSG);
	assert_int_equal(r.seq, 77);
}

static void the_longest_record_fits_and_a_longer_one_is_refused(void **state unused_arg)
{
	static char s[KMSG_READ_SIZE + 64];
	static struct kmsg_record r;
	size_t head = (size_t)sprintf(s, "6,1,2,-;");

	memset(s + head, 'x', sizeof(s) - head);
	assert_int_equal(kmsg_parse(s, head + KMSG_READ_SIZE - 1, &r), 0);
	assert_int_equal(r.len, KMSG_READ_SIZE - 1);
	assert_int_equal(kmsg_parse(s, head + KMSG_READ_SIZE, &r), -EBADMSG);
}

static void lost_records_are_counted(void **state unused_arg)
{
	assert_int_equal(kmsg_lost(5, 6), 0);
	assert_int_equal(kmsg_lost(5, 9), 3);
	assert_int_equal(kmsg_lost(5, 5), 0);
	assert_int_equal(kmsg_lost(5, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_taken_apart),
		cmocka_unit_test(bytes_are_unescaped_after_the_line_was_found),
		cmocka_unit_test(what_is_no_record_is_refused_and_nothing_written),
		cmocka_unit_test(the_longest_record_fits_and_a_longer_one_is_refused),
		cmocka_unit_test(lost_records_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
