/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/service.h"

#include "common/str.h"
#include "tests/support/test.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Arguments are written with '|' between them. */
static const char *service(const char *cgroup, const char *exe, const char *args)
{
	static char out[64];
	char raw[512];
	size_t n = strlen(args);
	struct procfs_cgroup cg;
	struct service_hint hint = {
		.cgroup = &cg, .exe = exe, .cmdline = raw, .cmdline_len = n, .comm = "comm"};

	procfs_parse_cgroup(cgroup, strlen(cgroup), &cg);
	memcpy(raw, args, n);
	for (size_t i = 0; i < n; i++)
		if (raw[i] == '|')
			raw[i] = '\0';
	service_name(out, sizeof(out), &hint);
	return out;
}

static void cgroups_name_units_and_containers(void **state unused_arg)
{
	static const struct {
		const char *cgroup;
		const char *name;
	} rows[] = {
		{"0::/system.slice/nginx.service\n", "nginx"},
		{"0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n",
		 "shop"},
		{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "prog"},
		{"0::/user.slice/user-0.slice/session-3.scope\n", "prog"},
		{"0::/system.slice/docker-" ID ".scope\n", "docker:0123456789ab"},
		{"0::/docker/" ID "\n", "docker:0123456789ab"},
		{"5:memory:/docker/" ID "\n0::/\n", "docker:0123456789ab"},
		{"0::/machine.slice/libpod-" ID ".scope/container\n", "podman:0123456789ab"},
		{"0::/system.slice/cri-containerd-" ID ".scope\n", "containerd:0123456789ab"},
		{"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope\n",
		 "k8s:0123456789ab"},
		{"0::/kubepods/burstable/pod1/" ID "\n", "k8s:0123456789ab"},
		{"0::/lxc.payload.web/system.slice\n", "lxc:web"},
		{"4:memory:/lxc/web\n", "lxc:web"},
		{"0::/machine.slice/machine-deb.scope\n", "machine:deb"},
		{"1:name=systemd:/system.slice/cron.service\n0::/\n", "cron"},
		{"0::/system.slice/.service\n", "prog"},
		{"0::/\n", "prog"},
		{"", "prog"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(service(rows[i].cgroup, "/usr/bin/prog", "prog|-x"),
				    rows[i].name);
}

static void programs_name_themselves(void **state unused_arg)
{
	static const struct {
		const char *exe;
		const char *args;
		const char *name;
	} rows[] = {
		{"/usr/bin/python3.11", "python3|/srv/app.py|--x", "python:app.py"},
		{"/usr/bin/python3.11", "python3|-u|-W|ignore|-X|dev|/srv/app.py", "python:app.py"},
		{"/usr/bin/python3.11", "python3|-m|http.server|80", "python:-m http.server"},
		{"/usr/bin/python3.11", "python3|-c|import time", "python:-c"},
		{"/usr/bin/python3.11", "python3", "python3.11"},
		{"/usr/bin/python3.11", "python3|-W", "python3.11"},
		{"/usr/bin/python3.11", "python3|/usr/bin/gunicorn|-w|4|shop.wsgi:app",
		 "gunicorn:shop.wsgi"},
		{"/usr/bin/python3.11", "python3|-m|uvicorn|main:app|--host=0.0.0.0:80",
		 "uvicorn:main"},
		{"/usr/bin/python3.11", "python3|/x/gunicorn|-b|0.0.0.0:80|shop:app",
		 "gunicorn:shop"},
		{"/usr/bin/python3.11", "python3|/usr/bin/celery|-A|proj|worker", "celery:proj"},
		{"/usr/bin/python3.11", "python3|/usr/bin/celery|--app=proj", "celery:proj"},
		{"/usr/bin/python3.11", "gunicorn: worker [shop]", "gunicorn:shop"},
		{"/usr/lib/postgresql/15/bin/postgres", "postgres: checkpointer ", "postgres"},
		{"/usr/sbin/sshd", "sshd: root@pts/0", "sshd"},
		{"/usr/sbin/nginx (deleted)", "nginx: worker process", "nginx"},
		{"/opt/app (deleted)", "/opt/app", "app"},
		{"", "/opt/bin/worker|-d", "worker"},
		{"", "", "comm"},
		{"/", "", "comm"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(service("0::/\n", rows[i].exe, rows[i].args), rows[i].name);
}

static void names_are_printable_and_bounded(void **state unused_arg)
{
	char args[500];
	const char *name;

	assert_string_equal(service("", "/x/a\n\x1b[0m", ""), "a\\x0a\\x1b[0m");
	assert_string_equal(service("0::/s/ev\x01il.service\n", "", ""), "ev\\x01il");
	memset(args, 'm', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	memcpy(args, "python3|-m|", 11);
	name = service("", "/usr/bin/python3", args);
	assert_int_equal(strlen(name), 63);
	assert_true(str_is_safe(name, strlen(name)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroups_name_units_and_containers),
		cmocka_unit_test(programs_name_themselves),
		cmocka_unit_test(names_are_printable_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
