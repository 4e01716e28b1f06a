/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/headroom.h"

#include <errno.h>

#include "tests/support/test.h"

static const char v1[] = "12:pids:/user.slice/a b\n5:cpu,cpuacct:/\n4:memory:/docker/0123\n"
			 "1:name=systemd:/x\n0::/unified\n";
static const char mounts[] =
	"25 30 0:23 / /sys rw - sysfs sysfs rw\n"
	"31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
	"32 25 0:28 /docker/0123 /other rw - cgroup cgroup rw,pids\n"
	"33 25 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	"34 25 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

static void test_a_controllers_cgroup_is_found(void **state unused_arg)
{
	char path[64];
	char tiny[4];

	assert_int_equal(headroom_cgroup(v1, "memory", path, sizeof(path)), 0);
	assert_string_equal(path, "/docker/0123");
	assert_int_equal(headroom_cgroup(v1, "pids", path, sizeof(path)), 0);
	assert_string_equal(path, "/user.slice/a b");
	assert_int_equal(headroom_cgroup(v1, "cpuacct", path, sizeof(path)), 0);
	assert_string_equal(path, "/");
	assert_int_equal(headroom_cgroup(v1, "", path, sizeof(path)), 0);
	assert_string_equal(path, "/unified");
	assert_int_equal(headroom_cgroup(v1, "acct", path, sizeof(path)), -ENOENT);
	assert_int_equal(headroom_cgroup("", "memory", path, sizeof(path)), -ENOENT);
	assert_int_equal(headroom_cgroup("nonsense\n1:memory\n", "memory", path, sizeof(path)),
			 -ENOENT);
	assert_int_equal(headroom_cgroup(v1, "memory", tiny, sizeof(tiny)), -ENAMETOOLONG);
}

static void test_a_hierarchys_mount_is_found(void **state unused_arg)
{
	char path[64];

	assert_int_equal(headroom_mount(mounts, "memory", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/memory");
	/* A part of a hierarchy that is mounted somewhere is not the hierarchy. */
	assert_int_equal(headroom_mount(mounts, "pids", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/pids");
	assert_int_equal(headroom_mount(mounts, "", path, sizeof(path)), 0);
	assert_string_equal(path, "/sys/fs/cgroup/unified");
	assert_int_equal(headroom_mount(mounts, "cpu", path, sizeof(path)), -ENOENT);
	assert_int_equal(headroom_mount("1 2 3\n - \n", "cpu", path, sizeof(path)), -ENOENT);
}

static void test_this_process_has_room(void **state unused_arg)
{
	struct headroom h;
	struct error err = {""};

	assert_int_equal(headroom_read(getpid(), &h, &err), 0);
	assert_true(h.memory > 0 && h.pids > 0);
	assert_true(headroom_read(1 << 30, &h, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_controllers_cgroup_is_found),
		cmocka_unit_test(test_a_hierarchys_mount_is_found),
		cmocka_unit_test(test_this_process_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
