/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/relay.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/record.h"
#include "common/arena.h"
#include "common/str.h"

#define MAGIC 0x72656c61U

struct relay {
	uint32_t magic;
	struct event_base *base;
	char *path;
	const struct relay_ops *ops;
	void *arg;
	struct command_request queue[RELAY_QUEUE]; /* a ring; the first is under way when fd >= 0 */
	size_t first;
	size_t n;
	int fd;
	struct event *answer;
};

static int dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	auto_close int fd = -1;

	if (!str_copy(to.sun_path, sizeof(to.sun_path), path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return take_fd(fd);
}

int relay_new(struct event_base *base, const char *socket_path, const struct relay_ops *ops,
	      void *arg, struct relay **ret)
{
	struct relay *r = calloc(1, sizeof(*r));
	char *path = strdup(socket_path);

	if (!r || !path) {
		free(r);
		free(path);
		return -ENOMEM;
	}
	*r = (struct relay){
		.magic = MAGIC, .base = base, .path = path, .ops = ops, .arg = arg, .fd = -1};
	*ret = r;
	return 0;
}

static void hang_up(struct relay *r)
{
	if (r->answer)
		event_free(r->answer);
	r->answer = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void relay_free(struct relay **r)
{
	if (!*r)
		return;
	hang_up(*r);
	free((*r)->path);
	free(*r);
	*r = NULL;
}

bool relay_reachable(const struct relay *r)
{
	auto_close int fd = dial(r->path);

	return fd >= 0;
}

/* The result for a command that actd did not answer. */
static void make_result(const struct command_request *q, enum command_status status,
			const char *detail, uint8_t out[COMMAND_RESULT_SIZE])
{
	struct command_result res = {.status = status,
				     .rss_before = -1,
				     .rss_after = -1,
				     .swap_before = -1,
				     .swap_after = -1};
	struct command c;

	/* Unsigned as far as we know: only the id is used, and only to answer the sender. */
	if (command_unpack(q->body, sizeof(q->body), &c, NULL) == 0)
		memcpy(res.id, c.id, sizeof(res.id));
	str_copy(res.detail, sizeof(res.detail), detail);
	command_result_pack(out, &res);
}

static void fail_first(struct relay *r, enum command_status status, const char *detail)
{
	uint8_t out[COMMAND_RESULT_SIZE];

	make_result(&r->queue[r->first], status, detail, out);
	hang_up(r);
	r->first = (r->first + 1) % RELAY_QUEUE;
	r->n--;
	r->ops->done(r->arg, out);
}

/*
 * memherd-actd says nothing of a command whose signature it refuses, not even its id; the collector
 * must still know which of its commands was refused.
 */
static void name_answer(const struct command_request *q, uint8_t out[COMMAND_RESULT_SIZE])
{
	static const uint8_t nobody[16];
	struct command_result res;
	struct command c;

	if (command_result_unpack(out, COMMAND_RESULT_SIZE, &res, NULL) < 0 ||
	    memcmp(res.id, nobody, sizeof(nobody)) != 0 ||
	    command_unpack(q->body, sizeof(q->body), &c, NULL) < 0)
		return;
	memcpy(res.id, c.id, sizeof(res.id));
	command_result_pack(out, &res);
}

static void start_first(struct relay *r);

/*
 * One datagram and the file that may come with it, which is closed unless it is returned: the
 * kernel leaves out what the control buffer has no room for.
 */
static ssize_t receive(int fd, uint8_t *out, size_t size, int *ret_file)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = out, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	*ret_file = -1;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_file, CMSG_DATA(head), sizeof(*ret_file));
	return n;
}

/*
 * What memherd-actd made. It runs as root, but it reads hostile memory: the file must be sealed, of
 * a record's size, and decode as what it is said to be.
 */
static int read_body(int file, enum wire_record kind, struct buf *b, int64_t *ret_t_wall_us,
		     struct error *err)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	auto_arena struct arena arena = {0};
	struct wire_snapshot snapshot;
	struct wire_census census;
	struct stat st;
	uint8_t *to;
	int rc;

	if ((fcntl(file, F_GET_SEALS) & seals) != seals)
		return error_set(err, -EPERM, "the file is not sealed");
	if (fstat(file, &st) < 0 || st.st_size <= 0 || st.st_size > RECORD_MAX_BODY)
		return error_set(err, -E2BIG, "%lld bytes, at most %u are taken",
				 (long long)st.st_size, RECORD_MAX_BODY);
	to = buf_reserve(b, (size_t)st.st_size);
	if (!to || pread(file, to, (size_t)st.st_size, 0) != st.st_size)
		return error_set(err, -EIO, "cannot read %lld bytes", (long long)st.st_size);
	b->len = (size_t)st.st_size;
	arena_init(&arena, WIRE_BUDGET(b->len));
	if (kind == WIRE_CENSUS) {
		rc = wire_unpack_census(&arena, b->data, b->len, &census, err);
		*ret_t_wall_us = rc == 0 ? census.t_wall_us : 0;
	} else {
		rc = wire_unpack_snapshot(&arena, b->data, b->len, &snapshot, err);
		*ret_t_wall_us = rc == 0 ? snapshot.t_wall_us : 0;
	}
	return rc;
}

/* By the command that is answered. */
static enum wire_record kind_of(const struct command_request *q)
{
	struct command c;

	if (command_unpack(q->body, sizeof(q->body), &c, NULL) == 0 && snapshot_layout_of(c.action))
		return WIRE_SNAPSHOT;
	return WIRE_CENSUS;
}

static void take_body(struct relay *r, int file)
{
	enum wire_record kind = kind_of(&r->queue[r->first]);
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};
	int64_t t_wall_us = 0;

	if (file < 0)
		return;
	if (read_body(file, kind, &b, &t_wall_us, &err) < 0)
		r->ops->body(r->arg, kind, NULL, 0, 0, err.msg);
	else
		r->ops->body(r->arg, kind, b.data, b.len, t_wall_us, "");
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;
	uint8_t out[COMMAND_RESULT_SIZE + 1];
	auto_close int file = -1;
	ssize_t n;

	MAGIC_CHECK(r, MAGIC);
	if (what & EV_TIMEOUT) {
		fail_first(r, COMMAND_UNKNOWN, "memherd-actd did not answer in time");
	} else {
		n = receive(fd, out, sizeof(out), &file);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			event_add(r->answer, &(struct timeval){.tv_sec = RELAY_LIMIT_SEC});
			return;
		}
		if (n != COMMAND_RESULT_SIZE) {
			fail_first(r, COMMAND_UNKNOWN, "memherd-actd ended without an answer");
		} else {
			name_answer(&r->queue[r->first], out);
			take_body(r, file);
			hang_up(r);
			r->first = (r->first + 1) % RELAY_QUEUE;
			r->n--;
			r->ops->done(r->arg, out);
		}
	}
	start_first(r);
}

/* 0 when the first command is on its way. */
static int send_first(struct relay *r)
{
	const struct timeval limit = {.tv_sec = RELAY_LIMIT_SEC};
	const struct command_request *q = &r->queue[r->first];
	size_t size = q->has_warrant ? COMMAND_REQUEST_SIGNED_SIZE : COMMAND_REQUEST_SIZE;

	r->fd = dial(r->path);
	if (r->fd < 0)
		return r->fd;
	r->answer = event_new(r->base, r->fd, EV_READ, on_answer, r);
	if (!r->answer || event_add(r->answer, &limit) < 0)
		return -ENOMEM;
	r->ops->start(r->arg, q);
	if (send(r->fd, q, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		return -EIO;
	return 0;
}

static void start_first(struct relay *r)
{
	while (r->n && r->fd < 0 && send_first(r) < 0)
		fail_first(r, COMMAND_UNREACHABLE, "memherd-actd does not run on this host");
}

int relay_submit(struct relay *r, const struct wire_command *c, struct error *err)
{
	struct command_request q = {.has_warrant = c->warrant.len};
	uint8_t out[COMMAND_RESULT_SIZE];

	if (c->warrant.len && c->warrant.len != sizeof(q.warrant))
		return error_set(err, -EBADMSG, "command with an operator's part of %zu bytes",
				 c->warrant.len);
	if (c->body.len != sizeof(q.body) || c->signature.len != sizeof(q.signature))
		return error_set(err, -EBADMSG, "command of %zu bytes with a signature of %zu",
				 c->body.len, c->signature.len);
	memcpy(q.body, c->body.data, sizeof(q.body));
	memcpy(q.signature, c->signature.data, sizeof(q.signature));
	if (q.has_warrant)
		memcpy(&q.warrant, c->warrant.data, sizeof(q.warrant));
	if (r->n == RELAY_QUEUE) {
		make_result(&q, COMMAND_FAILED, "too many commands wait on this host", out);
		r->ops->done(r->arg, out);
		return 0;
	}
	r->queue[(r->first + r->n) % RELAY_QUEUE] = q;
	r->n++;
	start_first(r);
	return 0;
}
