/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.h - ends of processes as the kernel's proc connector tells them: one netlink datagram for
 * each. The socket was opened and filtered by the supervisor (agent/inherit.h) and is not owned
 * here; what it gives is judged anyway. Formats: linux/netlink.h, connector.h, cn_proc.h.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_EXITS_H
#define MEMHERD_AGENT_SENSE_OOM_EXITS_H

#include <stdint.h>

#include "common/check.h"

/* A whole process that ended: its last words are not its threads'. */
struct exit_news {
	uint32_t pid;
	uint32_t wait_status; /* as wait(2) gives it */
	uint64_t t_ns;        /* CLOCK_MONOTONIC */
};

/* One datagram; -EBADMSG for anything but the end of a whole process. */
int exits_parse(const void *data, size_t len, struct exit_news *ret) must_use;

enum exits_result {
	EXITS_NONE = 0,  /* nothing is waiting */
	EXITS_NEWS = 1,  /* *ret is set */
	EXITS_OTHER = 2, /* something else was waiting and is gone: go on */
	EXITS_GAP = 3,   /* the kernel had to drop some: go on */
};
/* The next one; or -errno: the socket is of no more use. */
int exits_next(int fd, struct exit_news *ret) must_use;

#endif
