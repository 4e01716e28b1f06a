/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - the process that takes limits back. It does nothing else, so that no action keeps it
 * from looking once a second, and it outlives memherd-actd by the moment that it needs to take all
 * of them back.
 */
#ifndef MEMHERD_AGENT_ACT_WATCH_H
#define MEMHERD_AGENT_ACT_WATCH_H

#include "common/error.h"

/* First takes back what an end without notice has left. A pidfd that is readable when the watcher
 * has ended. Signals that are blocked now stay so there. */
int watch_start(const char *journal, struct error *err) must_use;
/* Has it end, and waits for that. */
void watch_stop(int *pidfd);
/* Does a memherd-actd with a watcher listen there? */
int watch_check(const char *socket_path, struct error *err) must_use;

#endif
