/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/program.h"

#include "common/str.h"
#include "tests/support/test.h"

/* Arguments are written with '|' between them; raw lives until the next call. */
static struct program program(const char *exe, const char *args)
{
	static char raw[512];
	size_t n = strlen(args);

	memcpy(raw, args, n);
	for (size_t i = 0; i < n; i++)
		if (raw[i] == '|')
			raw[i] = '\0';
	return (struct program){exe, raw, n};
}

static const char *name(const char *exe, const char *args)
{
	static char out[64];
	struct program p = program(exe, args);

	if (!program_name(out, sizeof(out), &p))
		return "";
	return out;
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
		{"", "", ""},
		{"/", "", ""},
		{"/usr/bin/python3.11",
		 "/srv/venv/bin/python|/srv/venv/bin/gunicorn|shop.wsgi|-w|4",
		 "gunicorn:shop.wsgi"},
		{"/usr/bin/python3.11", "python|/x/gunicorn|-w|4|shop.wsgi", "gunicorn:shop.wsgi"},
		{"/usr/bin/python3.11", "python|/x/gunicorn|--preload|shop.wsgi",
		 "gunicorn:shop.wsgi"},
		{"/usr/bin/python3.11", "python|/x/gunicorn|-c|/etc/gunicorn.conf.py", "gunicorn"},
		{"/usr/bin/python3.11", "gunicorn: master [shop.wsgi:app]", "gunicorn:shop.wsgi"},
		{"/usr/bin/python3.11", "gunicorn: worker [shop", "gunicorn"},
		{"/usr/bin/python3.11", "python|/x/hypercorn|main:app", "hypercorn:main"},
		{"/usr/bin/python3.11", "python|-m|dramatiq|shop.tasks", "dramatiq:shop.tasks"},
		{"/usr/bin/python3.11", "python|/x/rq|worker|high", "rq"},
		{"/usr/bin/python3.11", "python|-m|celery|-A|proj|beat", "celery:proj/beat"},
		{"/usr/bin/python3.11",
		 "[celeryd: shop@host:MainProcess] -active- (worker -A proj)", "celery:shop"},
		{"/usr/bin/uwsgi-core", "uwsgi|--ini|/etc/uwsgi/shop.ini", "uwsgi:shop.ini"},
		{"/usr/bin/uwsgi-core", "uwsgi|--master|--wsgi-file|/srv/app.py", "uwsgi:app.py"},
		{"/usr/bin/uwsgi-core (deleted)", "uwsgi|--emperor|/etc/uwsgi", "uwsgi"},
		{"/usr/bin/uwsgi-core-x", "uwsgi|--ini|/etc/uwsgi/shop.ini", "uwsgi-core-x"},
		{"/srv/venv/bin/uwsgi", "uwsgi|--ini|/etc/uwsgi/shop.ini", "uwsgi:shop.ini"},
		{"/srv/venv/bin/uwsgi", "uwsgi|--module=shop.wsgi", "uwsgi:shop.wsgi"},
		{"/usr/bin/python3.11", "python|-m|celery|-A", "celery"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(name(rows[i].exe, rows[i].args), rows[i].name);
}

static void titles_tell_roles(void **state unused_arg)
{
	static const struct {
		const char *args;
		enum wire_role role;
	} rows[] = {
		{"gunicorn: master [shop]", WIRE_ROLE_MASTER},
		{"gunicorn: worker [shop]", WIRE_ROLE_WORKER},
		{"nginx: master process /usr/sbin/nginx -g daemon on;", WIRE_ROLE_MASTER},
		{"nginx: worker process", WIRE_ROLE_WORKER},
		{"nginx: cache manager process", WIRE_ROLE_NONE},
		{"php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", WIRE_ROLE_MASTER},
		{"php-fpm: pool www", WIRE_ROLE_WORKER},
		{"uWSGI master", WIRE_ROLE_MASTER},
		{"uWSGI worker 3", WIRE_ROLE_WORKER},
		{"puma: cluster worker 0: 17 [shop]", WIRE_ROLE_WORKER},
		{"[celeryd: celery@h:MainProcess] -active- (worker)", WIRE_ROLE_MASTER},
		{"[celeryd: celery@h:ForkPoolWorker-2]", WIRE_ROLE_WORKER},
		{"[celeryd: ", WIRE_ROLE_NONE},
		{"postgres: checkpointer ", WIRE_ROLE_NONE},
		{"masterful: workers", WIRE_ROLE_NONE},
		{"python3|worker", WIRE_ROLE_NONE},
		{"x ", WIRE_ROLE_NONE},
		{"", WIRE_ROLE_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program p = program("/x", rows[i].args);

		if (program_role(&p) != rows[i].role)
			fail_msg("'%s'", rows[i].args);
	}
}

static void multiprocessing_is_known_by_its_command(void **state unused_arg)
{
	static const char spawn[] =
		"/usr/bin/python3|-c|from multiprocessing.spawn import spawn_main; spawn_main()";
	struct program p = program("/usr/bin/python3.11", spawn);

	assert_int_equal(program_kin(&p), PROGRAM_SPAWNED);
	p.exe = "";
	assert_int_equal(program_kin(&p), PROGRAM_SPAWNED);
	p.exe = "/bin/sh";
	assert_int_equal(program_kin(&p), PROGRAM_OWN);
	p = program("/usr/bin/python3.11",
		    "python3|-c|from multiprocessing.resource_tracker import main;main(5)");
	assert_int_equal(program_kin(&p), PROGRAM_HELPER);
	p = program("/usr/bin/python3.11", "python3|-c|import time");
	assert_int_equal(program_kin(&p), PROGRAM_OWN);
	p = program("/usr/bin/python3.11", "python3|-c");
	assert_int_equal(program_kin(&p), PROGRAM_OWN);
}

static void a_server_is_told_by_title_or_arguments(void **state unused_arg)
{
	static const char *const python = "/usr/bin/python3.11";
	static const struct {
		const char *exe;
		const char *args;
		enum program_server server;
	} rows[] = {
		{python, "python3|/usr/bin/gunicorn|-w|4|shop:app", PROGRAM_GUNICORN},
		{python, "python3|-W|ignore|-m|gunicorn|shop:app", PROGRAM_GUNICORN},
		{python, "gunicorn: master [shop:app]", PROGRAM_GUNICORN},
		{"", "python3|/usr/bin/gunicorn|shop:app", PROGRAM_GUNICORN},
		{"", "vi|/usr/bin/gunicorn|shop:app", PROGRAM_NO_SERVER},
		{"/bin/vi", "gunicorn: worker [x]", PROGRAM_NO_SERVER},
		{python, "python3|/srv/gunicorn/app.py", PROGRAM_NO_SERVER},
		{python, "python3|-c|gunicorn", PROGRAM_NO_SERVER},
		{python, "python3|-W|gunicorn", PROGRAM_NO_SERVER},
		{python, "python3|-m", PROGRAM_NO_SERVER},
		{python, "python3", PROGRAM_NO_SERVER},
		{python, "", PROGRAM_NO_SERVER},
		{"/usr/bin/uwsgi-core", "uwsgi|--master", PROGRAM_UWSGI},
		{"/srv/venv/bin/uwsgi (deleted)", "uWSGI worker 1", PROGRAM_UWSGI},
		{python, "uWSGI worker 1", PROGRAM_UWSGI},
		{python, "python3|-m|celery|-A|shop|worker|-c|2", PROGRAM_CELERY},
		{python, "python3|/usr/bin/celery|-A|shop|beat", PROGRAM_NO_SERVER},
		{python, "[celeryd: celery@host:ForkPoolWorker-1]", PROGRAM_CELERY},
		{python, "[celery beat]", PROGRAM_NO_SERVER},
		{python, "/usr/bin/python3|/usr/bin/supervisord|-n", PROGRAM_SUPERVISORD},
		{python, "/usr/bin/python3|-m|supervisor.supervisord", PROGRAM_SUPERVISORD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct program p = program(rows[i].exe, rows[i].args);

		if (program_server(&p) != rows[i].server)
			fail_msg("'%s' '%s': %d", rows[i].exe, rows[i].args,
				 (int)program_server(&p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_name_themselves),
		cmocka_unit_test(titles_tell_roles),
		cmocka_unit_test(multiprocessing_is_known_by_its_command),
		cmocka_unit_test(a_server_is_told_by_title_or_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
