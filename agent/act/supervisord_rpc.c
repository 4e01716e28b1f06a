/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisord_rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/supervisord_conf.h"
#include "agent/act/xmlrpc.h"
#include "common/clock.h"
#include "common/str.h"
#include "common/unix_http.h"

#define ANSWER_MAX ((size_t)4 * 1024 * 1024) /* some 3000 programs */
#define CALL_US    (3 * USEC_PER_SEC)
#define IS_RUNNING 1 /* supervisor/states.py: of itself */

/* ---- one call ---- */

static void put_request(const struct supervisord_door *d, const char *method, const char *text,
			int flag, struct buf *out)
{
	auto_buf struct buf body = BUF_INIT(4096);

	xmlrpc_call(&body, method, text, flag);
	buf_printf(out,
		   "POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nUser-Agent: memherd-actd\r\n"
		   "Content-Type: text/xml\r\nContent-Length: %zu\r\n%s\r\n",
		   body.len, d->authorization);
	buf_put(out, body.data ? (const void *)body.data : "", body.len);
	if (buf_status(&body) < 0)
		out->failed = true;
}

/* The status; the answer's body begins at *ret_body of b. */
static int exchange(const struct supervisord_door *d, const char *request, struct buf *b,
		    size_t *ret_body, struct error *err)
{
	int64_t until_us = MIN_OF(clock_boot_us() + CALL_US, d->until_us);
	char name[32];
	auto_close int fd = -1;
	int rc;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", d->socket);
	fd = unix_http_connect(name, until_us);
	if (fd < 0)
		return error_sys(err, fd, "cannot reach supervisord at '%s'", d->path);
	rc = supervisord_check_peer(d->of, fd, err);
	if (rc < 0)
		return rc;
	rc = unix_http_exchange(fd, request, until_us, b);
	if (rc < 0)
		return error_sys(err, rc, "no whole answer from supervisord at '%s'", d->path);
	return unix_http_parse(b->data, b->len, ret_body, err);
}

static int call(const struct supervisord_door *d, const char *method, const char *text, int flag,
		xmlrpc_on *on, void *arg, struct error *err)
{
	auto_buf struct buf request = BUF_INIT(8192);
	auto_buf struct buf answer = BUF_INIT(ANSWER_MAX);
	struct error why = {""};
	size_t body = 0;
	int status;
	int rc;

	put_request(d, method, text, flag, &request);
	if (buf_status(&request) < 0)
		return error_set(err, -ENOMEM, "no memory to ask supervisord");
	status = exchange(d, (const char *)request.data, &answer, &body, err);
	explicit_bzero(request.data, request.len);
	if (status < 0)
		return status;
	if (status == 401)
		return error_set(err, -EACCES, "supervisord at '%s' wants a password", d->path);
	if (status != 200)
		return error_set(err, -EPROTO, "supervisord answered with status %d", status);
	rc = xmlrpc_read((const char *)answer.data + body, answer.len - body, on, arg, &why);
	if (rc < 0)
		error_set(err, rc, "supervisord, asked for %s: %.300s", method, why.msg);
	return rc;
}

/* ---- what it tells ---- */

static int number_of(const char *text)
{
	int64_t n;

	return str_parse_int(text, &n) == 0 && n >= INT32_MIN && n <= INT32_MAX ? (int)n : -1;
}

static int on_number(void *arg, const struct xmlrpc_member *m)
{
	if (!*m->name)
		*(int *)arg = number_of(m->text);
	return 0;
}

static int on_state(void *arg, const struct xmlrpc_member *m)
{
	if (strcmp(m->name, "statecode") == 0)
		*(int *)arg = number_of(m->text);
	return 0;
}

static int on_nothing(void *arg, const struct xmlrpc_member *m)
{
	(void)arg;
	(void)m;
	return 0;
}

/* A name that is cut would be another one's. */
static bool take_name(char out[SUPERVISORD_NAME_SIZE], const struct xmlrpc_member *m)
{
	if (!m->cut && str_copy(out, SUPERVISORD_NAME_SIZE, m->text))
		return true;
	out[0] = '\0';
	return false;
}

static void take_info(struct supervisord_program *p, const struct xmlrpc_member *m)
{
	if (strcmp(m->name, "name") == 0)
		(void)take_name(p->name, m);
	else if (strcmp(m->name, "group") == 0)
		(void)take_name(p->group, m);
	else if (strcmp(m->name, "pid") == 0)
		p->pid = number_of(m->text);
	else if (strcmp(m->name, "state") == 0)
		p->state = number_of(m->text);
	else if (strcmp(m->name, "statename") == 0)
		str_safe(p->state_name, sizeof(p->state_name), m->text, strlen(m->text));
	else if (strcmp(m->name, "spawnerr") == 0)
		str_safe(p->why, sizeof(p->why), m->text, strlen(m->text));
}

/* Members come struct by struct: the one at hand, and the one that is looked for. */
struct search {
	pid_t pid; /* by which it is looked for */
	size_t item;
	struct supervisord_program now;
	struct supervisord_program found;
	unsigned n; /* so many have that pid */
};

static const struct supervisord_program nobody = {.state = -1,
						  .stop_signal = -1,
						  .stop_wait_sec = -1,
						  .start_sec = -1};

static void close_item(struct search *s)
{
	if (s->now.pid == s->pid && *s->now.name && *s->now.group) {
		s->found = s->now;
		s->n++;
	}
	s->now = nobody;
}

static int on_info(void *arg, const struct xmlrpc_member *m)
{
	struct search *s = arg;

	if (m->item != s->item)
		close_item(s);
	s->item = m->item;
	take_info(&s->now, m);
	return 0;
}

static int on_one(void *arg, const struct xmlrpc_member *m)
{
	take_info(arg, m);
	return 0;
}

/* The configuration of all; that of one is taken. */
struct settings {
	struct supervisord_program *of;
	size_t item;
	struct supervisord_program now;
};

static void close_settings(struct settings *s)
{
	if (strcmp(s->now.name, s->of->name) == 0 && strcmp(s->now.group, s->of->group) == 0) {
		s->of->stop_signal = s->now.stop_signal;
		s->of->stop_wait_sec = s->now.stop_wait_sec;
		s->of->start_sec = s->now.start_sec;
	}
	s->now = nobody;
}

static int on_setting(void *arg, const struct xmlrpc_member *m)
{
	struct settings *s = arg;

	if (m->item != s->item)
		close_settings(s);
	s->item = m->item;
	if (strcmp(m->name, "stopsignal") == 0)
		s->now.stop_signal = number_of(m->text);
	else if (strcmp(m->name, "stopwaitsecs") == 0)
		s->now.stop_wait_sec = number_of(m->text);
	else if (strcmp(m->name, "startsecs") == 0)
		s->now.start_sec = number_of(m->text);
	else
		take_info(&s->now, m);
	return 0;
}

int supervisord_look(const struct supervisord_door *d, pid_t pid, struct supervisord_program *ret,
		     struct error *err)
{
	struct search s = {.pid = pid, .now = nobody};
	struct settings settings = {.of = &s.found, .now = nobody};
	int rc = call(d, "supervisor.getAllProcessInfo", NULL, -1, on_info, &s, err);

	if (rc < 0)
		return rc;
	close_item(&s);
	if (s.n != 1)
		return error_set(err, -ENOENT,
				 "supervisord, process %d, knows %s program with pid %d",
				 (int)d->of->master.pid, s.n ? "more than one" : "no", (int)pid);
	snprintf(s.found.full, sizeof(s.found.full), "%s:%s", s.found.group, s.found.name);
	if (strcmp(s.found.group, s.found.name) == 0)
		str_safe(s.found.shown, sizeof(s.found.shown), s.found.name, strlen(s.found.name));
	else
		str_safe(s.found.shown, sizeof(s.found.shown), s.found.full, strlen(s.found.full));
	/* Versions before 4.2 do not tell all of it, older ones nothing. */
	rc = call(d, "supervisor.getAllConfigInfo", NULL, -1, on_setting, &settings, err);
	if (rc == 0)
		close_settings(&settings);
	if (rc < 0 && rc != -EREMOTEIO)
		return rc;
	*ret = s.found;
	return 0;
}

int supervisord_look_again(const struct supervisord_door *d, struct supervisord_program *p,
			   struct error *err)
{
	struct supervisord_program now = *p;
	int rc;

	now.pid = 0;
	now.state = -1;
	now.why[0] = '\0';
	rc = call(d, "supervisor.getProcessInfo", p->full, -1, on_one, &now, err);
	if (rc == 0)
		*p = now;
	return rc;
}

int supervisord_stop(const struct supervisord_door *d, const struct supervisord_program *p,
		     struct error *err)
{
	return call(d, "supervisor.stopProcess", p->full, 0, on_nothing, NULL, err);
}

int supervisord_start(const struct supervisord_door *d, const struct supervisord_program *p,
		      struct error *err)
{
	return call(d, "supervisor.startProcess", p->full, 0, on_nothing, NULL, err);
}

/* ---- the door ---- */

/* RFC 7617, RFC 4648 */
static void authorize(struct supervisord_door *d, const char *user, const char *password)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[2 * SUPERVISORD_WORD_SIZE];
	static const char head[] = "Authorization: Basic ";
	char *out = d->authorization + strlen(head);
	size_t n = (size_t)snprintf(text, sizeof(text), "%s:%s", user, password);

	memcpy(d->authorization, head, strlen(head));
	for (size_t i = 0; i < n; i += 3) {
		unsigned a = (unsigned char)text[i];
		unsigned b = i + 1 < n ? (unsigned char)text[i + 1] : 0;
		unsigned c = i + 2 < n ? (unsigned char)text[i + 2] : 0;

		*out++ = digits[a >> 2];
		*out++ = digits[(a & 3) << 4 | b >> 4];
		*out++ = i + 1 < n ? digits[(b & 15) << 2 | c >> 6] : '=';
		*out++ = i + 2 < n ? digits[c & 63] : '=';
	}
	memcpy(out, "\r\n", 3);
	explicit_bzero(text, sizeof(text));
}

static int find_password(struct supervisord_door *d, struct error *err)
{
	struct error why = {""};
	auto_supervisord_conf struct supervisord_conf *c = supervisord_conf_load(d->of, &why);
	const struct supervisord_server_conf *server =
		c ? supervisord_conf_server(c, d->path) : NULL;

	if (!c)
		return error_set(err, -EACCES,
				 "supervisord at '%s' wants a password, and its configuration "
				 "cannot be read: %.200s",
				 d->path, why.msg);
	if (!server || !*server->user || !*server->password || strchr(server->user, ':'))
		return error_set(err, -EACCES,
				 "supervisord at '%s' wants a password that '%.100s' does not tell",
				 d->path, c->path);
	if (str_starts(server->password, "{SHA}"))
		return error_set(err, -EACCES,
				 "supervisord at '%s' wants a password, of which '%.100s' has the "
				 "hash alone",
				 d->path, c->path);
	authorize(d, server->user, server->password);
	return 0;
}

int supervisord_door_open(struct supervisord_door *d, const struct supervisord *s, int64_t until_us,
			  struct error *err)
{
	int pid = -1;
	int state = -1;
	int rc;

	*d = (struct supervisord_door){.of = s, .until_us = until_us};
	d->socket = supervisord_socket(s, d->path, err);
	if (d->socket < 0)
		return d->socket;
	rc = call(d, "supervisor.getPID", NULL, -1, on_number, &pid, err);
	if (rc == -EACCES) {
		rc = find_password(d, err);
		if (rc == 0)
			rc = call(d, "supervisor.getPID", NULL, -1, on_number, &pid, err);
	}
	if (rc == 0 && pid != (int)s->master_pid)
		rc = error_set(err, -EPERM, "who answers at '%s' is process %d, not supervisord %d",
			       d->path, pid, (int)s->master_pid);
	if (rc == 0)
		rc = call(d, "supervisor.getState", NULL, -1, on_state, &state, err);
	if (rc == 0 && state != IS_RUNNING)
		rc = error_set(err, -EBUSY,
			       "supervisord, process %d, starts or ends just now; retry later",
			       (int)s->master.pid);
	if (rc < 0)
		supervisord_door_close(d);
	return rc;
}

void supervisord_door_close(struct supervisord_door *d)
{
	if (d->socket >= 0)
		close(d->socket);
	d->socket = -1;
	explicit_bzero(d->authorization, sizeof(d->authorization));
}
