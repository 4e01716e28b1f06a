/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/act/policy.h"

#include <errno.h>

#include "common/str.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

static struct process worker(void)
{
	return (struct process){
		.pid = 4321,
		.uid = 1000,
		.comm = "gunicorn",
		.exe = "/usr/bin/python3.11",
		.cgroup = "/system.slice/gunicorn.service",
	};
}

static struct policy_verdict judge_action(const char *text, const char *action,
					  const struct process *p)
{
	struct policy *policy = NULL;
	struct policy_verdict v;
	struct error err = {""};

	if (policy_parse("policy", text, &policy, &err) < 0)
		fail_msg("'%s': %s", text, err.msg);
	policy_judge(policy, action, p, &v);
	policy_free(&policy);
	assert_null(policy);
	return v;
}

static struct policy_verdict judge(const char *text, const struct process *p)
{
	return judge_action(text, "trim", p);
}

static void the_first_line_that_matches_decides(void **state unused_arg)
{
	static const struct {
		const char *text;
		bool allowed;
		unsigned line;
	} rows[] = {
		{"", false, 0},
		{"# nothing\n\n", false, 0},
		{"allow trim\n", true, 1},
		{"allow *\n", true, 1},
		{"deny *\nallow trim\n", false, 1},
		{"\n\nallow trim uid=1000\ndeny *", true, 3},
		{"allow trim uid=1001\ndeny *", false, 2},
		{"allow trim uid>=1000", true, 1},
		{"allow trim uid>=1001", false, 0},
		{"allow trim uid<=1000", true, 1},
		{"allow trim uid<=999", false, 0},
		{"allow trim uid>=1000 uid<=1999 # people", true, 1},
		{"allow trim exe=/usr/bin/python3*", true, 1},
		{"allow trim exe=/usr/bin/python2*", false, 0},
		{"allow trim exe=python3*", false, 0},
		{"allow trim cgroup=*/gunicorn.service", true, 1},
		{"allow\ttrim\tcomm=guni[ck]orn\r\n", true, 1},
		{"allow trim comm=guni", false, 0},
		{"deny trim comm=gunicorn\nallow trim", false, 1},
		{"allow trim container=yes", false, 0},
		{"allow trim container=no", true, 1},
	};
	struct process p = worker();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy_verdict v = judge(rows[i].text, &p);

		if (v.allowed != rows[i].allowed || v.line != rows[i].line)
			fail_msg("'%s': allowed %d by line %u", rows[i].text, v.allowed, v.line);
	}
}

static void the_verdict_tells_the_line_and_its_bounds(void **state unused_arg)
{
	struct process p = worker();
	struct policy_verdict v = judge("# one\nallow trim uid=1000 max=6/h cooldown=5min", &p);

	assert_true(v.allowed);
	assert_int_equal(v.max, 6);
	assert_int_equal(v.max_window_us, 3600000000);
	assert_int_equal(v.cooldown_us, 300000000);
	assert_string_equal(v.why, "policy line 2: allow trim uid=1000 max=6/h cooldown=5min");
	v = judge("allow trim uid=5", &p);
	assert_string_equal(v.why, "no line of the policy allows it");
}

static void quiet_hours_may_go_over_midnight(void **state unused_arg)
{
	struct process p = worker();
	struct policy_verdict v = judge("allow trim quiet=22:00-06:30", &p);

	assert_true(v.allowed);
	assert_true(policy_is_quiet(&v, 22 * 60));
	assert_true(policy_is_quiet(&v, 0));
	assert_true(policy_is_quiet(&v, 6 * 60 + 29));
	assert_false(policy_is_quiet(&v, 6 * 60 + 30));
	assert_false(policy_is_quiet(&v, 22 * 60 - 1));
	v = judge("allow trim quiet=09:00-17:00", &p);
	assert_true(policy_is_quiet(&v, 9 * 60));
	assert_false(policy_is_quiet(&v, 17 * 60));
	assert_false(policy_is_quiet(&v, 0));
	v = judge("allow trim", &p);
	assert_false(policy_is_quiet(&v, 0));
}

static void root_and_containers_must_be_named(void **state unused_arg)
{
	struct process p = worker();

	p.uid = 0;
	assert_false(judge("allow *", &p).allowed);
	assert_true(judge("allow * uid>=0", &p).allowed);
	p = worker();
	p.container = true;
	assert_false(judge("allow *", &p).allowed);
	assert_true(judge("allow * container=yes", &p).allowed);
	p = worker();
	p.seccomp = 2;
	assert_true(judge("allow *", &p).allowed);
	assert_false(judge("allow * seccomp=no", &p).allowed);
}

/* An end is allowed by name, and where nobody starts it again in so many words. */
static void a_restart_is_allowed_by_name_only(void **state unused_arg)
{
	static const struct {
		const char *text;
		bool unit, bare;
	} rows[] = {
		{"allow *", false, false},
		{"allow * uid>=0 bare=yes", false, false},
		{"allow trim", false, false},
		{"allow restart", true, false},
		{"allow restart bare=no", true, false},
		{"allow restart bare=yes", false, true},
		{"allow restart bare=yes\nallow restart", true, true},
		{"deny restart bare=yes\nallow restart\nallow restart bare=yes", true, false},
		{"deny *\nallow restart", false, false},
		{"allow restart cgroup=*/gunicorn.service uid=1000", true, false},
	};
	static const char *const named[] = {"limit",     "gc",          "gc-threshold",
					    "gc-freeze", "gc-unfreeze", "tracemalloc",
					    "reclaim",   "oom-score",   "shed"};
	struct process unit = worker();
	struct process bare = worker();
	struct process master = worker();

	supervisor_of_cgroup(unit.cgroup, &unit.supervisor);
	strcpy(bare.cgroup, "/user.slice/user-1000.slice/session-3.scope");
	master = bare;
	master.supervisor.kind = SUPERVISOR_PARENT;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (judge_action(rows[i].text, "restart", &unit).allowed != rows[i].unit ||
		    judge_action(rows[i].text, "restart", &bare).allowed != rows[i].bare)
			fail_msg("'%s'", rows[i].text);
	}
	assert_true(judge_action("allow restart", "restart", &master).allowed);
	/* nor does '*' mean what runs code of ours in it or slows it down */
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		char line[64];

		snprintf(line, sizeof(line), "allow %s", named[i]);
		assert_true(judge_action(line, named[i], &unit).allowed);
		assert_false(judge_action("allow *", named[i], &unit).allowed);
		assert_false(judge_action("deny *", named[i], &unit).allowed);
	}
	/* Not a property that a trim needs. */
	assert_true(judge_action("allow trim", "trim", &bare).allowed);
}

static void some_units_are_never_restarted(void **state unused_arg)
{
	static const char *const units[] = {"ssh.service",
					    "ssh@1.service",
					    "dbus.service",
					    "systemd-logind.service",
					    "docker.service",
					    "getty@tty1.service",
					    "memherd-agent.service",
					    "serial-getty@ttyS0.service",
					    "postgresql@15-main.service",
					    "networking.service"};
	struct process p = worker();

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		snprintf(p.cgroup, sizeof(p.cgroup), "/system.slice/%s", units[i]);
		supervisor_of_cgroup(p.cgroup, &p.supervisor);
		assert_int_equal(p.supervisor.kind, SUPERVISOR_UNIT);
		if (judge_action("allow restart uid>=0", "restart", &p).allowed)
			fail_msg("%s", units[i]);
		/* A trim leaves the unit as it is. */
		assert_true(judge_action("allow trim", "trim", &p).allowed);
		assert_false(judge_action("allow reclaim", "reclaim", &p).allowed);
		assert_false(judge_action("allow oom-score", "oom-score", &p).allowed);
		assert_false(judge_action("allow shed", "shed", &p).allowed);
	}
}

static void some_are_never_touched(void **state unused_arg)
{
	static const char *const comms[] = {"systemd-journal", "sshd",          "dbus-daemon",
					    "postgres",        "memherd-agent", "(sd-pam)",
					    "containerd-shim"};
	struct policy_verdict v;
	struct process p = worker();

	for (size_t i = 0; i < ARRAY_SIZE(comms); i++) {
		p = worker();
		str_copy(p.comm, sizeof(p.comm), comms[i]);
		assert_false(judge("allow * uid>=0", &p).allowed);
	}
	p = worker();
	str_copy(p.exe, sizeof(p.exe), "/usr/lib/systemd/systemd");
	assert_false(judge("allow *", &p).allowed);
	str_copy(p.exe, sizeof(p.exe), "/usr/local/sbin/memherd-agent");
	assert_false(judge("allow *", &p).allowed);
	/* a service that lives in a folder of one of those names is anybody's */
	str_copy(p.exe, sizeof(p.exe), "/home/me/memherd/venv/bin/python3");
	assert_true(judge("allow *", &p).allowed);
	p = worker();
	p.kernel_thread = true;
	assert_false(judge("allow *", &p).allowed);
	p = worker();
	p.pid = 1;
	/* Also without any policy. */
	policy_judge(NULL, "trim", &p, &v);
	assert_false(v.allowed);
	assert_string_equal(v.why, "pid 1 is never touched");
	p.pid = getpid();
	policy_judge(NULL, "trim", &p, &v);
	assert_false(v.allowed);
	p = worker();
	policy_judge(NULL, "trim", &p, &v);
	assert_true(v.allowed);
}

static void maintenance_holds_between_its_times(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *says; /* of 05:00 on that day; NULL = none */
	} rows[] = {
		{"maintenance", "policy line 1 says that nothing is done"},
		{"allow trim\n\tmaintenance until=2026-12-01T06:00Z",
		 "policy line 2 says that nothing is done until 2026-12-01T06:00Z"},
		{"maintenance until=2026-12-01T04:59:59Z", NULL},
		{"maintenance until=2026-12-01T05:00:00Z", NULL},
		{"maintenance from=2026-12-01T05:00Z", "policy line 1"},
		{"maintenance from=2026-12-01T05:01Z", NULL},
		{"maintenance until=2026-12-01T06:30+02:00", NULL},
		{"maintenance until=2026-12-01T07:30:00.5+02:00", "line 1"},
		{"maintenance until=2020-01-01T00:00Z\nmaintenance until=2027-01-01T00:00Z",
		 "line 2"},
		{"allow trim", NULL},
	};
	int64_t now_us;

	assert_int_equal(str_parse_time("2026-12-01T05:00:00Z", 0, &now_us), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy *policy = NULL;
		struct error err = {""};
		int rc;

		if (policy_parse("p", rows[i].text, &policy, &err) < 0)
			fail_msg("%s", err.msg);
		rc = policy_maintenance(policy, now_us, &err);
		policy_free(&policy);
		assert_int_equal(rc, rows[i].says ? -EPERM : 0);
		if (rows[i].says)
			assert_says(err, rows[i].says);
	}
}

static void a_mistake_names_file_and_line(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *says;
	} rows[] = {
		{"permit trim", "p:1: 'permit': expected 'allow', 'deny', 'shed' or 'maintenance'"},
		{"maintenances",
		 "'maintenances': expected 'allow', 'deny', 'shed' or 'maintenance'"},
		{"maintenance soon", "'soon': expected from=TIME or until=TIME"},
		{"maintenance until", "'until': expected from=TIME or until=TIME"},
		{"maintenance until=", "'until=': expected a time such as 2026-12-01T06:00Z"},
		{"maintenance until=now", "expected a time such as"},
		{"maintenance until=2026-12-01", "expected a time such as"},
		{"maintenance until=2026-12-01T06:00", "expected a time such as"},
		{"maintenance until=2026-12-01T06:00Zaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "expected a time"},
		{"maintenance from=2026-12-01T06:00Z until=2026-12-01T05:00:59Z",
		 "ends before it begins"},
		{"\nallow", "p:2: 'allow' needs an action"},
		{"allow fly", "p:1: unknown action 'fly'"},
		{"allow trim user=me", "p:1: unknown word 'user=me'"},
		{"allow trim uid", "'uid': expected =, >= or <="},
		{"allow trim uid>5", "expected =, >= or <="},
		{"allow trim uid=", "uid has no value"},
		{"allow trim uid=www", "uid 'www': expected a number"},
		{"allow trim uid=-1", "expected a number"},
		{"allow trim uid=99999999999", "expected a number"},
		{"allow trim exe>=/bin", "exe takes '=' only"},
		{"allow trim max=6", "expected a count such as 6/h"},
		{"allow trim max=0/h", "expected a count"},
		{"allow trim max=-1/h", "expected a count"},
		{"allow trim max=6/year", "expected 'min', 'h' or 'd'"},
		{"allow trim cooldown=soon", "expected a duration"},
		{"allow restart signed=maybe", "signed 'maybe': expected yes or no"},
		{"allow restart signed>=yes", "signed takes '=' only"},
		{"deny restart signed=yes", "signed has no meaning on a deny line"},
		{"allow trim quiet=22-06", "expected hours such as 22:00-06:00"},
		{"allow trim quiet=24:00-06:00", "expected hours"},
		{"allow trim quiet=22:00-06:60", "expected hours"},
		{"allow trim quiet=22:00-06:000", "expected hours"},
		{"allow trim quiet=-2:00-06:00", "expected hours"},
		{"allow trim quiet=22:00 -06:00", "expected hours"},
		{"allow trim quiet=06:00-06:00", "ends when it begins"},
		{"deny trim quiet=22:00-06:00", "no meaning on a deny line"},
		{"allow trim container=perhaps", "expected yes or no"},
		{"deny trim max=1/h", "no meaning on a deny line"},
		{"allow trim exe=\x1b[2J", "unprintable"},
		{"allow trim lower=yes", "lower has a meaning for oom-score alone"},
		{"allow * lower=yes", "lower has a meaning for oom-score alone"},
		{"allow oom-score lower=1000", "lower '1000': expected yes or no"},
		{"deny oom-score lower=yes", "no meaning on a deny line"},
		{"allow drop-caches uid>=0", "uid has no meaning for drop-caches"},
		{"deny drop-caches exe=*", "exe has no meaning for drop-caches"},
		{"shed signal=USR1", "needs unit=, cgroup= or exe="},
		{"shed uid=1000 signal=USR1", "needs unit=, cgroup= or exe="},
		{"shed", "needs unit=, cgroup= or exe="},
		{"shed unit=a.service", "needs signal=, http= or unix="},
		{"shed unit=a.service signal=USR1 http=127.0.0.1:1/", "a shed line has one hook"},
		{"shed unit=a.service signal=KILL", "p:1: signal 'KILL': expected HUP, USR1"},
		{"shed unit=a.service signal=", "signal '': expected"},
		{"shed unit=a.service http=10.0.0.1:80/x", "expected 127.0.0.1:PORT/PATH"},
		{"shed unit=a.service unix=x:/y", "expected /SOCKET:/PATH"},
		{"shed unit=a.service signal>=USR1", "unknown word 'signal>=USR1'"},
		{"shed unit=a.service signal=USR1 max=1/h", "no meaning on a shed line"},
		{"shed unit=a.service hook=x", "unknown word 'hook=x'"},
		{"allow trim uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 uid=1 "
		 "uid=1 uid=1 uid=1 uid=1 uid=1 uid=1",
		 "more than 16 terms"},
	};
	struct policy *policy = NULL;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(policy_parse("p", rows[i].text, &policy, &err), -EINVAL);
		assert_null(policy);
		assert_says(err, rows[i].says);
	}
}

static void the_whole_host_is_nobodys(void **state unused_arg)
{
	static const struct {
		const char *text;
		bool allowed;
	} rows[] = {
		{"allow drop-caches", true},
		{"allow drop-caches max=1/d cooldown=2h quiet=22:00-06:00", true},
		{"allow *", false},
		{"allow * uid>=0 container=yes", false},
		{"deny *\nallow drop-caches", false},
		{"deny * uid=0\nallow drop-caches", true},
		{"deny drop-caches\nallow drop-caches", false},
		{"allow trim", false},
		{"", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (judge_action(rows[i].text, "drop-caches", NULL).allowed != rows[i].allowed)
			fail_msg("'%s'", rows[i].text);
	assert_int_equal(judge_action("allow drop-caches max=1/d", "drop-caches", NULL).max, 1);
}

static void a_score_is_lowered_by_a_word_of_its_own(void **state unused_arg)
{
	struct process p = worker();

	assert_false(judge_action("allow oom-score", "oom-score", &p).lower);
	assert_false(judge_action("allow oom-score lower=no", "oom-score", &p).lower);
	assert_true(judge_action("allow oom-score lower=yes", "oom-score", &p).lower);
	assert_true(judge_action("allow oom-score lower=yes", "oom-score", &p).allowed);
	assert_false(judge_action("allow *\nallow oom-score", "oom-score", &p).lower);
}

static int hook_of(const char *text, const struct process *p, struct hook *h)
{
	struct policy *policy = NULL;
	struct error err = {""};
	int rc;

	if (policy_parse("policy", text, &policy, &err) < 0)
		fail_msg("'%s': %s", text, err.msg);
	rc = policy_hook(policy, p, h);
	policy_free(&policy);
	return rc;
}

static void a_hook_is_its_services_own(void **state unused_arg)
{
	struct process p = worker();
	struct hook h;

	supervisor_of_cgroup(p.cgroup, &p.supervisor);
	assert_int_equal(hook_of("shed unit=gunicorn.service signal=USR1", &p, &h), 0);
	assert_int_equal(h.kind, HOOK_SIGNAL);
	assert_int_equal(hook_of("shed unit=gunicorn*.service comm=gunicorn signal=USR1", &p, &h),
			 0);
	assert_int_equal(hook_of("shed unit=shop.service signal=USR1", &p, &h), -ENOENT);
	assert_int_equal(hook_of("shed unit=gunicorn.service uid=0 signal=USR1", &p, &h), -ENOENT);
	assert_int_equal(hook_of("allow shed unit=gunicorn.service", &p, &h), -ENOENT);
	/* the first that holds */
	assert_int_equal(hook_of("shed unit=x.service signal=HUP\nshed exe=*/python3* "
				 "http=[::1]:81/a\nshed exe=* signal=HUP",
				 &p, &h),
			 0);
	assert_int_equal(h.kind, HOOK_HTTP);
	assert_true(h.v6);
	assert_int_equal(h.port, 81);
	/* it allows nothing */
	assert_false(judge_action("shed unit=gunicorn.service signal=USR1", "shed", &p).allowed);
	assert_true(judge_action("shed unit=gunicorn.service signal=USR1\nallow shed "
				 "unit=gunicorn.service",
				 "shed", &p)
			    .allowed);
	/* a user's own manager is not believed */
	strcpy(p.cgroup,
	       "/user.slice/user-1000.slice/user@1000.service/app.slice/gunicorn.service");
	supervisor_of_cgroup(p.cgroup, &p.supervisor);
	assert_int_equal(hook_of("shed unit=gunicorn.service signal=USR1", &p, &h), -ENOENT);
}

static void every_failed_allocation_is_told(void **state unused_arg)
{
	unsigned n = 1;

	for (;; n++) {
		struct policy *policy = NULL;
		struct error err;
		int rc;

		alloc_fail_at(n);
		rc = policy_parse("p", "allow trim uid=1\n", &policy, &err);
		alloc_fail_off();
		policy_free(&policy);
		if (!alloc_failed())
			break;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_line_that_matches_decides),
		cmocka_unit_test(the_verdict_tells_the_line_and_its_bounds),
		cmocka_unit_test(quiet_hours_may_go_over_midnight),
		cmocka_unit_test(root_and_containers_must_be_named),
		cmocka_unit_test(a_restart_is_allowed_by_name_only),
		cmocka_unit_test(some_units_are_never_restarted),
		cmocka_unit_test(some_are_never_touched),
		cmocka_unit_test(maintenance_holds_between_its_times),
		cmocka_unit_test(a_mistake_names_file_and_line),
		cmocka_unit_test(the_whole_host_is_nobodys),
		cmocka_unit_test(a_score_is_lowered_by_a_word_of_its_own),
		cmocka_unit_test(a_hook_is_its_services_own),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
