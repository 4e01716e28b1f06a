/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/service.h"

#include "common/str.h"
#include "tests/support/test.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Arguments are written with '|' between them. */
static const char *service_of(const char *cgroup, const char *exe, const char *args,
			      const char *container_name)
{
	static char out[64];
	char raw[512];
	size_t n = strlen(args);
	struct procfs_cgroup cg;
	struct container c;
	struct service_hint hint = {.cgroup = &cg,
				    .container_name = container_name,
				    .program = {exe, raw, n},
				    .comm = "comm"};

	procfs_parse_cgroup(cgroup, strlen(cgroup), &cg);
	if (container_of_cgroup(&cg, &c))
		hint.container = &c;
	memcpy(raw, args, n);
	for (size_t i = 0; i < n; i++)
		if (raw[i] == '|')
			raw[i] = '\0';
	service_name(out, sizeof(out), &hint);
	return out;
}

static const char *service(const char *cgroup, const char *exe, const char *args)
{
	return service_of(cgroup, exe, args, NULL);
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
		/* an instance of a template is a service of its own */
		{"0::/system.slice/system-shop.slice/shop@1.service\n", "shop@1"},
		{"0::/system.slice/docker.service\n", "docker"},
		{"0::/system.slice/cups.service/sub/deeper\n", "cups"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x-1.scope\n",
		 "prog"},
		{"0::/system.slice/run-r0123456789abcdef.scope\n", "prog"},
		/* systemd inside */
		{"0::/lxc.payload.web/system.slice/nginx.service\n", "lxc:web/nginx"},
		{"0::/lxc.payload.web/init.scope\n", "lxc:web"},
		{"0::/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ssh.service\n",
		 "machine:deb/ssh"},
		{"0::/machine.slice/systemd-nspawn@deb.service/supervisor\n", "machine:deb"},
		/* Quadlet: the unit is the container's name */
		{"0::/system.slice/web.service/libpod-payload-" ID "\n", "web"},
		{"0::/libpod-payload-" ID "\n", "podman:0123456789ab"},
		{"0::/system.slice/supervisor.service\n", "prog"},
		{"0::/system.slice/.service\n", "prog"},
		{"0::/\n", "prog"},
		{"", "prog"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(service(rows[i].cgroup, "/usr/bin/prog", "prog|-x"),
				    rows[i].name);
}

static void children_of_a_launcher_name_themselves(void **state unused_arg)
{
	static const char unit[] = "0::/system.slice/supervisor.service\n";
	static const char python[] = "/usr/bin/python3.11";

	assert_string_equal(service(unit, python, "python3|/usr/bin/gunicorn|shop:app"),
			    "gunicorn:shop");
	assert_string_equal(service(unit, python, "/usr/bin/python3|/usr/bin/supervisord|-n"),
			    "supervisor");
	assert_string_equal(service(unit, "", ""), "supervisor");
}

static void a_name_that_an_engine_gave_comes_first(void **state unused_arg)
{
	assert_string_equal(service_of("0::/docker/" ID "\n", "/x", "x", "shop_web"), "shop_web");
	assert_string_equal(service_of("0::/docker/" ID "/system.slice/a.service\n", "/x", "x",
				       "shop_web"),
			    "shop_web/a");
	assert_string_equal(service_of("0::/docker/" ID "\n", "/x", "x", "a\nb"), "a\\x0ab");
	/* it is no container's then */
	assert_string_equal(service_of("0::/system.slice/a.service\n", "/x", "x", "shop"), "a");
}

static void without_a_cgroup_the_program_tells(void **state unused_arg)
{
	assert_string_equal(service("0::/\n", "/usr/bin/python3.11", "python3|/srv/app.py"),
			    "python:app.py");
	assert_string_equal(service("0::/\n", "/opt/app (deleted)", "/opt/app"), "app");
	assert_string_equal(service("0::/\n", "", ""), "comm");
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
		cmocka_unit_test(children_of_a_launcher_name_themselves),
		cmocka_unit_test(a_name_that_an_engine_gave_comes_first),
		cmocka_unit_test(without_a_cgroup_the_program_tells),
		cmocka_unit_test(names_are_printable_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
