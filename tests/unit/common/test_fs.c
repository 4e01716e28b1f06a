/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "tests/support/test.h"

struct place {
	char dir[40];
	char file[64];
	struct error err;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/memherd-test-fs-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->file, sizeof(p->file), "%s/file", p->dir);
	*state = p;
	return 0;
}

static int on_remove(const char *path, const struct stat *st unused_arg, int flag unused_arg,
		     struct FTW *ftw unused_arg)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	nftw(p->dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	auto_buf struct buf b = BUF_INIT(100000);
	struct place *p = *state;
	char data[20000];
	struct stat st;

	memset(data, 'd', sizeof(data));
	assert_int_equal(fs_write(p->file, 0640, data, sizeof(data), &p->err), 0);
	assert_int_equal(fs_write(p->file, 0600, data, sizeof(data), &p->err), 0);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fs_read(p->file, &b, &p->err), 0);
	assert_int_equal(b.len, sizeof(data));
	assert_memory_equal(b.data, data, sizeof(data));
}

static void what_a_crash_left_is_no_obstacle(void **state)
{
	struct place *p = *state;
	char left[96];
	int fd;

	snprintf(left, sizeof(left), "%s.tmp.%d", p->file, (int)getpid());
	fd = open(left, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fs_write(p->file, 0600, "x", 1, &p->err), 0);
	assert_int_equal(access(left, F_OK), -1);
}

static void a_write_that_fails_leaves_the_old(void **state)
{
	struct place *p = *state;
	char below[80];

	assert_int_equal(fs_write(p->file, 0600, "old", 3, &p->err), 0);
	snprintf(below, sizeof(below), "%s/below", p->file);
	assert_int_equal(fs_write(below, 0600, "x", 1, &p->err), -ENOTDIR);
	assert_int_equal(mkdir(strcat(strcpy(below, p->dir), "/d"), 0700), 0);
	assert_int_equal(fs_write(below, 0600, "x", 1, &p->err), -EISDIR);
	assert_says(p->err, "cannot write '");
	strcat(below, ".tmp.");
	sprintf(below + strlen(below), "%d", (int)getpid());
	assert_int_equal(access(below, F_OK), -1);
}

static void reading_is_bounded(void **state)
{
	auto_buf struct buf b = BUF_INIT(4);
	struct place *p = *state;
	char small[5];

	assert_int_equal(fs_write(p->file, 0600, "12345", 5, &p->err), 0);
	assert_int_equal(fs_read(p->file, &b, &p->err), -EFBIG);
	assert_says(p->err, "is larger than 4 bytes");
	assert_int_equal(fs_read_small(AT_FDCWD, p->file, small, sizeof(small)), -EFBIG);
	assert_string_equal(small, "1234");
	assert_int_equal(fs_write(p->file, 0600, "1234", 4, &p->err), 0);
	assert_int_equal(fs_read_small(AT_FDCWD, p->file, small, sizeof(small)), -EFBIG);
	assert_int_equal(fs_write(p->file, 0600, "123", 3, &p->err), 0);
	assert_int_equal(fs_read_small(AT_FDCWD, p->file, small, sizeof(small)), 3);
	assert_string_equal(small, "123");
	assert_int_equal(fs_read_small(AT_FDCWD, "/nonexistent", small, sizeof(small)), -ENOENT);
	assert_int_equal(fs_read_small(AT_FDCWD, p->dir, small, sizeof(small)), -EISDIR);
	buf_reset(&b);
	assert_int_equal(fs_read(p->dir, &b, &p->err), -EISDIR);
	assert_int_equal(fs_read("/nonexistent", &b, &p->err), -ENOENT);
	assert_says(p->err, "cannot open '/nonexistent'");
}

static void folders_are_made_once(void **state)
{
	struct place *p = *state;
	char dir[64];

	snprintf(dir, sizeof(dir), "%s/new", p->dir);
	assert_int_equal(fs_mkdir(dir, 0700, &p->err), 0);
	assert_int_equal(fs_mkdir(dir, 0700, &p->err), 0);
	assert_int_equal(fs_write(p->file, 0600, "", 0, &p->err), 0);
	assert_int_equal(fs_mkdir(p->file, 0700, &p->err), -ENOTDIR);
	assert_says(p->err, "is not a folder");
	assert_int_equal(fs_mkdir("/nonexistent/x", 0700, &p->err), -ENOENT);
}

static void secrets_must_be_private(void **state)
{
	static const mode_t open_modes[] = {0640, 0604, 0620, 0602, 0610, 0777};
	struct place *p = *state;

	assert_int_equal(fs_write(p->file, 0600, "s", 1, &p->err), 0);
	assert_int_equal(fs_check_private(p->file, &p->err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(open_modes); i++) {
		assert_int_equal(chmod(p->file, open_modes[i]), 0);
		assert_int_equal(fs_check_private(p->file, &p->err), -EPERM);
		assert_says(p->err, "can be read by others");
	}
	assert_int_equal(fs_check_private(p->dir, &p->err), -EPERM);
	assert_says(p->err, "is not a regular file");
	assert_int_equal(fs_check_private("/nonexistent", &p->err), -ENOENT);
	if (geteuid() != 0)
		return;
	assert_int_equal(chmod(p->file, 0600), 0);
	assert_int_equal(chown(p->file, 12345, 0), 0);
	assert_int_equal(fs_check_private(p->file, &p->err), -EPERM);
	assert_says(p->err, "belongs to uid 12345");
}

static void what_root_obeys_is_roots(void **state)
{
	struct place *p = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(fs_write(p->file, 0644, "s", 1, &p->err), 0);
	assert_int_equal(fs_check_root_owned(p->file, &p->err), 0);
	assert_int_equal(chmod(p->file, 0664), 0);
	assert_int_equal(fs_check_root_owned(p->file, &p->err), -EPERM);
	assert_int_equal(chmod(p->file, 0644), 0);
	assert_int_equal(chmod(p->dir, 0777), 0);
	assert_int_equal(fs_check_root_owned(p->file, &p->err), -EPERM);
	assert_says(p->err, "is writable by others");
	assert_int_equal(chmod(p->dir, 0700), 0);
	assert_int_equal(chown(p->dir, 1000, 0), 0);
	assert_int_equal(fs_check_root_owned(p->file, &p->err), -EPERM);
	assert_says(p->err, "expected root");
	assert_int_equal(fs_check_root_owned("/nonexistent", &p->err), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(what_a_crash_left_is_no_obstacle),
		TEST(a_write_that_fails_leaves_the_old),
		TEST(reading_is_bounded),
		TEST(folders_are_made_once),
		TEST(secrets_must_be_private),
		TEST(what_root_obeys_is_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
