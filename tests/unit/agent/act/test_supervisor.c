/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisor.h"

#include <string.h>

#include "common/check.h"
#include "tests/support/test.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_cgroup_tells_who_starts_it_again(void **state unused_arg)
{
	static const struct {
		const char *path;
		enum supervisor_kind kind;
		const char *name;
	} rows[] = {
		{"/", SUPERVISOR_BARE, ""},
		{"", SUPERVISOR_BARE, ""},
		{"/init.scope", SUPERVISOR_BARE, ""},
		{"/user.slice/user-1000.slice/session-3.scope", SUPERVISOR_BARE, ""},
		{"/system.slice/shop.service", SUPERVISOR_UNIT, "shop.service"},
		{"/system.slice/system-shop.slice/shop@1.service", SUPERVISOR_UNIT,
		 "shop@1.service"},
		{"/shop.slice/shop.service/worker/3", SUPERVISOR_UNIT, "shop.service"},
		{"/system.slice/a\\x2db.service", SUPERVISOR_UNIT, "a\\x2db.service"},
		/* What a service makes below itself is its own matter. */
		{"/system.slice/shop.service/ssh.service", SUPERVISOR_UNIT, "shop.service"},
		{"/system.slice/shop.service/libpod-payload-" ID, SUPERVISOR_UNIT, "shop.service"},
		{"/system.slice/docker-" ID ".scope", SUPERVISOR_CONTAINER, ID},
		{"/docker/" ID, SUPERVISOR_CONTAINER, ID},
		{"/docker/" ID "/init.scope/shop.service", SUPERVISOR_CONTAINER, ID},
		{"/machine.slice/libpod-" ID ".scope/container", SUPERVISOR_CONTAINER, ID},
		{"/system.slice/docker.service/docker/" ID, SUPERVISOR_CONTAINER, ID},
		{"/system.slice/docker.service", SUPERVISOR_UNIT, "docker.service"},
		/* A user makes any name below his own manager. */
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service",
		 SUPERVISOR_OTHER, "a user's own service manager"},
		{"/user.slice/user-1000.slice/user@1000.service/docker-" ID ".scope",
		 SUPERVISOR_OTHER, "a user's own service manager"},
		{"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
		 SUPERVISOR_OTHER, "Kubernetes"},
		{"/kubepods/besteffort/pod1/" ID, SUPERVISOR_OTHER, "Kubernetes"},
		{"/system.slice/nerdctl-" ID ".scope", SUPERVISOR_OTHER,
		 "another container engine"},
		{"/lxc.payload.web/system.slice/shop.service", SUPERVISOR_OTHER,
		 "another container engine"},
		{"/machine.slice/machine-web.scope/system.slice/shop.service", SUPERVISOR_OTHER,
		 "another container engine"},
		/* Not as PID 1 or an engine writes it. */
		{"/system.slice/.service", SUPERVISOR_BARE, ""},
		{"/system.slice/shop name.service", SUPERVISOR_BARE, ""},
		{"/system.slice/shop\n.service", SUPERVISOR_BARE, ""},
		{"/docker/" ID "0", SUPERVISOR_BARE, ""},
		{"/docker/0123456789ab", SUPERVISOR_BARE, ""},
		{"/docker/G123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		 SUPERVISOR_BARE, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct supervisor s;

		supervisor_of_cgroup(rows[i].path, &s);
		if (s.kind != rows[i].kind || strcmp(s.name, rows[i].name) != 0)
			fail_msg("'%s': %d '%s'", rows[i].path, (int)s.kind, s.name);
	}
}

static void a_shell_is_no_master(void **state unused_arg)
{
	static const char *const masters[] = {"gunicorn", "python3", "supervisord", "runsv",
					      "s6-supervise"};
	static const char *const others[] = {"",     "bash",         "sh",     "sshd",
					     "sudo", "tmux: server", "systemd"};

	for (size_t i = 0; i < ARRAY_SIZE(masters); i++)
		assert_true(supervisor_is_master(masters[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(supervisor_is_master(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cgroup_tells_who_starts_it_again),
		cmocka_unit_test(a_shell_is_no_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
