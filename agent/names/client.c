/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/str.h"

#define TAKE_MAX 64

void names_client_init(struct names_client *c, int fd)
{
	*c = (struct names_client){.fd = fd};
}

bool names_is_id(const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f')))
			return false;
	return len == NAMES_ID_LEN;
}

int names_client_ask(struct names_client *c, const char *id)
{
	struct names_question q;

	if (c->fd < 0)
		return -ENOTCONN;
	if (!names_is_id(id, strnlen(id, NAMES_ID_LEN + 1)))
		return -EINVAL;
	memcpy(q.id, id, sizeof(q.id));
	if (send(c->fd, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == ENOBUFS || errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return 0;
}

static bool is_text(const char s[NAMES_TEXT_SIZE])
{
	size_t len = strnlen(s, NAMES_TEXT_SIZE);

	return len < NAMES_TEXT_SIZE && str_is_safe(s, len);
}

static bool is_answer(const struct names_answer *a, ssize_t len)
{
	return len == (ssize_t)sizeof(*a) && names_is_id(a->id, sizeof(a->id)) &&
	       a->status <= NAMES_TROUBLE && is_text(a->name) && is_text(a->service) &&
	       is_text(a->image);
}

int names_client_take(struct names_client *c, names_taker take, void *arg)
{
	int taken = 0;

	for (int i = 0; c->fd >= 0 && i < TAKE_MAX; i++) {
		struct names_answer a;
		ssize_t n = recv(c->fd, &a, sizeof(a), MSG_DONTWAIT | MSG_TRUNC);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? taken : -errno;
		if (!is_answer(&a, n)) {
			c->bad++;
			continue;
		}
		take(arg, &a);
		taken++;
	}
	return taken;
}
