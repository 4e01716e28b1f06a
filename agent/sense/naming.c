/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/naming.h"

#include <errno.h>

#include "agent/sense/identify.h"

#define ASK_MAX 16

void naming_init(struct naming *n, struct sampler *sampler, int fd)
{
	*n = (struct naming){.sampler = sampler};
	names_client_init(&n->client, fd);
}

static void on_answer(void *arg, const struct names_answer *a)
{
	struct naming *n = arg;
	char before[NAMES_TEXT_SIZE + 32];

	if (containers_learn(&n->sampler->containers, a, before, sizeof(before)))
		identify_renamed(n->sampler, before);
}

int naming_turn(struct naming *n, int64_t now_us)
{
	const char *ids[ASK_MAX];
	int taken = names_client_take(&n->client, on_answer, n);
	size_t wanted;

	if (taken == -EPIPE)
		n->client.fd = -1;
	if (n->client.fd < 0)
		return taken;
	wanted = containers_wanted(&n->sampler->containers, now_us, ids, ASK_MAX);
	for (size_t i = 0; i < wanted; i++)
		/* a full queue: it is wanted again in a minute */
		if (names_client_ask(&n->client, ids[i]) < 0)
			break;
	return taken;
}
