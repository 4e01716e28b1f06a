/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/diary.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/log.h"
#include "common/str.h"
#include "proto/wire.h"

#define MAGIC      0x64696172U
#define ANSWER_SEC 60 /* it answers nobody while it acts */

struct diary {
	uint32_t magic;
	struct event_base *base;
	char *path;
	diary_keep *keep;
	void *arg;
	struct event *timer;
	struct event *answer;
	int fd; /* -1 = nothing is asked */
	uint64_t kept;
};

static void hang_up(struct diary *d)
{
	if (d->answer)
		event_free(d->answer);
	d->answer = NULL;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static void tell(struct diary *d, const struct host_news *n)
{
	const struct command_span *j = &n->result.journal;
	static const char *const keys[] = {"what", "action", "status",  "pid",    "dry_run",
					   "id",   "record", "records", "before", "head"};
	char pid[16], id[UUID_TEXT_SIZE], record[24], records[16];
	char before[2 * COMMAND_LINK_SIZE + 1], head[2 * COMMAND_LINK_SIZE + 1];
	const char *action = command_action_word(n->action);
	const char *status = command_status_word(n->result.status);
	const char *values[] = {host_news_word(n->what),
				action ? action : "?",
				status ? status : "?",
				pid,
				n->dry_run ? "yes" : "no",
				id,
				record,
				records,
				before,
				head};
	const struct wire_event e = {.t_wall_us = n->t_wall_us,
				     .kind = WIRE_EVENT_ACTION,
				     .text = n->result.detail,
				     .keys = (const char **)(uintptr_t)keys,
				     .values = values,
				     .n_details = ARRAY_SIZE(keys)};

	snprintf(pid, sizeof(pid), "%" PRIu32, n->pid);
	uuid_text(id, n->result.id);
	snprintf(record, sizeof(record), "%" PRIu64, j->last);
	snprintf(records, sizeof(records), "%" PRIu32, j->records);
	str_hex(before, j->before, sizeof(j->before));
	str_hex(head, j->head, sizeof(j->head));
	d->keep(d->arg, &e);
}

/* True when there may be more. */
static bool take(struct diary *d, const uint8_t *answer, size_t len)
{
	struct host_news n;
	struct error err = {""};

	if (host_news_unpack(answer, len, &n, &err) < 0) {
		log_warn("diary error='%s'", err.msg);
		return false;
	}
	if (n.what != HOST_NEWS_NONE)
		tell(d, &n);
	d->kept = n.through;
	return n.what != HOST_NEWS_NONE;
}

static int send_question(struct diary *d)
{
	uint8_t question[HOST_NEWS_QUESTION];

	host_news_ask(question, d->kept);
	if (send(d->fd, question, sizeof(question), MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)sizeof(question))
		return -EPIPE;
	return event_add(d->answer, &(struct timeval){.tv_sec = ANSWER_SEC});
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct diary *d = arg;
	uint8_t answer[HOST_NEWS_SIZE + 1];
	ssize_t n;

	MAGIC_CHECK(d, MAGIC);
	n = what & EV_TIMEOUT ? -1 : recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	/* One before 0.2 hangs up on the question. */
	if (n <= 0 || !take(d, answer, (size_t)n) || send_question(d) < 0)
		hang_up(d);
}

static int dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || !str_copy(to.sun_path, sizeof(to.sun_path), path) ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -ENOTCONN;
	return take_fd(fd);
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct diary *d = arg;

	MAGIC_CHECK(d, MAGIC);
	if (d->fd >= 0)
		return;
	d->fd = dial(d->path);
	if (d->fd < 0)
		return;
	d->answer = event_new(d->base, d->fd, EV_READ, on_answer, d);
	if (!d->answer || send_question(d) < 0)
		hang_up(d);
}

int diary_new(struct event_base *base, const char *socket_path, diary_keep *keep, void *arg,
	      struct diary **ret)
{
	const struct timeval every = {.tv_sec = DIARY_EVERY_SEC};
	struct diary *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	*d = (struct diary){.magic = MAGIC,
			    .base = base,
			    .keep = keep,
			    .arg = arg,
			    .fd = -1,
			    .kept = HOST_NEWS_UNKNOWN};
	d->path = strdup(socket_path);
	d->timer = event_new(base, -1, EV_PERSIST, on_timer, d);
	if (!d->path || !d->timer || event_add(d->timer, &every) < 0) {
		diary_free(&d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void diary_free(struct diary **slot)
{
	struct diary *d = take_ptr(*slot);

	if (!d)
		return;
	hang_up(d);
	if (d->timer)
		event_free(d->timer);
	free(d->path);
	free(d);
}
