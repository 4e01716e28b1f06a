/* SPDX-License-Identifier: Apache-2.0 */
/* Files inside containers, which may be anything: a folder stands for the container's root. */
#include "agent/sense/container_file.h"

#include <errno.h>

#include "tests/unit/agent/sense/fakeproc.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char local[] =
	"22 1 8:1 / / rw,relatime shared:1 - overlay overlay rw\n"
	"23 22 0:5 / /run rw,nosuid - tmpfs tmpfs rw\n"
	"24 22 0:6 / /sys rw - sysfs sysfs rw\n"
	"25 22 8:1 /x/hostname /etc/hostname rw master:1 shared:2 - ext4 /dev/sda rw\n";

static void only_kernel_file_systems_are_opened(void **state unused_arg)
{
	static const char *const bad[] = {
		"",
		"garbage",
		"22 1 8:1 / / rw",
		"22 1 8:1 / / rw - \n",
		"22 1 8:1 / / rw - fuse.sshfs x rw\n",
		"22 1 8:1 / / rw - overlay o rw\n23 22 0:5 / /run rw - fuse x rw\n",
		"22 1 8:1 / / rw - overlay o rw\n23 22 0:5 / /run rw - nfs4 x rw\n"
		"23 22 0:5 / /run rw - tmpfs x rw\n",
		"22 1 8:1 / / rw - overlay o rw\n23 22 0:5 / /run/.containerenv rw - fuse x rw\n",
	};

	assert_true(container_file_is_local(local, "/run/.containerenv"));
	assert_true(container_file_is_local(local, "/etc/hostname"));
	assert_false(container_file_is_local(local, "/sys/x"));
	/* '/sysx' is not below '/sys' */
	assert_true(container_file_is_local(local, "/sysx"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (container_file_is_local(bad[i], "/run/.containerenv"))
			fail_msg("'%s'", bad[i]);
}

static void podman_says_its_name(void **state unused_arg)
{
	static const char *const bad[] = {
		"",
		"name=\"web\"\n",
		"name=\"web\"\nid=\"other\"\n",
		"name=\"\"\nid=\"" ID "\"\n",
		"name=\"a b\"\nid=\"" ID "\"\n",
		"name=\"a\x1b[0m\"\nid=\"" ID "\"\n",
		"xname=\"web\"\nid=\"" ID "\"\n",
	};
	char name[64] = "kept";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(container_file_podman(bad[i], ID, name, sizeof(name)));
	assert_string_equal(name, "kept");
	assert_true(container_file_podman("engine=\"podman-4.3.1\"\nname=\"web\"\nid=\"" ID
					  "\"\nimage=\"x\"\n",
					  ID, name, sizeof(name)));
	assert_string_equal(name, "web");
	/* what does not fit is no name */
	assert_false(container_file_podman("name=\"web\"\nid=\"" ID "\"", ID, name, 3));
}

static void a_hostname_counts_unless_it_is_the_id(void **state unused_arg)
{
	char name[64];

	assert_true(container_file_hostname("shop-0\n", ID, "node1", name, sizeof(name)));
	assert_string_equal(name, "shop-0");
	assert_false(container_file_hostname("0123456789ab\n", ID, "node1", name, sizeof(name)));
	assert_false(container_file_hostname(ID, ID, "node1", name, sizeof(name)));
	assert_false(container_file_hostname("node1\n", ID, "node1", name, sizeof(name)));
	assert_false(container_file_hostname("\n", ID, "node1", name, sizeof(name)));
	assert_false(container_file_hostname("a/b\n", ID, "node1", name, sizeof(name)));
	assert_false(container_file_hostname("<x>\n", ID, "node1", name, sizeof(name)));
}

static void replicas_share_a_workload(void **state unused_arg)
{
	static const struct {
		const char *pod;
		const char *workload;
	} rows[] = {
		{"shop-7d9f8c6b5-x2x4z", "shop"},
		{"my-shop-api-5d4c9f8b67-bcdfg", "my-shop-api"},
		{"node-exporter-x7k2p", "node-exporter"},
		{"db-0", "db"},
		{"db-12", "db"},
		{"plain", "plain"},
		{"web-server", "web-server"},
		{"-x2x4z", "-x2x4z"},
		{"", ""},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		container_file_workload(out, sizeof(out), rows[i].pod);
		assert_string_equal(out, rows[i].workload);
	}
}

/* ---- reading ---- */

static struct procdir dir;
static char inside[128];

static void put_inside(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", inside, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state unused_arg)
{
	const struct fake f = {.pid = 10, .comm = "x", .size = 5, .resident = 4};
	char path[200];
	struct error err;

	fake_begin();
	fake_put(&f);
	fake_text(10, "mountinfo", local, sizeof(local) - 1);
	snprintf(inside, sizeof(inside), "%s/inside", fakeproc);
	mkdir(inside, 0755);
	snprintf(path, sizeof(path), "%s/etc", inside);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/run", inside);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/10/root", fakeproc);
	assert_int_equal(symlink(inside, path), 0);
	assert_int_equal(procdir_open(&dir, fakeproc, &err), 0);
	return 0;
}

static int tear_down(void **state unused_arg)
{
	procdir_close(&dir);
	fake_end();
	return 0;
}

static void files_inside_are_read(void **state unused_arg)
{
	struct container c = {.runtime = "podman", .id = ID};
	char name[64];
	char service[64];

	assert_false(container_file_name(&dir, 10, &c, name, service, sizeof(name)));
	put_inside("etc/hostname", "shop-7d9f8c6b5-x2x4z\n");
	assert_true(container_file_name(&dir, 10, &c, name, service, sizeof(name)));
	assert_string_equal(service, "shop-7d9f8c6b5-x2x4z");
	put_inside("run/.containerenv", "name=\"web\"\nid=\"" ID "\"\n");
	assert_true(container_file_name(&dir, 10, &c, name, service, sizeof(name)));
	assert_string_equal(name, "web");
	c.runtime = "k8s";
	assert_true(container_file_name(&dir, 10, &c, name, service, sizeof(name)));
	assert_string_equal(name, "shop-7d9f8c6b5-x2x4z");
	assert_string_equal(service, "shop");
	/* gone */
	assert_false(container_file_name(&dir, 11, &c, name, service, sizeof(name)));
}

static void traps_inside_catch_nobody(void **state unused_arg)
{
	char path[200];
	char buf[64];

	/* a link out, a link within, a folder on the way that is a link */
	put_inside("plain", "x");
	snprintf(path, sizeof(path), "%s/abs", inside);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(container_file_read(&dir, 10, "/abs", buf, sizeof(buf)), -ELOOP);
	snprintf(path, sizeof(path), "%s/rel", inside);
	assert_int_equal(symlink("plain", path), 0);
	assert_int_equal(container_file_read(&dir, 10, "/rel", buf, sizeof(buf)), -ELOOP);
	snprintf(path, sizeof(path), "%s/up", inside);
	assert_int_equal(symlink("..", path), 0);
	assert_int_equal(container_file_read(&dir, 10, "/up/meminfo", buf, sizeof(buf)), -ELOOP);
	/* the way up ends at the root */
	assert_int_equal(container_file_read(&dir, 10, "/../meminfo", buf, sizeof(buf)), -ENOENT);
	/* a pipe that nobody writes to, a folder, a socket's place */
	snprintf(path, sizeof(path), "%s/pipe", inside);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(container_file_read(&dir, 10, "/pipe", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(container_file_read(&dir, 10, "/etc", buf, sizeof(buf)), -EINVAL);
	/* more than there is room for is cut */
	put_inside("plain", "0123456789012345678901234567890123456789"
			    "0123456789012345678901234567890123456789");
	assert_int_equal(container_file_read(&dir, 10, "/plain", buf, sizeof(buf)),
			 sizeof(buf) - 1);
	/* what others serve is not touched */
	fake_text(10, "mountinfo", "1 1 0:1 / / rw - fuse x rw\n", 27);
	assert_int_equal(container_file_read(&dir, 10, "/plain", buf, sizeof(buf)), -EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_kernel_file_systems_are_opened),
		cmocka_unit_test(podman_says_its_name),
		cmocka_unit_test(a_hostname_counts_unless_it_is_the_id),
		cmocka_unit_test(replicas_share_a_workload),
		cmocka_unit_test_setup_teardown(files_inside_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(traps_inside_catch_nobody, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
