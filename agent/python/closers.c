/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/closers.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

void closers_init(struct closers *c)
{
	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
}

static void *work(void *owner)
{
	struct closers *c = owner;

	pthread_mutex_lock(&c->lock);
	while (c->n || !c->ending) {
		int fd;

		if (!c->n) {
			pthread_cond_wait(&c->more, &c->lock);
			continue;
		}
		fd = c->queue[--c->n];
		pthread_mutex_unlock(&c->lock);
		close(fd);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* With all signals blocked: they are for the thread that watches. */
static void start(struct closers *c)
{
	sigset_t all;
	sigset_t old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&c->threads[c->n_threads], NULL, work, c) == 0)
		c->n_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void closers_push(struct closers *c, int fd)
{
	bool queued = false;

	if (fd < 0)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->n_threads < CLOSERS_THREADS)
		start(c);
	if (c->n_threads && c->n < CLOSERS_QUEUE) {
		c->queue[c->n++] = fd;
		queued = true;
		pthread_cond_signal(&c->more);
	}
	pthread_mutex_unlock(&c->lock);
	if (!queued)
		close(fd);
}

void closers_fini(struct closers *c)
{
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->n_threads; i++)
		pthread_join(c->threads[i], NULL);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
}
