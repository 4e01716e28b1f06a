/* SPDX-License-Identifier: Apache-2.0 */
/* The reader over a scripted library; over a real journal: tests/integration/test_oom_journal.py.
 */
// link: -Wl,--wrap=sdjournal_load -Wl,--wrap=sdjournal_unload
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/sense/oom/journal_watch.h"
#include "agent/sense/oom/sdjournal.h"
#include "common/clock.h"
#include "tests/support/alloc.h"

#define BOOT "00112233445566778899aabbccddeeff"
#define NOW  (1000000 * USEC_PER_SEC)

/* An entry is its pid in a line of earlyoom, its cursor the index. */
static struct {
	const char *message[16];
	const char *source_time;
	int n;
	int at; /* index of the current one; -1 = before the first */
	int loads;
	int opens;
	int closes;
	char matches[1024];
	uint64_t seek_usec;
	char seek_cursor[64];
	int rc_load, rc_open, rc_next, rc_cursor;
	size_t cursor_len;
	int bad_path; /* 1 = files named system@bad.journal cannot be opened */
} fake;

static int fake_open_files(struct sd_journal **ret, const char **paths, int flags)
{
	assert_int_equal(flags, 0);
	if (fake.rc_open)
		return fake.rc_open;
	for (int i = 0; paths[i]; i++)
		if (fake.bad_path && strstr(paths[i], "@bad"))
			return -EBADMSG;
	fake.opens++;
	fake.at = -1;
	fake.matches[0] = '\0';
	*ret = (struct sd_journal *)(void *)&fake;
	return 0;
}

static void fake_close(struct sd_journal *j)
{
	assert_ptr_equal(j, &fake);
	fake.closes++;
}

static int fake_threshold(struct sd_journal *j, size_t size)
{
	(void)j;
	assert_in_range(size, 1024, 65536);
	return 0;
}

static int fake_match(struct sd_journal *j, const void *data, size_t size)
{
	size_t n = strlen(fake.matches);

	(void)j;
	assert_int_equal(size, strlen(data));
	snprintf(fake.matches + n, sizeof(fake.matches) - n, "%s ", (const char *)data);
	return 0;
}

static int fake_or(struct sd_journal *j)
{
	return fake_match(j, "|", 1);
}

static int fake_seek_cursor(struct sd_journal *j, const char *cursor)
{
	(void)j;
	snprintf(fake.seek_cursor, sizeof(fake.seek_cursor), "%s", cursor);
	fake.at = atoi(cursor) - 1;
	return 0;
}

static int fake_test_cursor(struct sd_journal *j, const char *cursor)
{
	(void)j;
	return atoi(cursor) == fake.at;
}

static int fake_get_cursor(struct sd_journal *j, char **ret)
{
	(void)j;
	if (fake.rc_cursor)
		return fake.rc_cursor;
	*ret = __real_calloc(1, fake.cursor_len + 16);
	memset(*ret, '0', fake.cursor_len);
	snprintf(*ret + fake.cursor_len, 16, "%d", fake.at);
	return 0;
}

static int fake_seek_usec(struct sd_journal *j, uint64_t usec)
{
	(void)j;
	fake.seek_usec = usec;
	return 0;
}

static int fake_next(struct sd_journal *j)
{
	(void)j;
	if (fake.rc_next)
		return fake.rc_next;
	if (fake.at + 1 >= fake.n)
		return 0;
	fake.at++;
	return 1;
}

static int fake_get_data(struct sd_journal *j, const char *field, const void **data, size_t *size)
{
	static char text[512];

	(void)j;
	if (strcmp(field, "_SYSTEMD_UNIT") == 0)
		snprintf(text, sizeof(text), "%s=earlyoom.service", field);
	else if (strcmp(field, "MESSAGE") == 0)
		snprintf(text, sizeof(text), "%s=%s", field, fake.message[fake.at]);
	else if (strcmp(field, "_SOURCE_REALTIME_TIMESTAMP") == 0 && fake.source_time)
		snprintf(text, sizeof(text), "%s=%s", field, fake.source_time);
	else if (strcmp(field, "_COMM") == 0)
		snprintf(text, sizeof(text), "_"); /* shorter than its own name */
	else
		return strcmp(field, "_UID") == 0 ? -EBADMSG : -ENOENT;
	*data = text;
	*size = strlen(text);
	return 0;
}

static int fake_usec(struct sd_journal *j, uint64_t *ret)
{
	(void)j;
	*ret = 77;
	return 0;
}

int __wrap_sdjournal_load(const char *library, struct sdjournal *ret, struct error *err)
{
	assert_string_equal(library, SDJOURNAL_LIBRARY);
	if (fake.rc_load)
		return error_set(err, fake.rc_load, "no library");
	fake.loads++;
	*ret = (struct sdjournal){.handle = &fake,
				  .open_files = fake_open_files,
				  .set_data_threshold = fake_threshold,
				  .add_match = fake_match,
				  .add_disjunction = fake_or,
				  .seek_cursor = fake_seek_cursor,
				  .test_cursor = fake_test_cursor,
				  .get_cursor = fake_get_cursor,
				  .seek_realtime_usec = fake_seek_usec,
				  .next = fake_next,
				  .get_data = fake_get_data,
				  .get_realtime_usec = fake_usec,
				  .close = fake_close};
	return 0;
}

void __wrap_sdjournal_unload(struct sdjournal *lib)
{
	if (lib->handle)
		fake.loads--;
	lib->handle = NULL;
}

static char folder[64];
static struct journal_watch *j;
static int64_t pids[32];
static int n_pids;
static int64_t last_wall_us;

static void on_note(const struct killer_note *n, void *arg)
{
	assert_ptr_equal(arg, &fake);
	assert_int_equal(n->killer, KILLER_EARLYOOM);
	pids[n_pids++] = n->pid;
	last_wall_us = n->wall_us;
}

static void make(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void write_line(int pid)
{
	static char lines[16][128];

	snprintf(lines[fake.n], sizeof(lines[0]),
		 "sending SIGTERM to process %d uid 1 \"x\": badness 1, VmRSS 1 MiB", pid);
	fake.message[fake.n] = lines[fake.n];
	fake.n++;
}

static int poll_at(int64_t now_us, unsigned budget)
{
	struct error err = {.msg = ""};

	return journal_watch_poll(j, now_us, budget, on_note, &fake, &err);
}

static int set_up(void **state)
{
	struct journal_watch_config c = {.dir = folder,
					 .boot_id = BOOT,
					 .lookback_us = 60 * USEC_PER_SEC};
	struct error err;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	n_pids = 0;
	snprintf(folder, sizeof(folder), "/tmp/memherd-journal-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	make("system.journal");
	return journal_watch_new(&c, &j, &err);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	journal_watch_free(&j);
	journal_watch_free(&j);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	if (system(command) != 0 || fake.loads != 0)
		return -1;
	return 0;
}

static void nothing_is_loaded_before_it_is_wanted(void **state)
{
	(void)state;
	write_line(5);
	assert_int_equal(poll_at(NOW, 8), 0);
	assert_int_equal(fake.loads, 0);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 1);
	assert_int_equal(fake.loads, 1);
	assert_int_equal(pids[0], 5);
	assert_int_equal(last_wall_us, 77);
	assert_int_equal(fake.seek_usec, NOW - 60 * USEC_PER_SEC);
	assert_true(journal_watch_counts(j)->open);
}

static void only_what_may_be_believed_is_asked_for(void **state)
{
	(void)state;
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 0);
	assert_string_equal(fake.matches,
			    "_BOOT_ID=" BOOT " _SYSTEMD_UNIT=earlyoom.service "
			    "_SYSTEMD_UNIT=systemd-oomd.service _SYSTEMD_UNIT=nohang.service "
			    "_SYSTEMD_UNIT=oomd.service | "
			    "_BOOT_ID=" BOOT " _COMM=earlyoom _COMM=systemd-oomd _COMM=nohang "
			    "_COMM=oomd _UID=0 | "
			    "_BOOT_ID=" BOOT " _PID=1 MESSAGE_ID=" KILLER_MESSAGE_UNIT_OOM
			    " MESSAGE_ID=" KILLER_MESSAGE_UNIT_OOMD
			    " MESSAGE_ID=" KILLER_MESSAGE_STOPPING
			    " MESSAGE_ID=" KILLER_MESSAGE_STOPPED " ");
}

static void a_budget_bounds_a_poll_and_nothing_is_read_twice(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++)
		write_line(10 + i);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 3), 3);
	assert_int_equal(poll_at(NOW, 3), 3);
	assert_int_equal(poll_at(NOW, 3), 1);
	assert_int_equal(poll_at(NOW, 3), 0);
	write_line(17);
	assert_int_equal(poll_at(NOW, 3), 1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pids[i], 10 + i);
	assert_int_equal(fake.opens, 1);
}

static void it_is_let_go_a_minute_after_the_last_need(void **state)
{
	(void)state;
	write_line(5);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 1);
	journal_watch_want(j, false);
	assert_int_equal(poll_at(NOW + JOURNAL_LINGER_US - 1, 8), 0);
	assert_int_equal(fake.loads, 1);
	assert_int_equal(poll_at(NOW + JOURNAL_LINGER_US, 8), 0);
	assert_int_equal(fake.loads, 0);
	assert_int_equal(fake.closes, 1);
	write_line(6);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW + 3 * JOURNAL_LINGER_US, 8), 1);
	assert_string_equal(fake.seek_cursor, "0");
	assert_int_equal(pids[1], 6);
}

static void without_an_entry_it_goes_on_where_it_looked_last(void **state)
{
	(void)state;
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 0);
	journal_watch_want(j, false);
	assert_int_equal(poll_at(NOW + JOURNAL_LINGER_US, 8), 0);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW + 3 * JOURNAL_LINGER_US, 8), 0);
	assert_int_equal(fake.seek_usec, NOW);
}

static void what_nobody_wanted_for_long_is_skipped(void **state)
{
	(void)state;
	write_line(5);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 1);
	journal_watch_want(j, false);
	assert_int_equal(poll_at(NOW + JOURNAL_LINGER_US, 8), 0);
	journal_watch_want(j, true);
	assert_true(poll_at(NOW + JOURNAL_FORGET_US + 1, 8) >= 0);
	assert_int_equal(fake.seek_usec, NOW + JOURNAL_FORGET_US + 1 - 60 * USEC_PER_SEC);
}

static void a_rotation_opens_anew_from_the_cursor(void **state)
{
	char from[128];
	char to[128];

	(void)state;
	write_line(5);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 1);
	snprintf(from, sizeof(from), "%s/system.journal", folder);
	snprintf(to, sizeof(to), "%s/system@1.journal", folder);
	assert_int_equal(rename(from, to), 0);
	make("system.journal");
	write_line(6);
	assert_int_equal(poll_at(NOW, 8), 1);
	assert_int_equal(fake.opens, 2);
	assert_int_equal(fake.closes, 1);
	assert_int_equal(pids[1], 6);
	assert_int_equal(poll_at(NOW, 8), 0);
	assert_int_equal(fake.opens, 2);
}

static void a_failure_is_told_once_and_rests(void **state)
{
	(void)state;
	journal_watch_want(j, true);
	fake.rc_next = -EBADMSG;
	assert_int_equal(poll_at(NOW, 8), -EBADMSG);
	assert_int_equal(fake.loads, 0);
	assert_int_equal(poll_at(NOW + JOURNAL_RETRY_US - 1, 8), 0);
	assert_int_equal(fake.opens, 1);
	assert_int_equal(poll_at(NOW + JOURNAL_RETRY_US, 8), 0);
	assert_int_equal(fake.opens, 2);
	assert_int_equal(journal_watch_counts(j)->errors, 2);
	fake.rc_next = -EIO;
	assert_int_equal(poll_at(NOW + 2 * JOURNAL_RETRY_US, 8), -EIO);
	fake.rc_next = 0;
	write_line(5);
	assert_int_equal(poll_at(NOW + 3 * JOURNAL_RETRY_US, 8), 1);
	fake.rc_next = -EIO;
	assert_int_equal(poll_at(NOW + 3 * JOURNAL_RETRY_US, 8), -EIO);
	/* A clock that is set back does not make the rest longer. */
	fake.rc_next = 0;
	write_line(6);
	assert_int_equal(poll_at(NOW - 10 * JOURNAL_RETRY_US, 8), 1);
}

static void whatever_step_fails_nothing_stays_open(void **state)
{
	int *const steps[] = {&fake.rc_load, &fake.rc_open, &fake.rc_next, &fake.rc_cursor};

	(void)state;
	journal_watch_want(j, true);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		write_line(5);
		*steps[i] = -ENOMEM - (int)i;
		assert_int_equal(poll_at(NOW + (int64_t)i * JOURNAL_RETRY_US, 8), -ENOMEM - (int)i);
		assert_int_equal(fake.loads, 0);
		assert_int_equal(fake.opens, fake.closes);
		*steps[i] = 0;
	}
	fake.cursor_len = 4096;
	assert_int_equal(poll_at(NOW + 9 * JOURNAL_RETRY_US, 8), -E2BIG);
	assert_int_equal(n_pids, 0);
}

static void a_broken_file_does_not_hide_the_others(void **state)
{
	(void)state;
	make("system@bad.journal");
	fake.bad_path = 1;
	write_line(5);
	journal_watch_want(j, true);
	assert_int_equal(poll_at(NOW, 8), 1);
	assert_int_equal(journal_watch_counts(j)->errors, 1);
}

static void the_senders_own_clock_is_taken_when_it_is_one(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} rows[] = {{"123456", 123456}, {"-5", 77}, {"x", 77}, {"", 77}};

	(void)state;
	journal_watch_want(j, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.source_time = rows[i].text;
		write_line(5);
		assert_int_equal(poll_at(NOW, 8), 1);
		assert_int_equal(last_wall_us, rows[i].want);
	}
}

static void what_is_missing_is_told_at_the_start(void **state)
{
	struct journal_watch_config c = {.dir = "/nonexistent", .boot_id = BOOT};
	struct journal_watch *other = NULL;
	struct error err;

	(void)state;
	assert_int_equal(journal_watch_new(&c, &other, &err), -ENOENT);
	c.dir = folder;
	fake.rc_load = -ENOENT;
	assert_int_equal(journal_watch_new(&c, &other, &err), -ENOENT);
	assert_says(err, "no library");
	fake.rc_load = 0;
	c.boot_id = BOOT "00";
	assert_int_equal(journal_watch_new(&c, &other, &err), -ENAMETOOLONG);
	c.boot_id = NULL;
	c.proc = "/nonexistent";
	assert_int_equal(journal_watch_new(&c, &other, &err), -ENOENT);
	assert_says(err, "/nonexistent/sys/kernel/random/boot_id");
	c.proc = NULL;
	alloc_fail_at(1);
	assert_int_equal(journal_watch_new(&c, &other, &err), -ENOMEM);
	alloc_fail_off();
	assert_null(other);
	assert_int_equal(journal_watch_new(&c, &other, &err), 0);
	journal_watch_free(&other);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(nothing_is_loaded_before_it_is_wanted),
		T(only_what_may_be_believed_is_asked_for),
		T(a_budget_bounds_a_poll_and_nothing_is_read_twice),
		T(it_is_let_go_a_minute_after_the_last_need),
		T(what_nobody_wanted_for_long_is_skipped),
		T(without_an_entry_it_goes_on_where_it_looked_last),
		T(a_rotation_opens_anew_from_the_cursor),
		T(a_failure_is_told_once_and_rests),
		T(whatever_step_fails_nothing_stays_open),
		T(a_broken_file_does_not_hide_the_others),
		T(the_senders_own_clock_is_taken_when_it_is_one),
		T(what_is_missing_is_told_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
