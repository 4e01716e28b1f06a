/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enroll.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "agent/link/credentials.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/fs.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/conn.h"
#include "proto/wire.h"

#define MAGIC     0x656e726fU
#define LIMIT_SEC 30 /* for the whole conversation */
/* A collector lets so many in each second and closes the others unheard: tried again. */
#define TRY_WITHIN_US (10 * USEC_PER_SEC)
#define REPLY_MAX     (64 * 1024)
#define CSR_MAX       (16 * 1024)

/* ---- the token ---- */

static void set_echo(bool on)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &t) < 0)
		return;
	t.c_lflag = on ? t.c_lflag | ECHO : t.c_lflag & ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static int read_stdin(char *out, size_t size, struct error *err)
{
	bool terminal = isatty(STDIN_FILENO);
	const char *got;

	if (terminal) {
		fputs("Enrolment token: ", stderr);
		set_echo(false);
	}
	got = fgets(out, (int)size, stdin);
	if (terminal) {
		set_echo(true);
		fputc('\n', stderr);
	}
	return got ? 0 : error_set(err, -EINVAL, "no token on standard input");
}

int enroll_read_token(const char *token_file, struct token *ret, struct error *err)
{
	auto_buf struct buf file = BUF_INIT(TOKEN_TEXT_SIZE * 2);
	char line[TOKEN_TEXT_SIZE * 2] = "";
	int rc;

	if (!token_file) {
		rc = read_stdin(line, sizeof(line), err);
	} else {
		rc = fs_read(token_file, &file, err);
		if (rc == 0 && file.len)
			str_copy(line, sizeof(line), (const char *)file.data);
	}
	if (rc == 0)
		rc = token_parse(line, ret, err);
	explicit_bzero(line, sizeof(line));
	if (file.data)
		explicit_bzero(file.data, file.len);
	return rc;
}

/* ---- the conversation ---- */

struct talk {
	uint32_t magic;
	struct event_base *base;
	struct conn *conn;
	struct buf request;
	struct buf reply; /* the payload as it came */
	bool heard;       /* the token went out: it may be used up */
	bool answered;
	char why[256]; /* it ended */
};

static void on_open(void *arg, struct conn *c)
{
	struct talk *t = arg;

	MAGIC_CHECK(t, MAGIC);
	conn_max_payload(c, REPLY_MAX);
	t->heard = true;
	if (conn_send(c, FRAME_ENROLL, t->request.data, t->request.len) < 0)
		conn_close(c, "cannot send the request");
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
	struct talk *t = arg;

	MAGIC_CHECK(t, MAGIC);
	if (f->type != FRAME_ENROLL_REPLY || t->answered) {
		conn_close(c, "unexpected frame");
		return;
	}
	buf_put(&t->reply, f->payload, f->len);
	t->answered = true;
	conn_close(c, "enrolled");
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	struct talk *t = arg;

	MAGIC_CHECK(t, MAGIC);
	t->conn = NULL;
	str_copy(t->why, sizeof(t->why), why);
	event_base_loopbreak(t->base);
}

static int converse_once(struct talk *t, struct tls_ctx *tls, const struct token *token,
			 struct error *err)
{
	static const struct conn_ops ops = {.on_open = on_open,
					    .on_frame = on_frame,
					    .on_close = on_close};
	const struct timeval limit = {.tv_sec = LIMIT_SEC};
	int rc = 0;

	*t->why = '\0';
	t->base = event_base_new();
	if (!t->base)
		return error_set(err, -ENOMEM, "cannot make an event loop");
	rc = conn_connect(t->base, tls, token->host, token->port, REPLY_MAX, &ops, t, &t->conn,
			  err);
	if (rc == 0) {
		event_base_loopexit(t->base, &limit);
		event_base_dispatch(t->base);
		if (!t->answered)
			rc = error_set(err, -ETIMEDOUT, "%s",
				       *t->why ? t->why : "no answer in time");
	}
	if (t->conn)
		conn_free(&t->conn);
	event_base_free(t->base);
	return rc;
}

/* Half of it to the whole: hosts that are set up together come back one by one. */
static void pause_about(int ms)
{
	usleep((useconds_t)(ms / 2 + (int)random_below((uint64_t)ms / 2)) * 1000);
}

static int converse(struct talk *t, const struct token *token, struct error *err)
{
	static const int pauses_ms[] = {1000, 2000, 4000};
	const struct tls_files files = {.pin = token->pin};
	int64_t began_us = clock_boot_us();
	struct tls_ctx *tls = NULL;
	int rc = tls_ctx_new(TLS_ENROL_CLIENT, &files, &tls, err);

	if (rc == 0)
		rc = converse_once(t, tls, token, err);
	for (size_t i = 0; tls && rc < 0 && !t->heard && i < ARRAY_SIZE(pauses_ms) &&
			   clock_boot_us() - began_us < TRY_WITHIN_US;
	     i++) {
		pause_about(pauses_ms[i]);
		rc = converse_once(t, tls, token, err);
	}
	tls_ctx_free(&tls);
	if (rc < 0)
		error_wrap(err, "cannot enrol with '%s' port %u", token->host,
			   (unsigned)token->port);
	return rc;
}

static int pack_request(struct buf *out, const struct agent_options *o, const struct token *token,
			const struct buf *csr, struct error *err)
{
	char raw[256] = "localhost";
	char host[WIRE_NAME_MAX + 1];
	struct wire_enroll m = {
		.secret = {.data = token->secret, .len = sizeof(token->secret)},
		.csr = {.data = csr->data, .len = csr->len},
		.host_name = host,
		.version = MEMHERD_VERSION,
	};

	if (*o->host_name)
		str_copy(raw, sizeof(raw), o->host_name);
	else if (gethostname(raw, sizeof(raw) - 1) < 0)
		str_copy(raw, sizeof(raw), "localhost");
	str_safe(host, sizeof(host), raw, strlen(raw));
	wire_pack_enroll(out, &m);
	return buf_status(out) < 0 ? error_set(err, -ENOBUFS, "enrolment request is too large") : 0;
}

static int judge(const struct wire_enroll_reply *r, struct error *err)
{
	if (*r->error)
		return error_set(err, -EACCES, "the collector refuses: %s", r->error);
	if (r->host_uuid.len != 16 || r->command_key.len != SIGN_KEY_SIZE || !r->certificate.len ||
	    !r->ca.len || r->stream_port == 0 || r->stream_port > 65535)
		return error_set(err, -EBADMSG, "the collector's answer lacks something");
	return 0;
}

/* ---- the files ---- */

struct files {
	const struct agent_options *o;
	struct daemon_user user;
	bool give; /* to user: we are root and the agent will not be */
};

/* For the agent to read, and its own where it runs as a user of its own. */
static int put(const struct files *f, const char *name, const void *data, size_t len,
	       struct error *err)
{
	auto_free char *path = options_state_path(f->o, name);
	int rc;

	if (!path)
		return error_set(err, -ENOMEM, "no memory");
	rc = fs_write(path, 0644, data, len, err);
	if (rc == 0 && f->give && lchown(path, f->user.uid, f->user.gid) < 0)
		rc = error_sys(err, -errno, "cannot give '%s' to '%s'", path, f->o->user);
	return rc;
}

/* What memherd-actd believes: never where link could write or rename. */
static int put_trusted(const struct files *f, const char *name, const char *text, struct error *err)
{
	auto_free char *path = options_trust_path(f->o, name);

	if (!*f->o->trust_dir)
		return 0;
	if (!path)
		return error_set(err, -ENOMEM, "no memory");
	return fs_write(path, 0644, text, strlen(text), err);
}

/* Two agents of one host would each make the other's memherd-actd refuse every command. */
static int trust_is_free(const struct agent_options *o, struct error *err)
{
	auto_free char *path = NULL;

	if (!*o->trust_dir)
		return 0;
	if (asprintf(&path, "%s/%s", o->trust_dir, CREDENTIALS_UUID) < 0) {
		path = NULL;
		return error_set(err, -ENOMEM, "no memory");
	}
	if (access(path, F_OK) == 0)
		return error_set(err, -EEXIST,
				 "'%s' is there already: an agent of this host is enrolled "
				 "(--force replaces it)",
				 path);
	return 0;
}

/* sense keeps its black box there, so the folder is the user's. */
static int make_state_dir(const struct files *f, struct error *err)
{
	int rc = fs_mkdir(f->o->state_dir, 0755, err);

	if (rc == 0 && f->give && lchown(f->o->state_dir, f->user.uid, f->user.gid) < 0)
		rc = error_sys(err, -errno, "cannot give '%s' to '%s'", f->o->state_dir,
			       f->o->user);
	return rc;
}

/* Said before the token is used up. */
static int make_trust_dir(const struct files *f, struct error *err)
{
	const char *dir = f->o->trust_dir;
	int rc = *dir ? fs_mkdir(dir, 0755, err) : 0;

	if (rc == 0 && *dir && f->give)
		rc = fs_check_root_owned(dir, err);
	if (rc < 0)
		error_wrap(err, "trust_dir");
	return rc;
}

static int put_key(const struct files *f, const char *made, struct error *err)
{
	auto_free char *path = options_state_path(f->o, CREDENTIALS_KEY);

	if (!path)
		return error_set(err, -ENOMEM, "no memory");
	if (f->give && lchown(made, f->user.uid, f->user.gid) < 0)
		return error_sys(err, -errno, "cannot give '%s' to '%s'", made, f->o->user);
	if (rename(made, path) < 0)
		return error_sys(err, -errno, "cannot rename '%s'", made);
	return 0;
}

static int put_all(const struct files *f, const struct wire_enroll_reply *r,
		   const struct token *token, const char *made_key, struct error *err)
{
	char uuid[UUID_TEXT_SIZE + 1];
	char hex[2 * SIGN_KEY_SIZE + 2];
	char at[TOKEN_HOST_MAX + 16];
	bool v6 = strchr(token->host, ':') != NULL;
	int rc;

	uuid_text(uuid, r->host_uuid.data);
	strcat(uuid, "\n");
	str_hex(hex, r->command_key.data, SIGN_KEY_SIZE);
	strcat(hex, "\n");
	snprintf(at, sizeof(at), "%s%s%s:%u\n", v6 ? "[" : "", token->host, v6 ? "]" : "",
		 (unsigned)r->stream_port);

	rc = put(f, CREDENTIALS_CA, r->ca.data, r->ca.len, err);
	if (rc == 0)
		rc = put_trusted(f, CREDENTIALS_UUID, uuid, err);
	if (rc == 0)
		rc = put_trusted(f, CREDENTIALS_COMMAND_KEY, hex, err);
	if (rc == 0)
		rc = put(f, CREDENTIALS_COLLECTOR, at, strlen(at), err);
	if (rc == 0)
		rc = put_key(f, made_key, err);
	if (rc == 0)
		rc = put(f, CREDENTIALS_CERT, r->certificate.data, r->certificate.len, err);
	return rc;
}

/* A leftover of an enrolment that was interrupted would be in the way of the new one. */
static int enroll_with_key(const struct files *f, const struct token *token, const char *made_key,
			   struct error *err)
{
	auto_buf struct buf csr = BUF_INIT(CSR_MAX);
	auto_arena struct arena arena;
	struct wire_enroll_reply reply;
	struct talk t = {.magic = MAGIC,
			 .request = BUF_INIT(FRAME_MAX_PAYLOAD),
			 .reply = BUF_INIT(REPLY_MAX)};
	int rc;

	arena_init(&arena, WIRE_BUDGET(REPLY_MAX));
	unlink(made_key);
	rc = tls_make_csr(made_key, "memherd-host", &csr, err);
	if (rc == 0)
		rc = pack_request(&t.request, f->o, token, &csr, err);
	if (rc == 0)
		rc = converse(&t, token, err);
	if (rc == 0)
		rc = wire_unpack_enroll_reply(&arena, t.reply.data, t.reply.len, &reply, err);
	if (rc == 0)
		rc = judge(&reply, err);
	if (rc == 0)
		rc = put_all(f, &reply, token, made_key, err);
	if (t.request.data)
		explicit_bzero(t.request.data, t.request.len);
	buf_fini(&t.request);
	buf_fini(&t.reply);
	if (rc < 0)
		unlink(made_key);
	return rc;
}

int enroll_run(const struct agent_options *o, const struct token *token, bool force,
	       struct error *err)
{
	auto_free char *made_key = options_state_path(o, CREDENTIALS_KEY ".new");
	struct files f = {.o = o, .give = geteuid() == 0};
	int rc = 0;

	if (!made_key)
		return error_set(err, -ENOMEM, "no memory");
	if (!force && credentials_check(o, NULL) == 0)
		return error_set(err, -EEXIST,
				 "this host is enrolled already: '%s/%s' is there (--force "
				 "replaces it)",
				 o->state_dir, CREDENTIALS_CERT);
	if (!force)
		rc = trust_is_free(o, err);
	if (rc == 0 && f.give)
		rc = daemon_find_user(o->user, &f.user, err);
	if (rc == 0)
		rc = make_state_dir(&f, err);
	if (rc == 0)
		rc = make_trust_dir(&f, err);
	return rc < 0 ? rc : enroll_with_key(&f, token, made_key, err);
}
