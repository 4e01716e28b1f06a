/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/act/journal_verify.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/test.h"

#define RECORD JOURNAL_RECORD_SIZE

struct place {
	char dir[32];
	char path[64];
	char lock[64];
	struct journal *j;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct error err;

	strcpy(p->dir, "/tmp/test_journal.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/journal", p->dir);
	snprintf(p->lock, sizeof(p->lock), "%s/journal.lock", p->dir);
	assert_int_equal(journal_open(p->path, &p->j, &err), 0);
	assert_int_equal(journal_lock(p->j, 0, &err), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	journal_free(&p->j);
	unlink(p->path);
	unlink(p->lock);
	rmdir(p->dir);
	free(p);
	return 0;
}

static void reopen(struct place *p)
{
	struct error err = {""};

	journal_free(&p->j);
	if (journal_open(p->path, &p->j, &err) < 0 || journal_lock(p->j, 0, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct journal_entry entry(unsigned n, bool done)
{
	struct journal_entry e = {
		.t_wall_us = 1000 + n,
		.action = COMMAND_TRIM,
		.done = done,
		.pid = 77,
		.start_ticks = 9,
		.counter = n,
		.fence = 2,
		.result = {.status = COMMAND_DONE, .rss_before = 10, .detail = "gave back"},
	};

	memcpy(e.id, &n, sizeof(n));
	memcpy(e.result.id, e.id, sizeof(e.id));
	return e;
}

static void put(struct place *p, const struct journal_entry *e)
{
	struct error err;

	assert_int_equal(journal_append(p->j, e, &err), 0);
}

static void verify(struct place *p, struct journal_check *ret, struct error *err)
{
	if (journal_verify(p->path, NULL, NULL, ret, err) < 0)
		fail_msg("%s", err->msg);
}

static void what_was_done_is_found_after_a_restart(void **state)
{
	struct place *p = *state;
	struct journal_entry a = entry(1, false);
	struct journal_entry b = entry(1, true);
	struct command_result r;
	uint64_t counter;
	uint64_t fence;

	assert_int_equal(journal_find(p->j, a.id, &r), -ENOENT);
	put(p, &a);
	put(p, &b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(journal_find(p->j, a.id, &r), 0);
		assert_int_equal(r.status, COMMAND_DONE);
		assert_int_equal(r.rss_before, 10);
		assert_string_equal(r.detail, "gave back");
		journal_highest(p->j, &counter, &fence);
		assert_int_equal(counter, 1);
		assert_int_equal(fence, 2);
		reopen(p);
	}
}

static void started_and_never_done_is_unknown(void **state)
{
	struct place *p = *state;
	struct journal_entry a = entry(1, false);
	struct command_result r;

	put(p, &a);
	reopen(p);
	assert_int_equal(journal_find(p->j, a.id, &r), 0);
	assert_int_equal(r.status, COMMAND_UNKNOWN);
	assert_memory_equal(r.id, a.id, sizeof(a.id));
}

/* Each restart makes another process: counted by process, a loop of them would have no bound. */
static void restarts_are_counted_by_what_is_restarted(void **state)
{
	static const struct {
		int64_t rss_after;
		enum command_status status;
		bool counts;
	} rows[] = {{5, COMMAND_DONE, true},
		    {-1, COMMAND_REFUSED, false},
		    {-1, COMMAND_FAILED, false},
		    {0, COMMAND_FAILED, true},
		    {7, COMMAND_UNKNOWN, true}};
	const struct journal_entry like = {.action = COMMAND_RESTART,
					   .pid = 1,
					   .start_ticks = 1,
					   .subject = 0xdecade};
	struct place *p = *state;
	unsigned want = 0;
	int64_t last;

	for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct journal_entry e = entry(i + 1, true);

		e.action = COMMAND_RESTART;
		e.pid = 100 + i;
		e.subject = 0xdecade;
		e.result.status = rows[i].status;
		e.result.rss_after = rows[i].rss_after;
		put(p, &e);
		want += rows[i].counts;
		assert_int_equal(journal_count(p->j, &like, 0, &last), want);
	}
	reopen(p);
	assert_int_equal(journal_count(p->j, &like, 0, &last), want);
	assert_int_equal(journal_count(p->j,
				       &(struct journal_entry){.action = COMMAND_RESTART,
							       .subject = 1},
				       0, &last),
			 0);
	assert_int_equal(journal_count(p->j,
				       &(struct journal_entry){.action = COMMAND_TRIM,
							       .subject = 0xdecade},
				       0, &last),
			 0);
}

static void only_what_acted_counts_against_the_rate(void **state)
{
	struct place *p = *state;
	struct journal_entry done = entry(1, true);
	struct journal_entry dry = entry(2, true);
	struct journal_entry refused = entry(3, true);
	struct journal_entry cut = entry(4, false);
	struct journal_entry other = entry(5, true);
	int64_t last;

	dry.dry_run = true;
	refused.result.status = COMMAND_REFUSED;
	other.start_ticks = 10; /* the pid's next owner */
	put(p, &done);
	put(p, &dry);
	put(p, &refused);
	put(p, &cut);
	put(p, &other);
	assert_int_equal(journal_count(p->j,
				       &(struct journal_entry){.action = COMMAND_TRIM,
							       .pid = 77,
							       .start_ticks = 9},
				       0, &last),
			 2);
	assert_int_equal(last, 1004);
	assert_int_equal(journal_count(p->j,
				       &(struct journal_entry){.action = COMMAND_TRIM,
							       .pid = 77,
							       .start_ticks = 9},
				       1002, &last),
			 1);
	assert_int_equal(journal_count(p->j,
				       &(struct journal_entry){.action = COMMAND_TRIM,
							       .pid = 78,
							       .start_ticks = 9},
				       0, &last),
			 0);
	assert_int_equal(last, 0);
}

static void a_torn_tail_is_dropped_wherever_it_was_cut(void **state)
{
	struct place *p = *state;
	struct journal_entry a = entry(1, true);
	struct journal_entry b = entry(2, true);
	struct journal_entry c = entry(3, true);
	struct command_result r;
	struct stat st;

	for (unsigned cut = 1; cut < RECORD; cut += 37) {
		assert_int_equal(truncate(p->path, 0), 0);
		reopen(p);
		put(p, &a);
		put(p, &b);
		assert_int_equal(truncate(p->path, RECORD + cut), 0);
		reopen(p);
		assert_int_equal(journal_find(p->j, a.id, &r), 0);
		assert_int_equal(journal_find(p->j, b.id, &r), -ENOENT);
		put(p, &c);
		reopen(p);
		assert_int_equal(journal_find(p->j, c.id, &r), 0);
		assert_int_equal(stat(p->path, &st), 0);
		assert_int_equal(st.st_size, 2 * RECORD);
	}
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void damage_in_the_middle_refuses_the_file(void **state)
{
	struct place *p = *state;
	struct error err;

	for (unsigned i = 1; i <= 3; i++) {
		struct journal_entry e = entry(i, true);

		put(p, &e);
	}
	flip(p->path, RECORD + 20);
	journal_free(&p->j);
	assert_int_equal(journal_open(p->path, &p->j, &err), -EBADMSG);
	assert_says(err, "record 2 is damaged");
	assert_null(p->j);
}

/* What nobody could write there without knowing the hash of the one before. */
static void a_record_taken_out_or_put_elsewhere_refuses_the_file(void **state)
{
	struct place *p = *state;
	struct journal_check check;
	uint8_t file[4 * RECORD];
	struct error err = {""};
	int fd;

	for (unsigned i = 1; i <= 4; i++) {
		struct journal_entry e = entry(i, true);

		put(p, &e);
	}
	verify(p, &check, &err);
	assert_int_equal(check.records, 4);
	assert_int_equal(check.last, 4);
	assert_false(check.torn);
	fd = open(p->path, O_RDWR);
	assert_int_equal(pread(fd, file, sizeof(file), 0), sizeof(file));
	for (unsigned way = 0; way < 3; way++) {
		uint8_t other[4 * RECORD];
		size_t n = way == 0 ? 3 : 4;

		memcpy(other, file, sizeof(other));
		if (way == 0) /* the second is gone */
			memcpy(other + RECORD, file + 2 * RECORD, 2 * RECORD);
		else if (way == 1) { /* two have changed places */
			memcpy(other + RECORD, file + 2 * RECORD, RECORD);
			memcpy(other + 2 * RECORD, file + RECORD, RECORD);
		} else { /* one stands twice */
			memcpy(other + 2 * RECORD, file + RECORD, RECORD);
		}
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, other, n * RECORD, 0), n * RECORD);
		journal_free(&p->j);
		assert_int_equal(journal_open(p->path, &p->j, &err), -EBADMSG);
		assert_says(err, way == 2 ? "record 3 has number 2 and does not follow number 2"
					  : "record 2 has number 3 and does not follow number 1");
		assert_int_equal(journal_verify(p->path, NULL, NULL, &check, &err), -EBADMSG);
		assert_says(err, "does not follow number");
	}
	close(fd);
}

static void damage_anywhere_is_named(void **state)
{
	struct place *p = *state;
	struct journal_check check;
	struct error err = {""};
	char says[64];

	for (unsigned i = 1; i <= 3; i++) {
		struct journal_entry e = entry(i, true);

		put(p, &e);
	}
	for (off_t at = 0; at < 3 * RECORD; at += 61) {
		flip(p->path, at);
		assert_int_equal(journal_verify(p->path, NULL, NULL, &check, &err), -EBADMSG);
		snprintf(says, sizeof(says), "record %d is damaged", (int)(at / RECORD) + 1);
		assert_says(err, says);
		flip(p->path, at);
	}
	verify(p, &check, &err);
	assert_int_equal(truncate(p->path, 3 * RECORD - 1), 0);
	verify(p, &check, &err);
	assert_true(check.torn);
	assert_int_equal(check.last, 2);
}

static void each_result_tells_its_place_in_the_chain(void **state)
{
	struct place *p = *state;
	struct journal_entry a0 = entry(1, false), a = entry(1, true), b = entry(2, true);
	struct command_result one, two;
	struct command_span head;
	static const uint8_t none[COMMAND_LINK_SIZE];

	put(p, &a0);
	put(p, &a);
	put(p, &b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(journal_find(p->j, a.id, &one), 0);
		assert_int_equal(journal_find(p->j, b.id, &two), 0);
		assert_int_equal(one.journal.last, 2);
		assert_int_equal(one.journal.records, 2);
		assert_memory_equal(one.journal.before, none, sizeof(none));
		assert_int_equal(two.journal.last, 3);
		assert_int_equal(two.journal.records, 1);
		assert_memory_equal(two.journal.before, one.journal.head, sizeof(none));
		journal_head(p->j, &head);
		assert_int_equal(head.last, 3);
		assert_int_equal(head.records, 0);
		assert_memory_equal(head.head, two.journal.head, sizeof(none));
		assert_memory_not_equal(head.head, none, sizeof(none));
		reopen(p);
	}
}

/* As a journal of memherd 0.1 was written. */
static void old_file(const char *path, unsigned n)
{
	auto_buf struct buf b = BUF_INIT(100 * JOURNAL_OLD_SIZE);
	struct error err;

	for (unsigned i = 0; i < n; i++) {
		struct journal_entry e = entry(i, true);
		uint8_t result[COMMAND_RESULT_SIZE], digest[SHA256_SIZE];
		size_t start = b.len;

		command_result_pack(result, &e.result);
		buf_put(&b, JOURNAL_OLD_MAGIC, 4);
		buf_le32(&b, i == 0 ? JOURNAL_ANCHOR : JOURNAL_DONE); /* the highest stood first */
		buf_le32(&b, e.action);
		buf_le32(&b, 0);
		buf_put(&b, e.id, sizeof(e.id));
		buf_le64(&b, (uint64_t)e.t_wall_us);
		buf_le32(&b, e.pid);
		buf_le32(&b, 0);
		buf_le64(&b, e.start_ticks);
		buf_le64(&b, i == 0 ? 777 : e.counter);
		buf_le64(&b, e.fence);
		buf_put(&b, result, sizeof(result));
		sha256(digest, b.data + start, JOURNAL_OLD_SIZE - 16);
		buf_put(&b, digest, 16);
	}
	assert_int_equal(fs_write(path, 0600, b.data, b.len, &err), 0);
}

static void an_old_journal_is_continued(void **state)
{
	struct place *p = *state;
	struct journal_entry e = entry(3, true);
	struct journal_check check;
	struct command_result r;
	struct error err = {""};
	uint64_t counter, fence;

	journal_free(&p->j);
	old_file(p->path, 6);
	verify(p, &check, &err);
	assert_true(check.old);
	assert_int_equal(check.records, 6);
	reopen(p);
	verify(p, &check, &err);
	assert_false(check.old);
	assert_int_equal(check.last, 5);
	assert_int_equal(journal_find(p->j, e.id, &r), 0);
	assert_string_equal(r.detail, "gave back");
	assert_int_equal(r.journal.last, 3);
	journal_highest(p->j, &counter, &fence);
	assert_int_equal(counter, 777);
	e = entry(50, true);
	put(p, &e);
	reopen(p);
	verify(p, &check, &err);
	assert_int_equal(check.last, 6);

	/* damaged in its middle it is left as it is */
	journal_free(&p->j);
	old_file(p->path, 6);
	flip(p->path, 2 * JOURNAL_OLD_SIZE + 30);
	assert_int_equal(journal_open(p->path, &p->j, &err), -EBADMSG);
	assert_says(err, "record 3 is damaged");
	assert_int_equal(journal_verify(p->path, NULL, NULL, &check, &err), -EBADMSG);
	assert_says(err, "record 3 is damaged");
}

static void what_no_result_tells_is_news(void **state)
{
	struct place *p = *state;
	struct journal_entry signed_one = entry(1, true), cut = entry(2, false);
	struct journal_entry hand0 = entry(3, false), hand = entry(3, true), note = entry(1, false);
	struct journal_news n;
	struct error err = {""};

	hand0.counter = hand.counter = 0;
	note.note = true;
	strcpy(note.result.detail, "taken back");
	put(p, &signed_one);
	put(p, &cut);
	put(p, &hand0);
	put(p, &hand);
	put(p, &note);
	assert_int_equal(journal_next(p->j, 0, &n, &err), 0);
	assert_true(n.any && !n.by_hand);
	assert_int_equal(n.through, 2);
	assert_int_equal(n.entry.result.status, COMMAND_UNKNOWN);
	assert_int_equal(n.entry.result.journal.records, 1);
	assert_int_equal(journal_next(p->j, n.through, &n, &err), 0);
	assert_true(n.any && n.by_hand);
	assert_int_equal(n.through, 4);
	assert_int_equal(n.entry.result.journal.records, 2);
	assert_int_equal(journal_next(p->j, n.through, &n, &err), 0);
	assert_true(n.any && n.entry.note && !n.by_hand);
	assert_string_equal(n.entry.result.detail, "taken back");
	assert_int_equal(journal_next(p->j, n.through, &n, &err), 0);
	assert_false(n.any);
	assert_int_equal(n.through, 5);
	/* whoever knows more than there is starts from what there is */
	assert_int_equal(journal_next(p->j, 99, &n, &err), 0);
	assert_false(n.any);
	assert_int_equal(n.through, 5);
}

static void the_file_stays_bounded_and_the_highest_survives(void **state)
{
	struct place *p = *state;
	struct journal_entry first = entry(900000, true);
	struct journal_check check;
	struct command_result r;
	struct error err;
	struct stat st;
	uint64_t counter;
	uint64_t fence;

	put(p, &first);
	for (unsigned i = 1; i <= 4 * JOURNAL_KEEP + 10; i++) {
		struct journal_entry e = entry(i, true);

		e.counter = 0; /* by hand */
		put(p, &e);
	}
	journal_unlock(p->j);
	assert_int_equal(journal_lock(p->j, 0, &err), 0);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, (JOURNAL_HOLD + 1) * RECORD);
	reopen(p);
	journal_highest(p->j, &counter, &fence);
	assert_int_equal(counter, 900000);
	assert_int_equal(journal_find(p->j, first.id, &r), -ENOENT);
	first = entry(4 * JOURNAL_KEEP + 10, true);
	assert_int_equal(journal_find(p->j, first.id, &r), 0);
	/* it goes on with the next number, and still holds together */
	assert_int_equal(r.journal.last, 4 * JOURNAL_KEEP + 11);
	put(p, &(struct journal_entry){.id = {9}, .done = true, .result = {.status = 1}});
	verify(p, &check, &err);
	assert_int_equal(check.last, 4 * JOURNAL_KEEP + 12);
	assert_int_equal(check.first, JOURNAL_KEEP + 12);
	assert_int_equal(check.records, JOURNAL_HOLD + 1);
}

static void two_holders_see_each_others_entries(void **state)
{
	struct place *p = *state;
	struct journal *other = NULL;
	struct journal_entry a = entry(1, true);
	struct command_result r;
	struct error err;

	assert_int_equal(journal_open(p->path, &other, &err), 0);
	assert_int_equal(journal_lock(other, 50000, &err), -EBUSY);
	assert_says(err, "another action is under way");
	put(p, &a);
	journal_unlock(p->j);
	assert_int_equal(journal_lock(other, 0, &err), 0);
	assert_int_equal(journal_find(other, a.id, &r), 0);
	journal_free(&other);
}

static void a_full_disk_is_told_and_leaves_no_part(void **state)
{
	struct place *p = *state;
	struct journal_entry a = entry(1, true);
	struct journal_entry b = entry(2, false);
	struct rlimit old;
	struct rlimit tight;
	struct command_result r;
	struct error err;
	struct stat st;

	put(p, &a);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = RECORD + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(journal_append(p->j, &b, &err), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_says(err, "cannot write journal");
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, RECORD);
	assert_int_equal(journal_find(p->j, b.id, &r), -ENOENT);
	put(p, &b);
	reopen(p);
	assert_int_equal(journal_find(p->j, b.id, &r), 0);
}

static void a_file_that_others_can_write_is_refused(void **state)
{
	struct place *p = *state;
	struct error err;

	journal_free(&p->j);
	assert_int_equal(chmod(p->path, 0666), 0);
	assert_int_equal(journal_open(p->path, &p->j, &err), -EPERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_done_is_found_after_a_restart),
		TEST(started_and_never_done_is_unknown),
		TEST(restarts_are_counted_by_what_is_restarted),
		TEST(only_what_acted_counts_against_the_rate),
		TEST(a_torn_tail_is_dropped_wherever_it_was_cut),
		TEST(damage_in_the_middle_refuses_the_file),
		TEST(a_record_taken_out_or_put_elsewhere_refuses_the_file),
		TEST(damage_anywhere_is_named),
		TEST(each_result_tells_its_place_in_the_chain),
		TEST(an_old_journal_is_continued),
		TEST(what_no_result_tells_is_news),
		TEST(the_file_stays_bounded_and_the_highest_survives),
		TEST(two_holders_see_each_others_entries),
		TEST(a_full_disk_is_told_and_leaves_no_part),
		TEST(a_file_that_others_can_write_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
