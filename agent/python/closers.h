/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closers.h - closes descriptors in threads of its own. Taking a uprobe out waits for the kernel's
 * grace period, 10 to 50 ms a descriptor, and many at a time wait for the same one: the watcher
 * must not stand still for it, nor take 20 s to end after a program with 256 threads.
 */
#ifndef MEMHERD_AGENT_PYTHON_CLOSERS_H
#define MEMHERD_AGENT_PYTHON_CLOSERS_H

#include <pthread.h>
#include <stdbool.h>

#define CLOSERS_THREADS 16u
#define CLOSERS_QUEUE   1024u /* what does not fit is closed by the caller */

struct closers {
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_t threads[CLOSERS_THREADS];
	unsigned n_threads; /* started as they are needed */
	int queue[CLOSERS_QUEUE];
	unsigned n;
	bool ending;
};

void closers_init(struct closers *c);
/* Closes all that is queued, then ends. */
void closers_fini(struct closers *c);
/* fd < 0: nothing. */
void closers_push(struct closers *c, int fd);

#endif
