/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/pool.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/act/pool_idle.h"
#include "common/clock.h"
#include "tests/support/test.h"

/* As the servers of Debian 12 have them. */
#define ARBITER        UINT64_C(0x08314a07)
#define GUNICORN_CHILD UINT64_C(0x08304226)
#define UWSGI_MASTER   UINT64_C(0x00084687)
#define UWSGI_CHILD    UINT64_C(0x08085e83)
#define UWSGI_ROUTER   UINT64_C(0x00004486)
#define CELERY_MAIN    UINT64_C(0x100004207)
#define CELERY_CHILD   UINT64_C(0x46806a35)

#define GU PROGRAM_GUNICORN
#define UW PROGRAM_UWSGI
#define CE PROGRAM_CELERY
#define NO WIRE_ROLE_NONE
#define MA WIRE_ROLE_MASTER
#define WO WIRE_ROLE_WORKER
#define NOBODY                                  \
	{                                       \
		PROGRAM_NO_SERVER, NO, false, 0 \
	}

static void a_place_is_told_by_parent_and_handlers(void **state unused_arg)
{
	static const struct {
		const char *what;
		struct pool_member self;
		struct pool_member parent;
		bool alike;
		enum pool_role role;
	} rows[] = {
		{"arbiter", {GU, NO, false, ARBITER}, NOBODY, false, POOL_MASTER},
		{"its worker",
		 {GU, NO, false, GUNICORN_CHILD},
		 {GU, NO, false, ARBITER},
		 true,
		 POOL_WORKER},
		{"with titles",
		 {GU, WO, true, GUNICORN_CHILD},
		 {GU, MA, true, ARBITER},
		 false,
		 POOL_WORKER},
		{"whose app catches SIGHUP",
		 {GU, WO, true, ARBITER},
		 {GU, MA, true, ARBITER},
		 false,
		 POOL_WORKER},
		{"newborn", {GU, NO, false, ARBITER}, {GU, NO, false, ARBITER}, true, POOL_UNFIT},
		{"orphan", {GU, NO, false, GUNICORN_CHILD}, NOBODY, false, POOL_UNFIT},
		{"orphan that catches SIGHUP", {GU, WO, true, ARBITER}, NOBODY, false, POOL_UNFIT},
		{"a worker's child",
		 {GU, NO, false, GUNICORN_CHILD},
		 {GU, NO, false, GUNICORN_CHILD},
		 true,
		 POOL_NONE},
		{"another server's child",
		 {GU, NO, false, GUNICORN_CHILD},
		 {UW, NO, false, UWSGI_MASTER},
		 false,
		 POOL_UNFIT},
		{"uwsgi", {UW, NO, false, UWSGI_MASTER}, NOBODY, false, POOL_MASTER},
		{"its worker",
		 {UW, NO, false, UWSGI_CHILD},
		 {UW, NO, false, UWSGI_MASTER},
		 true,
		 POOL_WORKER},
		{"its titled worker",
		 {UW, WO, true, UWSGI_CHILD},
		 {UW, MA, true, UWSGI_MASTER},
		 false,
		 POOL_WORKER},
		{"its router",
		 {UW, NO, false, UWSGI_ROUTER},
		 {UW, NO, false, UWSGI_MASTER},
		 true,
		 POOL_UNFIT},
		{"its mule",
		 {UW, NO, true, UWSGI_CHILD},
		 {UW, MA, true, UWSGI_MASTER},
		 false,
		 POOL_UNFIT},
		{"newborn",
		 {UW, NO, false, UWSGI_MASTER},
		 {UW, NO, false, UWSGI_MASTER},
		 true,
		 POOL_UNFIT},
		{"vassal",
		 {UW, NO, false, UWSGI_MASTER},
		 {UW, NO, false, UWSGI_MASTER},
		 false,
		 POOL_MASTER},
		{"without a master", {UW, NO, false, UWSGI_CHILD}, NOBODY, false, POOL_NONE},
		{"celery", {CE, NO, false, CELERY_MAIN}, NOBODY, false, POOL_MASTER},
		{"its child",
		 {CE, NO, false, CELERY_CHILD},
		 {CE, NO, false, CELERY_MAIN},
		 true,
		 POOL_WORKER},
		{"orphan", {CE, NO, false, CELERY_CHILD}, NOBODY, false, POOL_UNFIT},
		{"supervisord",
		 {PROGRAM_SUPERVISORD, NO, false, ARBITER},
		 NOBODY,
		 false,
		 POOL_NONE},
		{"else",
		 {PROGRAM_NO_SERVER, WO, true, ARBITER},
		 {GU, MA, true, ARBITER},
		 true,
		 POOL_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why;
		enum pool_role role =
			pool_judge(&rows[i].self, rows[i].parent.server ? &rows[i].parent : NULL,
				   rows[i].alike, &why);

		if (role != rows[i].role || (*why != '\0') != (role == POOL_UNFIT))
			fail_msg("row %zu, %s: %d '%s'", i, rows[i].what, (int)role, why);
	}
}

static void a_process_that_serves_nothing_has_no_place(void **state unused_arg)
{
	auto_process struct process p = {.pidfd = -1};
	auto_pool struct pool pool = {.parent = {.pidfd = -1}};
	struct error err;

	assert_int_equal(process_open(getpid(), &p, &err), 0);
	assert_int_equal(pool_find(&p, &pool, &err), 0);
	assert_int_equal(pool.role, POOL_NONE);
	assert_string_equal(pool_word(&pool), "");
	/* Once its parent is another than was read, nothing is said. */
	p.parent = pool.parent.pidfd > 0 ? pool.parent.pid : p.parent;
	p.start_ticks++;
	process_fini(&pool.parent);
	if (p.parent > 1)
		assert_int_equal(pool_find(&p, &pool, &err), -ESRCH);
}

static void a_system_call_is_read(void **state unused_arg)
{
	uint64_t argument;
	long call;

	assert_int_equal(pool_idle_parse("0 0x3 0x23b101d0 0x4", &call, &argument), 0);
	assert_int_equal(call, 0);
	assert_int_equal(argument, 3);
	assert_int_equal(pool_idle_parse("202 0x7f2d5738c000 0x109", &call, &argument), 0);
	assert_int_equal(argument, 0x7f2d5738c000);
	assert_int_equal(pool_idle_parse("running\n", &call, &argument), -ENODATA);
	assert_int_equal(pool_idle_parse("-1 0x7ffc 0x0", &call, &argument), -EBADMSG);
	assert_int_equal(pool_idle_parse("", &call, &argument), -EBADMSG);
	assert_int_equal(pool_idle_parse("0", &call, &argument), -EBADMSG);
}

/* What a child reads of: the byte after which it pauses for ever. */
static pid_t fork_reader(int fd)
{
	pid_t pid = fork();
	char byte;

	if (pid == 0) {
		while (read(fd, &byte, 1) == 1)
			pause();
		_exit(0);
	}
	return pid;
}

static void a_child_is_idle_that_reads_what_its_master_has(void **state unused_arg)
{
	auto_process struct process self = {.pidfd = -1};
	auto_process struct process child = {.pidfd = -1};
	struct error err;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork_reader(ends[0]);
	assert_true(pid > 0);
	assert_int_equal(process_open(getpid(), &self, &err), 0);
	assert_int_equal(process_open(pid, &child, &err), 0);
	assert_int_equal(pool_idle_wait(&child, &self, clock_boot_us() + 20000000), 0);
	/* A task that does anything else */
	assert_int_equal(write(ends[1], "x", 1), 1);
	for (int rc = 0; rc == 0;)
		rc = pool_idle_wait(&child, &self, clock_boot_us());
	assert_int_equal(pool_idle_wait(&child, &self, clock_boot_us() + 500000), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(pool_idle_wait(&child, &self, clock_boot_us() + 20000000), -ESRCH);
	close(ends[1]);
	close(ends[0]);
}

static void a_child_is_not_idle_that_reads_something_of_its_own(void **state unused_arg)
{
	auto_process struct process self = {.pidfd = -1};
	auto_process struct process child = {.pidfd = -1};
	struct error err;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork_reader(ends[0]);
	assert_true(pid > 0);
	close(ends[0]);
	/* the child has its own copy of the writing end and goes on reading */
	close(ends[1]);
	assert_int_equal(process_open(getpid(), &self, &err), 0);
	assert_int_equal(process_open(pid, &child, &err), 0);
	assert_int_equal(pool_idle_wait(&child, &self, clock_boot_us() + 600000), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_told_by_parent_and_handlers),
		cmocka_unit_test(a_process_that_serves_nothing_has_no_place),
		cmocka_unit_test(a_system_call_is_read),
		cmocka_unit_test(a_child_is_idle_that_reads_what_its_master_has),
		cmocka_unit_test(a_child_is_not_idle_that_reads_something_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
