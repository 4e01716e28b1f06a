/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment against a collector's enrolment port in another process, over real TLS. */
#include "agent/enroll.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/link/credentials.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/conn.h"
#include "proto/wire.h"
#include "tests/support/test.h"

enum answer { ACCEPT, REFUSE, INCOMPLETE, HANG_UP, OTHER_FRAME };

struct world {
	char folder[64];
	struct agent_options o;
	struct token token;
	struct tls_ca *ca;
	pid_t server;
};

/* ---- the far end, in its own process ---- */

struct far {
	struct world *w;
	struct event_base *base;
	struct tls_ctx *tls;
	enum answer answer;
};

static void far_reply(struct far *f, struct conn *c, const struct wire_enroll *m)
{
	static const uint8_t uuid[16] = {0xaa, 0xbb};
	static const uint8_t key[SIGN_KEY_SIZE] = {0x42};
	struct buf cert = BUF_INIT(16384);
	struct buf ca = BUF_INIT(16384);
	struct buf out = BUF_INIT(65536);
	struct wire_enroll_reply r = {.error = "", .stream_port = 7421};

	if (tls_ca_issue(f->w->ca, m->csr.data, m->csr.len, uuid, time(NULL) - 60, 3600, &cert,
			 NULL) < 0 ||
	    tls_ca_pem(f->w->ca, &ca, NULL) < 0)
		_exit(9);
	r.host_uuid = (struct wire_blob){uuid, sizeof(uuid)};
	r.certificate = (struct wire_blob){cert.data, cert.len};
	r.ca = (struct wire_blob){ca.data, ca.len};
	r.command_key = (struct wire_blob){key, sizeof(key)};
	if (f->answer == REFUSE)
		r = (struct wire_enroll_reply){.error = "this token is used up"};
	if (f->answer == INCOMPLETE)
		r.certificate.len = 0;
	wire_pack_enroll_reply(&out, &r);
	if (conn_send(c, f->answer == OTHER_FRAME ? FRAME_ACK : FRAME_ENROLL_REPLY, out.data,
		      out.len) < 0)
		_exit(9);
}

static void far_frame(void *arg, struct conn *c, const struct frame *fr)
{
	struct far *f = arg;
	struct wire_enroll m;
	auto_arena struct arena a;

	arena_init(&a, WIRE_BUDGET(fr->len));
	if (fr->type != FRAME_ENROLL ||
	    wire_unpack_enroll(&a, fr->payload, fr->len, &m, NULL) < 0 ||
	    m.secret.len != TOKEN_SECRET_SIZE ||
	    memcmp(m.secret.data, f->w->token.secret, TOKEN_SECRET_SIZE) != 0)
		_exit(9);
	if (f->answer == HANG_UP)
		conn_close(c, "test");
	else
		far_reply(f, c, &m);
}

static void far_nothing(void *arg unused_arg, struct conn *c unused_arg)
{
}

static void far_close(void *arg unused_arg, struct conn *c unused_arg, const char *why unused_arg)
{
}

static void far_accept(evutil_socket_t fd, short what unused_arg, void *arg)
{
	static const struct conn_ops ops = {.on_open = far_nothing,
					    .on_frame = far_frame,
					    .on_close = far_close};
	struct far *f = arg;
	struct conn *c;
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (peer >= 0 && conn_accept(f->base, f->tls, peer, 1 << 20, &ops, f, &c, NULL) == 0)
		conn_max_payload(c, FRAME_MAX_PAYLOAD);
}

_Noreturn static void serve(struct world *w, int listener, enum answer answer)
{
	struct far f = {.w = w, .base = event_base_new(), .answer = answer};
	char cert[128];
	char key[128];
	char ca[128];
	struct tls_files files = {.ca = ca, .cert = cert, .key = key};

	snprintf(cert, sizeof(cert), "%s/ca/server.pem", w->folder);
	snprintf(key, sizeof(key), "%s/ca/server.key", w->folder);
	snprintf(ca, sizeof(ca), "%s/ca/ca.pem", w->folder);
	if (tls_ctx_new(TLS_ENROL_SERVER, &files, &f.tls, NULL) < 0)
		_exit(8);
	event_add(event_new(f.base, listener, EV_READ | EV_PERSIST, far_accept, &f), NULL);
	alarm(30);
	event_base_dispatch(f.base);
	_exit(0);
}

/* ---- */

static void start(struct world *w, enum answer answer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	w->token.port = ntohs(at.sin_port);
	w->server = fork();
	if (w->server == 0)
		serve(w, fd, answer);
	close(fd);
}

static void stop(struct world *w)
{
	if (w->server > 0) {
		kill(w->server, SIGKILL);
		waitpid(w->server, NULL, 0);
	}
	w->server = 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128];

	signal(SIGPIPE, SIG_IGN);
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	strcpy(w->folder, "/tmp/test_enroll.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(path, sizeof(path), "%s/ca", w->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(tls_ca_open(path, &w->ca, NULL), 0);
	assert_int_equal(tls_ca_server(w->ca, path, NULL), 0);
	w->token = (struct token){.host = "127.0.0.1", .secret = {1, 2, 3}};
	tls_ca_pin(w->ca, w->token.pin);
	assert_int_equal(conf_defaults(&agent_options_table, &w->o, NULL), 0);
	snprintf(path, sizeof(path), "%s/state", w->folder);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "state_dir", path, "", NULL), 0);
	snprintf(path, sizeof(path), "%s/trust", w->folder);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "trust_dir", path, "", NULL), 0);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "user", "nobody", "", NULL), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	stop(w);
	tls_ca_free(&w->ca);
	conf_fini(&agent_options_table, &w->o);
	snprintf(command, sizeof(command), "rm -rf %s", w->folder);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void read_in(const char *folder, const char *name, char *out, size_t size, struct stat *st)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(stat(path, st), 0);
	assert_true(fs_read_small(AT_FDCWD, path, out, size) > 0);
}

static void assert_not_enrolled(const struct world *w)
{
	char path[192];

	assert_true(credentials_check(&w->o, NULL) < 0);
	snprintf(path, sizeof(path), "%s/" CREDENTIALS_KEY ".new", w->o.state_dir);
	assert_true(access(path, F_OK) < 0);
}

static void a_token_becomes_a_working_identity(void **state)
{
	struct world *w = *state;
	struct tls_ctx *tls = NULL;
	struct error err = {""};
	struct stat st;
	char text[4096];
	char host[OPTIONS_HOST_SIZE];
	uint16_t port;

	start(w, ACCEPT);
	if (enroll_run(&w->o, &w->token, false, &err) < 0)
		fail_msg("%s", err.msg);
	read_in(w->o.state_dir, CREDENTIALS_KEY, text, sizeof(text), &st);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (geteuid() == 0)
		assert_int_not_equal(st.st_uid, 0);
	read_in(w->o.trust_dir, CREDENTIALS_COMMAND_KEY, text, sizeof(text), &st);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(strlen(text), 65);
	assert_memory_equal(text, "4200", 4);
	read_in(w->o.trust_dir, CREDENTIALS_UUID, text, sizeof(text), &st);
	assert_string_equal(text, "aabb0000-0000-0000-0000-000000000000\n");
	assert_int_equal(credentials_address(&w->o, 0, host, &port, NULL), 0);
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 7421);
	if (geteuid() != 0) /* the key is another user's now */
		assert_int_equal(credentials_load(&w->o, &tls, NULL), 0);
	tls_ctx_free(&tls);
}

/* Else link, which runs as that user, could become the one whom the root helper obeys. */
static void the_root_helpers_trust_is_never_the_agents_to_change(void **state)
{
	struct world *w = *state;
	struct error err = {""};

	if (geteuid() != 0)
		skip();
	start(w, ACCEPT);
	assert_int_equal(mkdir(w->o.trust_dir, 0755), 0);
	assert_int_equal(chown(w->o.trust_dir, 65534, 65534), 0);
	assert_int_equal(enroll_run(&w->o, &w->token, false, &err), -EPERM);
	assert_says(err, "trust_dir");
	assert_not_enrolled(w);
	/* a host that takes no commands needs none */
	assert_int_equal(conf_set(&agent_options_table, &w->o, "trust_dir", "", "", NULL), 0);
	assert_int_equal(enroll_run(&w->o, &w->token, false, &err), 0);
}

static void an_enrolment_is_not_overwritten_unasked(void **state)
{
	struct world *w = *state;
	struct error err = {""};
	struct stat before;
	struct stat after;
	char text[4096];

	start(w, ACCEPT);
	assert_int_equal(enroll_run(&w->o, &w->token, false, &err), 0);
	read_in(w->o.state_dir, CREDENTIALS_KEY, text, sizeof(text), &before);
	assert_int_equal(enroll_run(&w->o, &w->token, false, &err), -EEXIST);
	assert_says(err, "--force");
	read_in(w->o.state_dir, CREDENTIALS_KEY, text, sizeof(text), &after);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(enroll_run(&w->o, &w->token, true, &err), 0);
	read_in(w->o.state_dir, CREDENTIALS_KEY, text, sizeof(text), &after);
	assert_int_not_equal(before.st_ino, after.st_ino);
}

static void refusals_leave_nothing_behind(void **state)
{
	static const struct {
		enum answer answer;
		int rc;
		const char *says;
	} cases[] = {
		{REFUSE, -EACCES, "this token is used up"},
		{INCOMPLETE, -EBADMSG, ""},
		{HANG_UP, -ETIMEDOUT, "127.0.0.1"},
		{OTHER_FRAME, -ETIMEDOUT, "unexpected frame"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {""};

		start(w, cases[i].answer);
		assert_int_equal(enroll_run(&w->o, &w->token, false, &err), cases[i].rc);
		assert_true(strlen(err.msg) > 0);
		assert_says(err, cases[i].says);
		assert_not_enrolled(w);
		stop(w);
	}
}

static void a_collector_of_another_pin_never_hears_the_secret(void **state)
{
	struct world *w = *state;
	struct error err = {""};

	start(w, ACCEPT);
	w->token.pin[5] ^= 1;
	assert_true(enroll_run(&w->o, &w->token, false, &err) < 0);
	assert_says(err, "cannot enrol with '127.0.0.1'");
	assert_not_enrolled(w);
}

static void nobody_there_is_said_so(void **state)
{
	struct world *w = *state;
	struct error err = {""};

	start(w, ACCEPT);
	stop(w);
	assert_true(enroll_run(&w->o, &w->token, false, &err) < 0);
	assert_says(err, "refused");
	assert_not_enrolled(w);
}

static void tokens_are_read_from_files(void **state)
{
	struct world *w = *state;
	struct error err = {""};
	struct token back;
	char text[TOKEN_TEXT_SIZE];
	char path[128];

	w->token.port = 7422;
	assert_true(token_format(&w->token, text) > 0);
	snprintf(path, sizeof(path), "%s/token", w->folder);
	assert_int_equal(fs_write(path, 0600, text, strlen(text), NULL), 0);
	assert_int_equal(enroll_read_token(path, &back, &err), 0);
	assert_memory_equal(back.secret, w->token.secret, TOKEN_SECRET_SIZE);
	assert_int_equal(fs_write(path, 0600, "", 0, NULL), 0);
	assert_int_equal(enroll_read_token(path, &back, &err), -EINVAL);
	assert_says(err, "empty");
	assert_int_equal(enroll_read_token("/nonexistent/token", &back, &err), -ENOENT);
	assert_int_equal(enroll_read_token("/proc/self/exe", &back, &err), -EFBIG);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_token_becomes_a_working_identity),
		T(the_root_helpers_trust_is_never_the_agents_to_change),
		T(an_enrolment_is_not_overwritten_unasked),
		T(refusals_leave_nothing_behind),
		T(a_collector_of_another_pin_never_hears_the_secret),
		T(nobody_there_is_said_so),
		T(tokens_are_read_from_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
