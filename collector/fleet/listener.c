/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/clock.h"

/* Addresses share these counters by hash: a collision makes two of them share a cap, no more. */
#define ADDRESS_SLOTS 4096

struct listener {
	struct evconnlistener *socket;
	struct listener_limits limits;
	listener_accept *accept;
	void *arg;
	uint16_t port;
	unsigned open;
	uint64_t refused;
	double tokens;
	int64_t refilled_us;
	uint16_t fresh[ADDRESS_SLOTS];
};

static uint32_t hash_address(const struct sockaddr *sa)
{
	const uint8_t *p;
	size_t n;
	uint32_t h = 2166136261u;

	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		/* One customer's /64 is one address. */
		p = in6->sin6_addr.s6_addr;
		n = 8;
	} else {
		const struct sockaddr_in *in = (const void *)sa;

		p = (const uint8_t *)&in->sin_addr;
		n = 4;
	}
	while (n--)
		h = (h ^ *p++) * 16777619u;
	return h % ADDRESS_SLOTS;
}

static bool take_token(struct listener *l)
{
	int64_t now = clock_boot_us();

	l->tokens += (double)(now - l->refilled_us) * l->limits.per_second / 1e6;
	l->tokens = MIN_OF(l->tokens, (double)l->limits.per_second);
	l->refilled_us = now;
	if (l->tokens < 1)
		return false;
	l->tokens -= 1;
	return true;
}

static void on_accept(struct evconnlistener *socket unused_arg, evutil_socket_t fd,
		      struct sockaddr *sa, int len unused_arg, void *arg)
{
	struct listener *l = arg;
	struct admission a = {.listener = l, .address_hash = hash_address(sa)};

	if (l->open >= l->limits.max_open ||
	    l->fresh[a.address_hash] >= l->limits.max_new_per_address || !take_token(l)) {
		l->refused++;
		close(fd);
		return;
	}
	l->open++;
	l->fresh[a.address_hash]++;
	l->accept(l->arg, fd, &a);
}

static int resolve(const char *address, struct addrinfo **ret, struct error *err)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM};
	char host[ADDRESS_HOST_SIZE];
	char service[8];
	uint16_t port;
	int rc;

	if (address_parse(address, host, &port) < 0)
		return error_set(err, -EINVAL, "address '%s': expected host:port", address);
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(*host ? host : NULL, service, &hints, ret);
	if (rc)
		return error_set(err, -EINVAL, "address '%s': %s", address, gai_strerror(rc));
	return 0;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}

int listener_new(struct event_base *base, const char *address, const struct listener_limits *limits,
		 listener_accept *accept_cb, void *arg, struct listener **ret, struct error *err)
{
	struct addrinfo *ai;
	struct listener *l;
	int one = 1;
	int rc = resolve(address, &ai, err);

	if (rc < 0)
		return rc;
	l = calloc(1, sizeof(*l));
	if (!l) {
		freeaddrinfo(ai);
		return error_set(err, -ENOMEM, "no memory to listen on '%s'", address);
	}
	l->limits = *limits;
	l->accept = accept_cb;
	l->arg = arg;
	l->tokens = limits->per_second;
	l->refilled_us = clock_boot_us();
	errno = 0;
	l->socket = evconnlistener_new_bind(base, on_accept, l,
					    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
						    LEV_OPT_REUSEABLE,
					    512, ai->ai_addr, (int)ai->ai_addrlen);
	rc = -errno;
	freeaddrinfo(ai);
	if (!l->socket) {
		free(l);
		return error_sys(err, rc ? rc : -EINVAL, "cannot listen on '%s'", address);
	}
	setsockopt(evconnlistener_get_fd(l->socket), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	l->port = bound_port(evconnlistener_get_fd(l->socket));
	*ret = l;
	return 0;
}

void listener_stop(struct listener *l)
{
	if (!l || !l->socket)
		return;
	evconnlistener_free(l->socket);
	l->socket = NULL;
}

void listener_free(struct listener **l)
{
	if (!*l)
		return;
	listener_stop(*l);
	free(*l);
	*l = NULL;
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

void listener_greeted(struct admission *a)
{
	if (a->greeted)
		return;
	a->greeted = true;
	a->listener->fresh[a->address_hash]--;
}

void listener_closed(struct admission *a)
{
	listener_greeted(a);
	a->listener->open--;
}

uint64_t listener_refused(const struct listener *l)
{
	return l->refused;
}
