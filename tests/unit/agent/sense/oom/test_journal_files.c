/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sense/oom/journal_files.h"
#include "common/clock.h"

static struct journal_folders folders;

static void path_of(char out[2 * JOURNAL_PATH_SIZE], const char *name)
{
	snprintf(out, 2 * JOURNAL_PATH_SIZE, "%s/%s", folders.path[0], name);
}

static void make(const char *name, int64_t written_s)
{
	const struct timespec times[2] = {{.tv_sec = written_s}, {.tv_sec = written_s}};
	char path[2 * JOURNAL_PATH_SIZE];
	int fd;

	path_of(path, name);
	fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	folders = (struct journal_folders){.n = 1};
	snprintf(folders.path[0], sizeof(folders.path[0]), "/tmp/memherd-files-XXXXXX");
	return mkdtemp(folders.path[0]) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[2 * JOURNAL_PATH_SIZE];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folders.path[0]);
	return system(command);
}

static bool has(const struct journal_files *f, const char *name)
{
	char path[2 * JOURNAL_PATH_SIZE];

	path_of(path, name);
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->path[i], path) == 0)
			return true;
	return false;
}

static void only_files_that_were_written_since_are_listed(void **state)
{
	struct journal_files f;

	(void)state;
	make("system.journal", 5); /* counts as just written */
	make("system@1.journal", 999);
	make("system@2.journal", 1000);
	make("system@3.journal~", 1001);
	make("user-1000.journal", 2000);
	make("user-1000@1.journal", 2000);
	make("system@4.journal.zst", 2000);
	make("fss", 2000);
	journal_folders_list(&folders, 1000 * USEC_PER_SEC, &f);
	assert_int_equal(f.n, 3);
	assert_true(has(&f, "system.journal"));
	assert_true(has(&f, "system@2.journal"));
	assert_true(has(&f, "system@3.journal~"));
}

static void of_too_many_the_latest_are_kept(void **state)
{
	struct journal_files f;
	char name[32];

	(void)state;
	for (int i = 0; i < 3 * JOURNAL_MAX_FILES; i++) {
		snprintf(name, sizeof(name), "system@%d.journal", i);
		make(name, 1000 + (i * 7) % (3 * JOURNAL_MAX_FILES));
	}
	make("system.journal", 5);
	journal_folders_list(&folders, 0, &f);
	assert_int_equal(f.n, JOURNAL_MAX_FILES);
	assert_int_equal(f.left_out, 2 * JOURNAL_MAX_FILES + 1);
	assert_true(has(&f, "system.journal"));
	for (size_t i = 1; i < f.n; i++) {
		assert_true(f.written_us[i - 1] >= f.written_us[i]);
		assert_true(f.written_us[i] > (1000 + 2 * JOURNAL_MAX_FILES) * USEC_PER_SEC);
	}
}

static void folders_that_are_no_journal_are_told_apart(void **state)
{
	struct error err;
	struct journal_files f;
	char path[2 * JOURNAL_PATH_SIZE];
	struct journal_folders none = {.n = 1, .path = {"/nonexistent"}};

	(void)state;
	assert_int_equal(journal_folders_check(&none, &err), -ENOENT);
	assert_says(err, "no journal");
	journal_folders_list(&none, 0, &f);
	assert_int_equal(f.n, 0);
	path_of(path, "system.journal");
	assert_int_equal(symlink("system.journal", path), 0); /* a loop */
	assert_int_equal(journal_folders_check(&folders, &err), -ELOOP);
	assert_says(err, "cannot read");
	journal_folders_list(&folders, 0, &f);
	assert_int_equal(f.n, 0);
	memset(none.path[0], 'x', sizeof(none.path[0]) - 1);
	assert_int_equal(journal_folders_check(&none, &err), -ENAMETOOLONG);
}

static void a_rotation_is_another_current_file(void **state)
{
	struct journal_current a;
	struct journal_current b;
	char from[2 * JOURNAL_PATH_SIZE];
	char to[2 * JOURNAL_PATH_SIZE];

	(void)state;
	make("system.journal", 5);
	journal_folders_current(&folders, &a);
	journal_folders_current(&folders, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	path_of(from, "system.journal");
	path_of(to, "system@1.journal");
	assert_int_equal(rename(from, to), 0);
	make("system.journal", 6);
	journal_folders_current(&folders, &b);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(only_files_that_were_written_since_are_listed),
		T(of_too_many_the_latest_are_kept),
		T(folders_that_are_no_journal_are_told_apart),
		T(a_rotation_is_another_current_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
