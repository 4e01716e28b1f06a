/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"

#define OTHER 65534

struct place {
	char root[64];
	char outer[96];
	char inner[128];
	char file[160];
	char link[96];
};

/* root/outer/inner/file, all root's; root/link stands for inner. */
static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (geteuid() != 0)
		skip();
	strcpy(p->root, "/tmp/test_fs_owned.XXXXXX");
	assert_non_null(mkdtemp(p->root));
	assert_int_equal(chmod(p->root, 0755), 0);
	snprintf(p->outer, sizeof(p->outer), "%s/outer", p->root);
	snprintf(p->inner, sizeof(p->inner), "%s/inner", p->outer);
	snprintf(p->file, sizeof(p->file), "%s/file", p->inner);
	snprintf(p->link, sizeof(p->link), "%s/link", p->root);
	assert_int_equal(mkdir(p->outer, 0755), 0);
	assert_int_equal(mkdir(p->inner, 0755), 0);
	assert_int_equal(fs_write(p->file, 0644, "x", 1, NULL), 0);
	assert_int_equal(symlink(p->inner, p->link), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	unlink(p->link);
	unlink(p->file);
	rmdir(p->inner);
	rmdir(p->outer);
	rmdir(p->root);
	free(p);
	return 0;
}

static void assert_refused(const char *path, const char *says)
{
	struct error err = {""};

	assert_int_equal(fs_check_root_owned(path, &err), -EPERM);
	assert_says(err, says);
}

static void what_is_roots_all_the_way_is_taken(void **state)
{
	struct place *p = *state;
	char by_link[128];

	snprintf(by_link, sizeof(by_link), "%s/file", p->link);
	assert_int_equal(fs_check_root_owned(p->file, NULL), 0);
	assert_int_equal(fs_check_root_owned(by_link, NULL), 0);
	assert_int_equal(fs_check_root_owned("/nonexistent/x", NULL), -ENOENT);
}

/* Whoever owns a folder above puts another tree in the place of what root wrote. */
static void every_step_on_the_way_counts(void **state)
{
	struct place *p = *state;
	char by_link[128];

	snprintf(by_link, sizeof(by_link), "%s/file", p->link);
	assert_int_equal(chown(p->file, OTHER, OTHER), 0);
	assert_refused(p->file, "file' belongs to uid 65534");
	assert_int_equal(chown(p->file, 0, 0), 0);
	assert_int_equal(chmod(p->file, 0664), 0);
	assert_refused(p->file, "writable by others");
	assert_int_equal(chmod(p->file, 0644), 0);
	assert_int_equal(chown(p->outer, OTHER, OTHER), 0);
	assert_refused(p->file, "outer' belongs to uid 65534");
	assert_refused(by_link, "outer' belongs to uid 65534");
	assert_int_equal(chown(p->outer, 0, 0), 0);
	assert_int_equal(chmod(p->outer, 0777), 0);
	assert_refused(p->file, "outer' is writable by others");
	assert_int_equal(chmod(p->outer, 0755), 0);
	assert_int_equal(lchown(p->link, OTHER, OTHER), 0);
	assert_refused(by_link, "link' belongs to uid 65534");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_is_roots_all_the_way_is_taken),
		T(every_step_on_the_way_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
