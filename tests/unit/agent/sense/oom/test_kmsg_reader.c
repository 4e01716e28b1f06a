/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=read
#include "agent/sense/oom/kmsg_reader.h"

#include <errno.h>

#include "tests/support/folder.h"

/* What the next reads give: a record, or an errno. */
static struct {
	const char *record;
	int fails;
} script[16];
static size_t at;
static size_t asked; /* the buffer's size */

ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd unused_arg, void *buf, size_t size)
{
	asked = size;
	if (!script[at].record) {
		errno = script[at].fails ? script[at++].fails : EAGAIN;
		return -1;
	}
	memcpy(buf, script[at].record, strlen(script[at].record));
	return (ssize_t)strlen(script[at++].record);
}

static struct kmsg_reader r;

static int begin(void **state)
{
	char path[96];
	struct error err;

	if (folder_begin(state) < 0)
		return -1;
	memset(script, 0, sizeof(script));
	at = 0;
	folder_put("kmsg", "");
	snprintf(path, sizeof(path), "%s/kmsg", folder);
	return kmsg_reader_open(&r, path, &err);
}

static int finish(void **state)
{
	kmsg_reader_close(&r);
	assert_int_equal(r.fd, -1);
	return folder_end(state);
}

static uint64_t lost;

static void records_come_one_by_one(void **state unused_arg)
{
	script[0].record = "6,7,100,-;first\n";
	script[1].record = "6,8,101,-;second\n";
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(asked, KMSG_READ_SIZE);
	assert_string_equal(r.record.text, "first");
	assert_int_equal(lost, 0);
	assert_false(r.caught_up);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(r.seq, 8);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_END);
	assert_true(r.caught_up);
}

static void what_was_written_over_is_counted(void **state unused_arg)
{
	script[0].record = "6,7,100,-;a\n";
	script[1].fails = EPIPE;
	script[2].record = "6,60,101,-;b\n";
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_SKIPPED);
	assert_int_equal(lost, 0);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(lost, 52);
}

static void a_record_that_is_refused_is_no_hole(void **state unused_arg)
{
	script[0].record = "6,7,100,-;a\n";
	script[1].fails = EINVAL;
	script[2].record = "garbage";
	script[3].fails = EINTR;
	script[4].record = "6,10,101,-;b\n";
	script[5].record = "6,12,101,-;c\n";
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_SKIPPED);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(lost, 0);
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(lost, 1);
}

static void the_first_number_is_no_hole(void **state unused_arg)
{
	script[0].record = "6,123456,100,-;a\n";
	assert_int_equal(kmsg_reader_next(&r, &lost), KMSG_RECORD);
	assert_int_equal(lost, 0);
}

static void a_log_that_fails_is_of_no_more_use(void **state unused_arg)
{
	struct kmsg_reader other;
	struct error err;

	script[0].fails = EIO;
	script[1].record = "";
	assert_int_equal(kmsg_reader_next(&r, &lost), -EIO);
	assert_int_equal(kmsg_reader_next(&r, &lost), -ENODATA);
	assert_int_equal(kmsg_reader_open(&other, "/nowhere/kmsg", &err), -ENOENT);
	assert_says(err, "/nowhere/kmsg");
	kmsg_reader_close(&other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(records_come_one_by_one),
		TEST(what_was_written_over_is_counted),
		TEST(a_record_that_is_refused_is_no_hole),
		TEST(the_first_number_is_no_hole),
		TEST(a_log_that_fails_is_of_no_more_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
