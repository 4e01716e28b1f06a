/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>

#include "collector/api/guard.h"
#include "common/clock.h"
#include "common/str.h"

#define PEER_MAGIC 0x70656572u
/* How long a refused client may take to read why. */
#define FAREWELL_US (2 * USEC_PER_SEC)

/* X(NAME): what a connection is at; each has a deadline. */
#define PEER_PHASE_LIST(X)                                  \
	X(FIRST)  /* accepted, nothing asked yet */         \
	X(IDLE)   /* between requests */                    \
	X(READ)   /* part of a request has come */          \
	X(ANSWER) /* a request is being answered */         \
	X(REFUSE) /* the last bytes are on their way out */ \
	X(LINGER) /* said all; the client may read it */    \
	X(CUT)    /* shut down; evhttp will free it */

enum peer_phase {
#define X(NAME) PEER_##NAME,
	PEER_PHASE_LIST(X)
#undef X
};

struct peer {
	unsigned magic;
	struct peers *set; /* NULL once the set is gone */
	struct bufferevent *lower;
	struct bufferevent *upper; /* key in set->all */
	struct event *timer;
	struct guard guard;
	enum peer_phase phase;
	uint64_t answered;
	int refusal; /* status that waits until earlier answers are out; 0 = none */
	bool admitted;
	bool last; /* the connection ends with the answer at hand */
	bool loopback;
	char address[PEER_ADDRESS_SIZE];
	UT_hash_handle hh;
};

struct peers {
	struct event_base *base;
	struct peer_limits limits;
	peer_farewell *farewell;
	struct peer *all;
	struct peer_stats stats;
};

int peers_new(struct event_base *base, const struct peer_limits *limits, peer_farewell *farewell,
	      struct peers **ret)
{
	struct peers *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	set->base = base;
	set->limits = *limits;
	set->farewell = farewell;
	*ret = set;
	return 0;
}

void peers_free(struct peers **set)
{
	struct peer *p;
	struct peer *next;

	if (!*set)
		return;
	HASH_ITER (hh, (*set)->all, p, next) {
		HASH_DEL((*set)->all, p);
		event_free(take_ptr(p->timer));
		p->set = NULL;
	}
	free(take_ptr(*set));
}

const struct peer_stats *peers_stats(const struct peers *set)
{
	return &set->stats;
}

struct peer *peers_find(struct peers *set, const struct bufferevent *bev)
{
	struct peer *p;

	HASH_FIND_PTR(set->all, &bev, p);
	return p;
}

const char *peer_address(const struct peer *p)
{
	return p->address;
}

struct bufferevent *peer_lower(const struct peer *p)
{
	return p->lower;
}

static int64_t phase_limit(const struct peer *p)
{
	const struct peer_limits *l = &p->set->limits;

	switch (p->phase) {
	case PEER_FIRST:
		return l->first_us;
	case PEER_IDLE:
		return l->idle_us;
	case PEER_READ:
		return l->read_us;
	case PEER_ANSWER:
		return l->answer_us;
	case PEER_REFUSE:
	case PEER_LINGER:
	case PEER_CUT:
		break;
	}
	return FAREWELL_US;
}

static void arm(struct peer *p, int64_t us)
{
	struct timeval tv = {.tv_sec = us / USEC_PER_SEC, .tv_usec = us % USEC_PER_SEC};

	event_add(p->timer, &tv);
}

static void go(struct peer *p, enum peer_phase phase)
{
	if (!p->set)
		return;
	p->phase = phase;
	arm(p, phase_limit(p));
}

static void cut(struct peer *p)
{
	evutil_socket_t fd = bufferevent_getfd(p->lower);

	go(p, PEER_CUT);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

static const char *status_text(int status)
{
	switch (status) {
	case 408:
		return "Request Timeout";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 417:
		return "Expectation Failed";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

/* The one answer that does not come from evhttp: by now nobody knows where a request ends. */
static void send_refusal(struct peer *p)
{
	struct evbuffer *out = bufferevent_get_output(p->lower);
	char body[384];
	int n = snprintf(
		body, sizeof(body),
		"{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}\n",
		status_text(p->refusal), p->refusal, p->guard.reason);

	evbuffer_add_printf(out,
			    "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
			    "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
			    p->refusal, status_text(p->refusal), n, body);
	go(p, PEER_REFUSE);
}

static void refuse(struct peer *p, int status)
{
	p->refusal = status;
	if (p->set)
		p->set->stats.refused++;
	if (p->answered == p->guard.requests)
		send_refusal(p);
}

/* All that was answered has left this process. */
static bool is_drained(const struct peer *p)
{
	return p->answered == p->guard.requests &&
	       evbuffer_get_length(bufferevent_get_output(p->lower)) == 0;
}

static void settle(struct peer *p)
{
	if (p->phase >= PEER_REFUSE || !p->set)
		return;
	if (!is_drained(p))
		go(p, PEER_ANSWER);
	else if (p->last)
		go(p, PEER_REFUSE);
	else if (p->refusal)
		send_refusal(p);
	else if (guard_is_idle(&p->guard))
		go(p, PEER_IDLE);
	else if (p->phase != PEER_READ)
		go(p, PEER_READ); /* the deadline runs from the first byte on */
	if (p->phase == PEER_REFUSE && is_drained(p))
		arm(p, 0);
}

void peer_answered(struct peer *p)
{
	if (p->answered < p->guard.requests)
		p->answered++;
	settle(p);
}

void peer_end(struct peer *p)
{
	p->last = true;
}

static unsigned count_address(const struct peers *set, const char *address)
{
	unsigned n = 0;
	const struct peer *p;

	for (p = set->all; p; p = p->hh.next)
		n += strcmp(p->address, address) == 0;
	return n;
}

static void read_address(struct peer *p)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const struct sockaddr_in *v4 = (const void *)&ss;
	const struct sockaddr_in6 *v6 = (const void *)&ss;

	if (getpeername(bufferevent_getfd(p->lower), (struct sockaddr *)&ss, &len) < 0)
		return;
	if (ss.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, p->address, sizeof(p->address));
		p->loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
	} else if (ss.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, p->address, sizeof(p->address));
		p->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
}

/* evhttp sets the socket only after the bufferevent is made, so the caps are held one turn later.
 */
static void admit(struct peer *p)
{
	const struct peer_limits *l = &p->set->limits;

	p->admitted = true;
	read_address(p);
	arm(p, l->first_us);
	p->guard.reason = "too many connections";
	if (p->set->stats.open > l->connections ||
	    (!p->loopback && count_address(p->set, p->address) > l->per_address))
		refuse(p, 503);
}

static void expire(struct peer *p)
{
	if (p->phase == PEER_ANSWER && is_drained(p)) {
		settle(p);
		return;
	}
	p->set->stats.timeouts += p->phase == PEER_READ || p->phase == PEER_ANSWER;
	if (p->phase == PEER_READ) {
		p->guard.reason = "the request did not come whole in time";
		refuse(p, 408);
	} else if (p->phase == PEER_REFUSE) {
		p->set->farewell(p->lower);
		shutdown(bufferevent_getfd(p->lower), SHUT_WR);
		go(p, PEER_LINGER);
	} else if (p->phase != PEER_CUT) {
		cut(p);
	}
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct peer *p = arg;

	MAGIC_CHECK(p, PEER_MAGIC);
	if (p->admitted)
		expire(p);
	else
		admit(p);
}

static void on_lower_output(struct evbuffer *b, const struct evbuffer_cb_info *info unused_arg,
			    void *arg)
{
	struct peer *p = arg;

	MAGIC_CHECK(p, PEER_MAGIC);
	if (p->set && evbuffer_get_length(b) == 0 &&
	    (p->phase == PEER_REFUSE || (p->phase == PEER_ANSWER && is_drained(p))))
		arm(p, 0);
}

static enum bufferevent_filter_result pass(struct peer *p, struct evbuffer *src,
					   struct evbuffer *dst)
{
	size_t len = evbuffer_get_length(src);
	int64_t n;

	if (p->set && !p->admitted)
		admit(p);
	if (p->refusal || p->last || !p->set) {
		evbuffer_drain(src, len);
		return BEV_NEED_MORE;
	}
	/* A head is looked at whole, so it must lie in one piece; a body's pieces go on as they
	 * are. */
	if (!p->guard.body_left)
		len = MIN_OF(len, (size_t)GUARD_HEAD_MAX);
	else
		len = MIN_OF(len, evbuffer_get_contiguous_space(src));
	n = guard_feed(&p->guard, evbuffer_pullup(src, (ev_ssize_t)len), len);
	if (n < 0) {
		refuse(p, (int)-n);
		return BEV_NEED_MORE;
	}
	if (n > 0)
		evbuffer_remove_buffer(src, dst, (size_t)n);
	settle(p);
	return n > 0 ? BEV_OK : BEV_NEED_MORE;
}

static enum bufferevent_filter_result on_input(struct evbuffer *src, struct evbuffer *dst,
					       ev_ssize_t limit unused_arg,
					       enum bufferevent_flush_mode mode unused_arg,
					       void *arg)
{
	struct peer *p = arg;

	MAGIC_CHECK(p, PEER_MAGIC);
	return pass(p, src, dst);
}

static void on_free(void *arg)
{
	struct peer *p = arg;

	MAGIC_CHECK(p, PEER_MAGIC);
	if (p->set) {
		HASH_DEL(p->set->all, p);
		p->set->stats.open--;
		event_free(p->timer);
	}
	p->magic = 0;
	free(p);
}

struct bufferevent *peers_wrap(struct peers *set, struct bufferevent *lower)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		goto fail;
	p->magic = PEER_MAGIC;
	p->lower = lower;
	guard_init(&p->guard);
	p->timer = evtimer_new(set->base, on_timer, p);
	if (!p->timer)
		goto fail;
	/* Deferred, so that evhttp never hears that an answer is out while it still writes it. */
	p->upper =
		bufferevent_filter_new(lower, on_input, NULL,
				       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS, on_free, p);
	if (!p->upper)
		goto fail;
	evbuffer_add_cb(bufferevent_get_output(lower), on_lower_output, p);
	p->set = set;
	HASH_ADD_PTR(set->all, upper, p);
	set->stats.open++;
	set->stats.accepted++;
	arm(p, 0);
	return p->upper;
fail:
	if (p && p->timer)
		event_free(p->timer);
	free(p);
	bufferevent_free(lower);
	return NULL;
}
