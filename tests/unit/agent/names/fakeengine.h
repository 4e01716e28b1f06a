/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakeengine.h - a container engine on a Unix socket: a child that answers each request as told.
 */
#ifndef MEMHERD_TESTS_UNIT_AGENT_NAMES_FAKEENGINE_H
#define MEMHERD_TESTS_UNIT_AGENT_NAMES_FAKEENGINE_H

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

enum engine_mood {
	ENGINE_ANSWERS, /* ID is 'shop_web_1' of compose; others get 404 */
	ENGINE_HANGS,   /* takes the request and says nothing */
	ENGINE_FLOODS,  /* never stops */
	ENGINE_DRIPS,   /* a byte now and then, for ever */
	ENGINE_BREAKS,  /* half an answer */
};

#define ENGINE_BODY                                                                           \
	"{\"Id\":\"" ID "\",\"Name\":\"/shop_web_1\",\"Config\":{\"Image\":\"shop:1.2\","     \
	"\"Labels\":{\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":" \
	"\"web\"}}}"
#define ENGINE_OK "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" ENGINE_BODY

struct fake_engine {
	char dir[40];
	char path[64];
	pid_t pid;
};

static inline void engine_reply(int fd, enum engine_mood mood)
{
	static const char ok[] = ENGINE_OK;
	static const char none[] = "HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"no such\"}";
	char request[512] = "";
	ssize_t n = read(fd, request, sizeof(request) - 1);

	if (n <= 0)
		return;
	if (mood == ENGINE_ANSWERS && strncmp(request, "GET /containers/" ID "/json HTTP/1.0\r\n",
					      strlen("GET /containers/" ID "/json HTTP/1.0\r\n")))
		(void)!write(fd, none, sizeof(none) - 1);
	else if (mood == ENGINE_ANSWERS)
		(void)!write(fd, ok, sizeof(ok) - 1);
	else if (mood == ENGINE_BREAKS)
		(void)!write(fd, ok, sizeof(ok) / 2);
	else if (mood == ENGINE_HANGS)
		pause();
	while (mood == ENGINE_FLOODS && write(fd, ok, sizeof(ok) - 1) > 0)
		;
	while (mood == ENGINE_DRIPS && write(fd, "H", 1) > 0)
		usleep(1000);
}

static inline void engine_start(struct fake_engine *e, enum engine_mood mood)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(e->dir, "/tmp/memherd-engine.XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	snprintf(e->path, sizeof(e->path), "%s/sock", e->dir);
	strcpy(at.sun_path, e->path);
	assert_int_equal(bind(fd, (const void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	e->pid = fork();
	if (e->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int c = accept(fd, NULL, NULL);

			engine_reply(c, mood);
			close(c);
		}
	}
	close(fd);
}

static inline void engine_stop(struct fake_engine *e)
{
	kill(e->pid, SIGKILL);
	waitpid(e->pid, NULL, 0);
	unlink(e->path);
	rmdir(e->dir);
}

#endif
