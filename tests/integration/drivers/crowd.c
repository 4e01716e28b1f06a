/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd N - N processes that sleep, each a fork of this one. Says 'ready' on stdout when all are
 * there, or why not. At the end of stdin it ends them all, each by its pid, waits for each, says
 * 'ended' and exits; they do not outlive it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"

static _Noreturn void live(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0L, 0L, 0L);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void end(const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	for (size_t i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
}

int main(int argc, char **argv)
{
	size_t want = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	auto_free pid_t *pids = calloc(want + 1, sizeof(*pids));
	pid_t self = getpid();
	size_t n = 0;
	char byte;

	if (!want || !pids)
		return 2;
	while (n < want && (pids[n] = fork()) > 0)
		n++;
	if (n < want && pids[n] == 0)
		live(self);
	if (n < want)
		printf("%zu of %zu: %s\n", n, want, strerror(errno));
	else
		puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	end(pids, n);
	puts("ended");
	return n < want;
}
