/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_mount.h"

#include "tests/support/folder.h"

#define V1_LINE \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
#define V2_HYBRID "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define V2_LINE                                                                      \
	"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 " \
	"rw,nsdelegate\n"
#define OTHER "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct,memoryless\n"

static struct cgroup_mount parsed(const char *text)
{
	struct cgroup_mount m;

	cgroup_mount_parse(text, strlen(text), &m);
	return m;
}

static void each_kind_of_host_is_told(void **state unused_arg)
{
	struct cgroup_mount m = parsed(OTHER V2_LINE);

	assert_int_equal(m.version, CGROUP_V2);
	assert_string_equal(m.path, "/sys/fs/cgroup");
	assert_string_equal(m.root, "/");
	m = parsed(OTHER V1_LINE V2_HYBRID);
	assert_int_equal(m.version, CGROUP_V1);
	assert_string_equal(m.path, "/sys/fs/cgroup/memory");
	m = parsed(V2_HYBRID OTHER V1_LINE);
	assert_int_equal(m.version, CGROUP_V1);
	assert_int_equal(parsed(OTHER).version, CGROUP_NO_VERSION);
	assert_int_equal(parsed("").version, CGROUP_NO_VERSION);
}

static void the_mount_that_shows_all_is_taken(void **state unused_arg)
{
	struct cgroup_mount m = parsed("1 1 0:1 /docker/ab /mnt/part rw - cgroup2 c rw\n" V2_LINE
				       "1 1 0:1 / /mnt/late rw - cgroup2 c rw\n");

	assert_string_equal(m.path, "/sys/fs/cgroup");
}

static void blanks_in_names_are_unescaped(void **state unused_arg)
{
	struct cgroup_mount m = parsed("1 1 0:1 /a\\040b /m\\134\\011x\\9 rw - cgroup2 c rw\n");

	assert_string_equal(m.root, "/a b");
	assert_string_equal(m.path, "/m\\\tx\\9");
}

static void a_bad_line_is_passed_over(void **state unused_arg)
{
	static const char *const bad[] = {
		"\n",
		"1 2 3\n",
		"1 1 0:1 / /x rw cgroup2 c rw\n",
		"1 1 0:1 / /x rw -\n",
		"1 1 0:1 / /x rw - cgroup2\n",
		"1 1 0:1 / /x rw - cgroup c\n",
		"1 1 0:1  /x rw - cgroup2 c rw\n",
		"1 1 0:1 / /x rw - cgroup2 c rw",
	};
	char text[700] = "1 1 0:1 / /";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parsed(bad[i]).version != CGROUP_NO_VERSION)
			fail_msg("'%s' was believed", bad[i]);
	memset(text + 11, 'x', 400);
	strcpy(text + 411, " rw - cgroup2 c rw\n");
	assert_int_equal(parsed(text).version, CGROUP_NO_VERSION);
}

static const char *below(const char *root, const char *path)
{
	static struct procfs_cgroup cg;
	struct cgroup_mount m = {.version = CGROUP_V2};

	strcpy(m.root, root);
	memset(&cg, 0, sizeof(cg));
	snprintf(cg.unified, sizeof(cg.unified), "%s", path);
	return cgroup_mount_below(&m, &cg);
}

static void a_path_is_taken_as_seen_from_the_mount(void **state unused_arg)
{
	char text[600];

	assert_string_equal(below("/", "/a/b"), "/a/b");
	assert_string_equal(below("/", "/"), "");
	assert_string_equal(below("/docker/ab", "/docker/ab/x"), "/x");
	assert_string_equal(below("/docker/ab", "/docker/ab"), "");
	assert_null(below("/docker/ab", "/docker/abc"));
	assert_null(below("/", "/../other"));
	assert_null(below("/", "/a/.."));
	assert_null(below("/", ""));
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	assert_null(below("/", text));
}

static void this_host_is_understood(void **state unused_arg)
{
	struct cgroup_mount m;
	char path[CGROUP_MOUNT_MAX + 32];

	cgroup_mount_find("/nowhere", &m);
	assert_int_equal(m.version, CGROUP_NO_VERSION);
	cgroup_mount_find("/proc/self/mountinfo", &m);
	if (m.version == CGROUP_NO_VERSION)
		skip();
	snprintf(path, sizeof(path), "%s/%s", m.path,
		 m.version == CGROUP_V1 ? "memory.stat" : "cgroup.controllers");
	assert_int_equal(access(path, R_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_host_is_told),
		cmocka_unit_test(the_mount_that_shows_all_is_taken),
		cmocka_unit_test(blanks_in_names_are_unescaped),
		cmocka_unit_test(a_bad_line_is_passed_over),
		cmocka_unit_test(a_path_is_taken_as_seen_from_the_mount),
		cmocka_unit_test(this_host_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
