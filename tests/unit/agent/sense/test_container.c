/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/container.h"

#include "common/str.h"
#include "tests/support/test.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD  "3f6a0c0e-1b2c-4d5e-8f90-a1b2c3d4e5f6"
#define POD_ "3f6a0c0e_1b2c_4d5e_8f90_a1b2c3d4e5f6"

static bool parse(const char *text, struct procfs_cgroup *cg, struct container *c)
{
	char file[1024];
	int n = snprintf(file, sizeof(file), "%s\n", text);

	procfs_parse_cgroup(file, (size_t)n, cg);
	return container_of_cgroup(cg, c);
}

static void every_engine_and_driver_is_known(void **state unused_arg)
{
	static const struct {
		const char *cgroup;
		const char *label;
		const char *pod;
	} rows[] = {
		{"0::/system.slice/docker-" ID ".scope", "docker:0123456789ab", ""},
		{"0::/docker/" ID, "docker:0123456789ab", ""},
		{"9:memory:/docker/" ID "\n1:name=systemd:/docker/" ID, "docker:0123456789ab", ""},
		{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope",
		 "docker:0123456789ab", ""},
		{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
		 ".scope/container",
		 "podman:0123456789ab", ""},
		{"0::/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope",
		 "podman:0123456789ab", ""},
		{"0::/libpod_parent/libpod-" ID, "podman:0123456789ab", ""},
		{"0::/system.slice/nerdctl-" ID ".scope", "nerdctl:0123456789ab", ""},
		{"0::/default/" ID, "container:0123456789ab", ""},
		{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
		 ".slice/cri-containerd-" ID ".scope",
		 "k8s:0123456789ab", POD},
		{"0::/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope/container",
		 "k8s:0123456789ab", POD},
		{"0::/kubepods/besteffort/pod" POD "/" ID, "k8s:0123456789ab", POD},
		{"11:memory:/kubepods/pod" POD "/" ID, "k8s:0123456789ab", POD},
		{"0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID,
		 "k8s:0123456789ab", "0123456789abcdef0123456789abcdef"},
		{"11:memory:/system.slice/containerd.service/kubepods-burstable-pod" POD_
		 ".slice:cri-containerd:" ID,
		 "k8s:0123456789ab", POD},
		/* kind: a node is a container itself */
		{"0::/docker/" ID2 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" POD_
		 ".slice/cri-containerd-" ID ".scope",
		 "k8s:0123456789ab", POD},
		{"0::/kubepods/pod" POD "/" ID2 "/docker/" ID, "docker:0123456789ab", ""},
		{"0::/lxc.payload.web/ns", "lxc:web", ""},
		{"0::/lxc.payload/web", "lxc:web", ""},
		{"4:memory:/lxc/101/ns", "lxc:101", ""},
		{"0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/emulator", "machine:qemu-1-vm",
		 ""},
		{"0::/machine.slice/systemd-nspawn@deb.service/payload", "machine:deb", ""},
	};
	struct procfs_cgroup cg;
	struct container c;
	char label[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!parse(rows[i].cgroup, &cg, &c))
			fail_msg("'%s' names no container", rows[i].cgroup);
		container_label(label, sizeof(label), &c);
		assert_string_equal(label, rows[i].label);
		assert_string_equal(c.pod, rows[i].pod);
	}
}

static void what_only_looks_like_one_is_none(void **state unused_arg)
{
	static const char *const rows[] = {
		"",
		"0::/",
		"0::/system.slice/docker.service",
		"0::/system.slice/docker-0123456789ab.scope",
		"0::/docker/" ID "0",
		"0::/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"0::/machine.slice/libpod-conmon-" ID ".scope",
		"0::/lxc.monitor.web",
		"0::/lxc.payload.",
		"0::/machine-.scope",
		"0::/kubepods/burstable/pod" POD,
	};
	struct procfs_cgroup cg;
	struct container c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (parse(rows[i], &cg, &c))
			fail_msg("'%s' is taken for a container", rows[i]);
}

static void hostile_names_become_safe(void **state unused_arg)
{
	struct procfs_cgroup cg;
	struct container c;
	char text[600];

	assert_true(parse("0::/lxc/a\x1b[0mb\\x0ac\\x", &cg, &c));
	assert_true(str_is_safe(c.name, strlen(c.name)));
	assert_string_equal(c.name, "a\\x1b[0mb\\x0ac\\x");
	memcpy(text, "0::/lxc/", 8);
	memset(text + 8, 'n', 400);
	text[408] = '\0';
	assert_true(parse(text, &cg, &c));
	assert_int_equal(strlen(c.name), CONTAINER_NAME_MAX);
	/* a pod's uid is hex digits and dashes, or none */
	assert_true(parse("0::/kubepods/pod<script>alert(1)</script>aaaaaaaaaa/" ID, &cg, &c));
	assert_string_equal(c.pod, "");
}

static void what_is_inside_follows(void **state unused_arg)
{
	struct procfs_cgroup cg;
	struct container c;

	assert_true(parse("0::/docker/" ID "/system.slice/a.service", &cg, &c));
	assert_string_equal(c.inside, "/system.slice/a.service");
	assert_true(parse("0::/docker/" ID, &cg, &c));
	assert_string_equal(c.inside, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_engine_and_driver_is_known),
		cmocka_unit_test(what_only_looks_like_one_is_none),
		cmocka_unit_test(hostile_names_become_safe),
		cmocka_unit_test(what_is_inside_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
