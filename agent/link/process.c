/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/process.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "common/heap.h"
#include "common/log.h"

#define MAGIC 0x6c70726fU

struct process {
	uint32_t magic;
	struct event_base *base;
	struct link *link;
	struct event *control;
	struct event *term;
};

/* One descriptor, or -errno; -EPIPE when the other end is closed. */
static int receive_fd(int control)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = room.bytes,
			     .msg_controllen = sizeof(room.bytes)};
	ssize_t n = recvmsg(control, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	int fd;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void on_control(evutil_socket_t fd, short what unused_arg, void *arg)
{
	struct process *p = arg;
	struct error err = {""};
	int sense;

	MAGIC_CHECK(p, MAGIC);
	sense = receive_fd(fd);
	if (sense == -EAGAIN || sense == -EINTR)
		return;
	if (sense < 0) {
		log_error("link supervisor is gone error='%s'", strerror(-sense));
		event_del(p->control);
		link_stop(p->link);
		return;
	}
	if (link_attach(p->link, sense, &err) < 0)
		log_error("link cannot attach sense error='%s'", err.msg);
}

static void on_term(evutil_socket_t sig unused_arg, short what unused_arg, void *arg)
{
	struct process *p = arg;

	MAGIC_CHECK(p, MAGIC);
	link_stop(p->link);
}

static int set_up(struct process *p, const struct agent_options *o, const struct link_start *start,
		  int control, struct error *err)
{
	p->base = event_base_new();
	if (!p->base)
		return error_set(err, -ENOMEM, "cannot make an event loop");
	p->control = event_new(p->base, control, EV_READ | EV_PERSIST, on_control, p);
	p->term = evsignal_new(p->base, SIGTERM, on_term, p);
	if (!p->control || !p->term || event_add(p->control, NULL) < 0 ||
	    event_add(p->term, NULL) < 0)
		return error_set(err, -ENOMEM, "cannot watch the supervisor");
	return link_new(p->base, o, start, &p->link, err);
}

static void tear_down(struct process *p)
{
	link_free(&p->link);
	if (p->term)
		event_free(p->term);
	if (p->control)
		event_free(p->control);
	if (p->base)
		event_base_free(p->base);
}

/* Each is a stream of its own, and ends as one. */
static void say_end(const struct process *p, const struct link_start *start, enum lane_id id)
{
	struct spool_stats st;

	link_stats(p->link, id, &st);
	log_info("stream=%016" PRIx64 " ends lane=%s produced=%" PRIu64 " stored=%" PRIu64
		 " left=%" PRIu64,
		 start->epochs[id], lane_name(id), st.produced, st.acked, st.produced - st.acked);
}

int link_run(const struct agent_options *o, const struct link_start *start, int control)
{
	struct process p = {.magic = MAGIC};
	struct error err = {""};
	int rc;

	heap_tune();
	rc = set_up(&p, o, start, control, &err);

	if (rc < 0) {
		log_error("link cannot start error='%s'", err.msg);
	} else {
		event_base_dispatch(p.base);
		for (enum lane_id id = 0; id < LANE_COUNT; id++)
			say_end(&p, start, id);
	}
	tear_down(&p);
	close(control);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
