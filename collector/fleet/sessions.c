/* SPDX-License-Identifier: Apache-2.0 */
/* All agents' connections: taken in, found, told, ended. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/fleet/session_inner.h"
#include "common/log.h"

#define OUT_MAX    (256 * 1024)
#define AGENT_RATE (256 * 1024) /* bytes a second, where nothing else is set */

struct session *sessions_streaming(struct sessions *all, int32_t host_id)
{
	struct session *s;

	TAILQ_FOREACH (s, &all->list, link)
		if (s->host_id == host_id && session_is(s, SESSION_STREAMING))
			return s;
	return NULL;
}

void sessions_accept(void *arg, int fd, const struct admission *a)
{
	struct sessions *all = arg;
	struct admission admission = *a;
	struct session *s = session_new(all, a);
	struct error err = {""};

	if (!s) {
		close(fd);
		listener_closed(&admission);
		return;
	}
	all->stats.accepted++;
	if (conn_accept(all->base, all->tls, fd, OUT_MAX, &session_ops, s, &s->conn, &err) < 0) {
		log_warn("a connection could not be taken error=\"%s\"", err.msg);
		listener_closed(&s->admission);
		session_free(s);
		return;
	}
	conn_max_payload(s->conn, FRAME_MAX_GREETING);
}

int sessions_new(struct event_base *base, struct tls_ctx *tls, struct registry *registry,
		 struct store *store, struct ingest *ingest, const struct sessions_ops *ops,
		 void *arg, struct sessions **ret)
{
	struct sessions *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->base = base;
	all->tls = tls;
	all->registry = registry;
	all->store = store;
	all->ingest = ingest;
	all->ops = ops;
	all->arg = arg;
	all->second_ms = 1000;
	all->agent_rate = AGENT_RATE;
	TAILQ_INIT(&all->list);
	*ret = all;
	return 0;
}

void sessions_limit(struct sessions *all, int64_t bytes_per_second)
{
	all->agent_rate = bytes_per_second;
}

void sessions_hasten(struct sessions *all, unsigned second_ms)
{
	all->second_ms = second_ms;
}

void sessions_free(struct sessions **all)
{
	struct session *s;

	if (!*all)
		return;
	while ((s = TAILQ_FIRST(&(*all)->list))) {
		conn_free(&s->conn);
		session_free(s);
	}
	free(*all);
	*all = NULL;
}

void sessions_goodbye(struct sessions *all)
{
	struct session *s;

	TAILQ_FOREACH (s, &all->list, link)
		session_go_away(s, WIRE_GOAWAY_SHUTDOWN, SHUTDOWN_RETRY_MIN_MS,
				SHUTDOWN_RETRY_MAX_MS, "the collector stops");
}

void sessions_ack(struct sessions *all, int32_t host_id, uint64_t epoch, uint64_t seq)
{
	struct session *s = sessions_streaming(all, host_id);
	auto_buf struct buf b = BUF_INIT(64);

	if (!s)
		return;
	wire_pack_ack(&b, &(struct wire_ack){.epoch = epoch, .seq = seq});
	if (session_send(s, FRAME_ACK, &b) < 0)
		session_go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
				"the agent does not read");
}

void sessions_resume(struct sessions *all)
{
	struct session *s;
	struct session *next;

	for (s = TAILQ_FIRST(&all->list); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->paused)
			session_resume(s);
	}
}

int sessions_send_command(struct sessions *all, int32_t host_id,
			  const struct command_request *request)
{
	struct session *s = sessions_streaming(all, host_id);
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct wire_command m = {
		.body = {request->body, sizeof(request->body)},
		.signature = {request->signature, sizeof(request->signature)},
	};

	if (!s)
		return -ENOTCONN;
	if (request->has_warrant)
		m.warrant = (struct wire_blob){(const uint8_t *)&request->warrant,
					       sizeof(request->warrant)};
	wire_pack_command(&b, &m);
	return session_send(s, FRAME_COMMAND, &b);
}

void sessions_drop(struct sessions *all, int32_t host_id, enum wire_goaway_reason reason)
{
	struct session *s = sessions_streaming(all, host_id);

	if (s)
		session_go_away(s, reason, REFUSED_RETRY_MIN_MS, REFUSED_RETRY_MAX_MS,
				"dropped by an operator");
}

const struct sessions_stats *sessions_stats(const struct sessions *all)
{
	return &all->stats;
}
