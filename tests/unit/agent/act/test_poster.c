/* SPDX-License-Identifier: Apache-2.0 */
/* The asker of HTTP hooks against servers on the loopback that answer, refuse, hang and flood. */
#include "agent/act/poster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/test.h"

#define SHORT_US (300 * 1000)

struct listener {
	int fd;
	uint16_t port;
	const char *answer; /* NULL: none, until the other side goes */
	size_t repeat;
	char got[1024];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct listener *l = arg;
	int fd = accept(l->fd, NULL, NULL);
	ssize_t n = recv(fd, l->got, sizeof(l->got) - 1, 0);

	if (n > 0)
		l->got[n] = '\0';
	for (size_t i = 0; l->answer && i < l->repeat; i++)
		if (send(fd, l->answer, strlen(l->answer), MSG_NOSIGNAL) < 0)
			break;
	if (!l->answer)
		while (recv(fd, (char[64]){0}, 64, 0) > 0)
			;
	close(fd);
	return NULL;
}

static void listen_on(struct listener *l, bool v6)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr *a = v6 ? (void *)&a6 : (void *)&a4;
	socklen_t len = v6 ? sizeof(a6) : sizeof(a4);

	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (l->fd < 0 || bind(l->fd, a, len) < 0)
		skip();
	assert_int_equal(listen(l->fd, 4), 0);
	assert_int_equal(getsockname(l->fd, a, &len), 0);
	l->port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
	assert_int_equal(pthread_create(&l->thread, NULL, serve, l), 0);
}

static int ask(int poster, struct listener *l, bool v6, int64_t deadline_us, struct error *err)
{
	struct hook h = {.kind = HOOK_HTTP, .v6 = v6, .path = "/shed"};
	int rc;

	listen_on(l, v6);
	h.port = l->port;
	rc = poster_ask(poster, &h, deadline_us, err);
	pthread_join(l->thread, NULL);
	close(l->fd);
	return rc;
}

static int setup(void **state)
{
	struct error err;
	int *poster = malloc(sizeof(*poster));

	*poster = poster_start(&err);
	*state = poster;
	return *poster < 0;
}

static int teardown(void **state)
{
	int *poster = *state;

	close(*poster);
	free(poster);
	return 0;
}

static void it_posts_and_tells_the_status(void **state)
{
	struct listener l = {.answer = "HTTP/1.0 204 No Content\r\n\r\n", .repeat = 1};
	struct error err = {""};

	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 204);
	assert_memory_equal(l.got, "POST /shed HTTP/1.0\r\n", 21);
	assert_non_null(strstr(l.got, "\r\nContent-Length: 0\r\n"));
	l = (struct listener){.answer = "HTTP/1.1 503 Busy\r\n\r\nno", .repeat = 1};
	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 503);
}

static void it_speaks_to_the_sixth_version_too(void **state)
{
	struct listener l = {.answer = "HTTP/1.0 200 OK\r\n\r\n", .repeat = 1};
	struct error err = {""};

	assert_int_equal(ask(*(int *)*state, &l, true, 10 * USEC_PER_SEC, &err), 200);
}

static void bad_answers_are_told(void **state)
{
	struct listener l = {.answer = "SSH-2.0-x\r\n\r\n", .repeat = 1};
	struct error err = {""};

	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), -EBADMSG);
	assert_says(err, "is not HTTP");
	l = (struct listener){.answer = "", .repeat = 0};
	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), -EBADMSG);
	l = (struct listener){.answer = NULL};
	assert_int_equal(ask(*(int *)*state, &l, false, SHORT_US, &err), -ETIMEDOUT);
	assert_says(err, "no whole answer from port");
	/* and it goes on */
	l = (struct listener){.answer = "HTTP/1.0 200 OK\r\n\r\n", .repeat = 1};
	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 200);
}

static void a_flood_is_cut_off(void **state)
{
	struct listener l = {.answer = "HTTP/1.0 200 OK\r\n\r\n................................",
			     .repeat = 1 << 20};
	struct error err = {""};

	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 200);
}

static void nobody_there_is_told(void **state)
{
	struct listener l = {.answer = "HTTP/1.0 200 OK\r\n\r\n", .repeat = 1};
	struct hook h = {.kind = HOOK_HTTP, .path = "/"};
	struct error err = {""};

	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 200);
	h.port = l.port; /* closed now */
	assert_int_equal(poster_ask(*(int *)*state, &h, USEC_PER_SEC, &err), -ECONNREFUSED);
	assert_says(err, "cannot reach port");
	assert_int_equal(poster_ask(-1, &h, USEC_PER_SEC, &err), -EIO);
}

static const char *line_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return at + strlen(name) + 2;
}

/* Its process is the only child. */
static void it_holds_nothing(void **state)
{
	struct listener l = {.answer = "HTTP/1.0 200 OK\r\n\r\n", .repeat = 1};
	char path[64], text[8192];
	struct error err = {""};
	int child;

	assert_int_equal(ask(*(int *)*state, &l, false, 10 * USEC_PER_SEC, &err), 200);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	assert_true(fs_read_small(AT_FDCWD, path, text, sizeof(text)) > 0);
	/* the newest: ended ones before it are not waited for */
	text[strcspn(text, "\n")] = '\0';
	while (strlen(text) && text[strlen(text) - 1] == ' ')
		text[strlen(text) - 1] = '\0';
	child = atoi(strrchr(text, ' ') ? strrchr(text, ' ') : text);
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	assert_true(fs_read_small(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_memory_equal(line_of(text, "\nCapEff"), "0000000000000000", 16);
	assert_memory_equal(line_of(text, "\nCapPrm"), "0000000000000000", 16);
	assert_memory_equal(line_of(text, "\nSeccomp"), "2", 1);
	assert_memory_equal(line_of(text, "\nNoNewPrivs"), "1", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_posts_and_tells_the_status, setup, teardown),
		cmocka_unit_test_setup_teardown(it_speaks_to_the_sixth_version_too, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bad_answers_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_there_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(it_holds_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
