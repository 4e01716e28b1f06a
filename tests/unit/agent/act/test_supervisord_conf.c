/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisord_conf.h"

#include <errno.h>

#include "common/buf.h"
#include "common/str.h"
#include "tests/support/test.h"

static struct supervisord_conf *conf(const char *text)
{
	struct supervisord_conf *c = calloc(1, sizeof(*c));
	char *copy = strdup(text);

	(void)str_copy(c->path, sizeof(c->path), "/etc/x.conf");
	supervisord_conf_add(c, "/etc", copy);
	free(copy);
	return c;
}

/* Arguments are written with '|' between them. */
static int back(const struct supervisord_conf *c, const char *args, bool catches, char *name,
		struct error *err)
{
	char raw[256];
	size_t n = strlen(args);

	for (size_t i = 0; i <= n; i++)
		raw[i] = (char)(args[i] == '|' ? '\0' : args[i]);
	return supervisord_conf_comes_back(c, raw, n + 1, catches, name, err);
}

static void it_is_read_as_configparser_reads_it(void **state unused_arg)
{
	auto_supervisord_conf struct supervisord_conf *c =
		conf("; a comment\n"
		     "[unix_http_server]\n"
		     "file = %(here)s/run/x.sock ; where\n"
		     "UserName: ann#1\n"
		     "password=a%%b;c=d\n"
		     "\n"
		     "[program:web]\n"
		     "command = /usr/bin/python3\n"
		     "  # within\n"
		     "\n"
		     "   /srv/web.py\n"
		     "autorestart=FALSE\n"
		     "[include]\n"
		     "files = a/*.conf\n"
		     "\tb.ini\r\n"
		     "[program:web]\n"
		     "autorestart=true\n");

	assert_string_equal(c->missing, "");
	assert_int_equal(c->n_programs, 1);
	assert_string_equal(c->programs[0].command, "/usr/bin/python3 /srv/web.py");
	assert_int_equal(c->programs[0].back, SUPERVISORD_ALWAYS);
	assert_string_equal(c->programs[0].exitcodes, "0");
	assert_string_equal(c->include, "a/*.conf b.ini");
	assert_string_equal(c->servers[0].file, "/etc/run/x.sock");
	assert_string_equal(c->servers[0].user, "ann#1");
	assert_string_equal(c->servers[0].password, "a%b;c=d");
	assert_ptr_equal(supervisord_conf_server(c, "/somewhere"), &c->servers[0]);
}

static void of_two_servers_the_one_of_the_path_counts(void **state unused_arg)
{
	auto_supervisord_conf struct supervisord_conf *c =
		conf("[unix_http_server]\nfile=/a\nusername=u\n[unix_http_server:2]\nfile=/b\n");

	assert_ptr_equal(supervisord_conf_server(c, "/b"), &c->servers[1]);
	assert_null(supervisord_conf_server(c, "/c"));
}

static void what_is_not_known_is_told_as_missing(void **state unused_arg)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{"[DEFAULT]\nautorestart=true\n", "[DEFAULT]"},
		{"[unix_http_server]\npassword=%(ENV_SECRET)s\n", "stands for something"},
		{"[program:a]\nstopsignal=%(ENV_X)s\n", "stands for something"},
		{"[program:a]\nno option\n", "no option"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_supervisord_conf struct supervisord_conf *c = conf(rows[i].text);
		char name[SUPERVISORD_WORD_SIZE];
		struct error err = {""};

		if (!strstr(c->missing, rows[i].why))
			fail_msg("'%s': '%s'", rows[i].text, c->missing);
		assert_int_equal(back(c, "a", false, name, &err), -EPERM);
		assert_says(err, "cannot be read whole");
	}
}

static void bounds_hold(void **state unused_arg)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);
	struct supervisord_conf *c;

	for (int i = 0; i < 2 * SUPERVISORD_PROGRAMS_MAX; i++)
		buf_printf(&text, "[program:p%d]\ncommand=%0*d\n[unix_http_server:%d]\n", i,
			   500 + i, 7, i);
	c = conf((char *)text.data);
	assert_int_equal(c->n_programs, SUPERVISORD_PROGRAMS_MAX);
	assert_int_equal(c->n_servers, SUPERVISORD_SERVERS_MAX);
	assert_true(strstr(c->missing, "too many") != NULL);
	supervisord_conf_free(&c);
	buf_reset(&text);
	buf_printf(&text, "[program:%0200d]\nx=y\n", 1);
	c = conf((char *)text.data);
	assert_true(strstr(c->missing, "too long") != NULL);
	supervisord_conf_free(&c);
}

static void who_is_started_again(void **state unused_arg)
{
	auto_supervisord_conf struct supervisord_conf *c = conf(
		"[program:plain]\ncommand=python3 /srv/plain.py --at=%(program_name)s\n"
		"[program:always]\ncommand=/srv/always.py\nautorestart=1\n"
		"[program:never]\ncommand=/srv/never.py\nautorestart=off\n"
		"[program:any]\ncommand=/srv/any.py\nexitcodes=\n"
		"[program:quit]\ncommand=/srv/quit.py\nautorestart=true\nstopsignal=quit\n"
		"[program:odd]\ncommand=/srv/odd.py\nautorestart=maybe\n"
		"[program:sig]\ncommand=/bin/sh -c \"exec /srv/sig.py\"\nstopsignal=SIGTERM\n");
	static const struct {
		const char *args;
		const char *name; /* or why not */
		int rc;
		bool catches;
	} rows[] = {
		{"/usr/bin/python3|/srv/plain.py|--at=x", "plain", 0, false},
		{"/usr/bin/python3|/srv/plain.py|--at=x", "handles SIGTERM", -EPERM, true},
		{"/usr/bin/python3|/srv/always.py", "always", 0, true},
		{"/usr/bin/python3|/srv/never.py", "autorestart=false", -EPERM, false},
		{"/usr/bin/python3|/srv/any.py", "any", 0, true},
		{"/usr/bin/python3|/srv/quit.py", "another signal", -EPERM, false},
		{"/usr/bin/python3|/srv/odd.py", "does not know", -EPERM, false},
		{"/bin/sh|-c|exec /srv/sig.py", "sig", 0, false},
		/* whose arguments tell nothing: all must agree */
		{"my own title", "autorestart=false", -EPERM, false},
		{"", "autorestart=false", -EPERM, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[SUPERVISORD_WORD_SIZE];
		struct error err = {""};
		int rc = back(c, rows[i].args, rows[i].catches, name, &err);

		if (rc != rows[i].rc || !strstr(rc ? err.msg : name, rows[i].name))
			fail_msg("'%s': %d '%s' '%s'", rows[i].args, rc, name, err.msg);
	}
}

static void without_programs_nobody_comes_back(void **state unused_arg)
{
	auto_supervisord_conf struct supervisord_conf *c = conf("[supervisord]\nnodaemon=true\n");
	char name[SUPERVISORD_WORD_SIZE];
	struct error err = {""};

	assert_int_equal(back(c, "x", false, name, &err), -EPERM);
	assert_says(err, "has no programs");
}

static void the_command_line_names_the_file(void **state unused_arg)
{
	static const struct {
		const char *args;
		const char *named;
	} rows[] = {
		{"python3|/usr/bin/supervisord|-n|-c|/etc/a.conf", "/etc/a.conf"},
		{"python3|/usr/bin/supervisord|-nc|a.conf", "a.conf"},
		{"python3|/usr/bin/supervisord|-ca.conf", "a.conf"},
		{"python3|/usr/bin/supervisord|--configuration=a.conf", "a.conf"},
		{"python3|/usr/bin/supervisord|--configuration|a.conf", "a.conf"},
		{"python3|-m|supervisor.supervisord|-l|-c|-c|b", "b"},
		{"python3|/usr/bin/supervisord|-n", NULL},
		{"python3|/usr/bin/supervisord|-l|-c", NULL},
		{"python3|/usr/bin/supervisord|-c", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char raw[256];
		size_t n = strlen(rows[i].args);
		const char *named;

		for (size_t k = 0; k <= n; k++)
			raw[k] = (char)(rows[i].args[k] == '|' ? '\0' : rows[i].args[k]);
		named = supervisord_conf_named(raw, n ? n + 1 : 0);
		if (!named != !rows[i].named || (named && strcmp(named, rows[i].named) != 0))
			fail_msg("'%s': '%s'", rows[i].args, named ? named : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_read_as_configparser_reads_it),
		cmocka_unit_test(of_two_servers_the_one_of_the_path_counts),
		cmocka_unit_test(what_is_not_known_is_told_as_missing),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(who_is_started_again),
		cmocka_unit_test(without_programs_nobody_comes_back),
		cmocka_unit_test(the_command_line_names_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
