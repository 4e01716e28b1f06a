/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hammer forks|storm - threads that allocate, check and free without end, one that sleeps in each
 * call in which a thread may be borrowed, and: one that forks, or a signal 500 times a second to
 * each thread in turn. Says 'ready'; when its stdin ends: corrupt blocks and children that went
 * wrong, calls that were interrupted without a signal to that thread, other failures, what was
 * done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HAMMERS  3
#define WAITS    6
#define NS_PER_S 1000000000L

static volatile int stop;
static long corrupt, eintr, other, rounds, forks, turns, signals;
static int dead[2];
static sem_t never;
static _Thread_local volatile long had; /* signals, of this thread */

static void add(long *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

static void on_signal(int sig)
{
	(void)sig;
	had++;
	add(&signals);
}

static struct timespec soon(clockid_t clock, long ns)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += ns;
	t.tv_sec += t.tv_nsec / NS_PER_S;
	t.tv_nsec %= NS_PER_S;
	return t;
}

/* -1 with errno, or 0 when it ended as it should. */
static int wait_once(int how, int ep)
{
	struct timespec t = {.tv_nsec = 1000000};
	fd_set set;

	switch (how % WAITS) {
	case 0:
		return nanosleep(&t, NULL);
	case 1:
		return poll(&(struct pollfd){.fd = dead[0], .events = POLLIN}, 1, 1);
	case 2:
		return epoll_wait(ep, &(struct epoll_event){0}, 1, 1);
	case 3:
		FD_ZERO(&set);
		FD_SET(dead[0], &set);
		return select(dead[0] + 1, &set, NULL, NULL, &(struct timeval){.tv_usec = 1000});
	case 4:
		t = soon(CLOCK_REALTIME, 1000000);
		return sem_timedwait(&never, &t) < 0 && errno == ETIMEDOUT ? 0 : -1;
	default:
		t = soon(CLOCK_MONOTONIC, 1000000);
		errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		return errno ? -1 : 0;
	}
}

static void *sleeper(void *arg)
{
	int ep = epoll_create1(0);

	(void)arg;
	epoll_ctl(ep, EPOLL_CTL_ADD, dead[0], &(struct epoll_event){.events = EPOLLIN});
	for (int how = 0; !stop; how++) {
		volatile double kept = 1.25 + how;
		double before = kept;
		long had_before = had;

		errno = 0;
		if (wait_once(how, ep) != 0) {
			if (errno != EINTR)
				add(&other);
			else if (had == had_before)
				add(&eintr);
		}
		if (before != kept)
			add(&corrupt);
		add(&turns);
	}
	close(ep);
	return NULL;
}

static void *hammer(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	unsigned char *slots[256] = {0};
	unsigned sizes[256] = {0};

	while (!stop) {
		unsigned i = (unsigned)rand_r(&seed) % 256;

		for (unsigned k = 0; slots[i] && k < sizes[i]; k += 97)
			if (slots[i][k] != (unsigned char)i)
				add(&corrupt);
		free(slots[i]);
		sizes[i] = 16 + (unsigned)rand_r(&seed) % 20000;
		slots[i] = malloc(sizes[i]);
		memset(slots[i], (int)i, sizes[i]);
		add(&rounds);
		if (i < 4)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static void fork_once(void)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		free(malloc(5000));
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		add(&corrupt);
	forks++;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t t[HAMMERS + 1];
	struct pollfd in = {.fd = 0, .events = POLLIN};
	int storm = argc > 1 && !strcmp(argv[1], "storm");

	if (pipe(dead) < 0 || sem_init(&never, 0, 0) < 0 || sigaction(SIGUSR1, &action, NULL) < 0)
		return 1;
	for (long i = 0; i < HAMMERS; i++)
		pthread_create(&t[i], NULL, hammer, (void *)(i + 1));
	pthread_create(&t[HAMMERS], NULL, sleeper, NULL);
	printf("ready\n");
	fflush(stdout);
	for (unsigned i = 0; poll(&in, 1, 0) == 0; i++) {
		if (storm)
			pthread_kill(t[i % (HAMMERS + 1)], SIGUSR1);
		else
			fork_once();
		nanosleep(&(struct timespec){.tv_nsec = storm ? 2000000 : 5000000}, NULL);
	}
	stop = 1;
	for (int i = 0; i <= HAMMERS; i++)
		pthread_join(t[i], NULL);
	printf("corrupt=%ld eintr=%ld other=%ld rounds=%ld forks=%ld turns=%ld signals=%ld\n",
	       corrupt, eintr, other, rounds, forks, turns, signals);
	return 0;
}
