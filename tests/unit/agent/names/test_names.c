/* SPDX-License-Identifier: Apache-2.0 */
/* The whole process between a client and a fake engine. */
#include "agent/names/names.h"

#include <errno.h>

#include "agent/names/client.h"
#include "common/confine.h"
#include "common/log.h"
#include "tests/unit/agent/names/fakeengine.h"

struct taken {
	struct names_answer last;
	int n;
};

static void on_answer(void *arg, const struct names_answer *a)
{
	struct taken *t = arg;

	t->last = *a;
	t->n++;
}

static int take_one(struct names_client *c, struct taken *t)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	t->n = 0;
	if (poll(&p, 1, 20000) != 1)
		fail_msg("no answer");
	return names_client_take(c, on_answer, t);
}

/* names_run() in a confined child; returns its pid, *ret_fd is sense's end. */
static pid_t start(const char *option, int *ret_fd)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		struct error err;

		close(pair[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
		log_init("names", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
		if (confine(CONFINE_NAMES, &err) < 0)
			_exit(99);
		if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
			_exit(98);
		if (listen(pair[1], 1) == 0 || errno != EPERM)
			_exit(97);
		exit(names_run(option, pair[1]));
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

static void finish(pid_t pid, int fd)
{
	int status;

	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void questions_are_answered(void **state unused_arg)
{
	struct fake_engine e;
	struct names_client c;
	struct taken t;
	pid_t pid;
	int fd;

	engine_start(&e, ENGINE_ANSWERS);
	pid = start(e.path, &fd);
	names_client_init(&c, fd);
	assert_int_equal(names_client_take(&c, on_answer, &t), 0);
	assert_int_equal(names_client_ask(&c, ID), 0);
	assert_int_equal(take_one(&c, &t), 1);
	assert_int_equal(t.last.status, NAMES_KNOWN);
	assert_string_equal(t.last.service, "shop_web");
	assert_int_equal(names_client_ask(&c, ID2), 0);
	assert_int_equal(take_one(&c, &t), 1);
	assert_int_equal(t.last.status, NAMES_UNKNOWN);
	assert_memory_equal(t.last.id, ID2, NAMES_ID_LEN);
	assert_string_equal(t.last.name, "");
	/* what is no question is skipped */
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(send(fd,
			      "../../../../../../../../../../../../../../../../../../../../../x",
			      NAMES_ID_LEN, 0),
			 NAMES_ID_LEN);
	assert_int_equal(names_client_ask(&c, ID), 0);
	assert_int_equal(take_one(&c, &t), 1);
	assert_int_equal(t.last.status, NAMES_KNOWN);
	engine_stop(&e);
	finish(pid, fd);
}

static void without_an_engine_there_is_trouble(void **state unused_arg)
{
	struct fake_engine e;
	struct names_client c;
	struct taken t;
	pid_t pid;
	int fd;

	engine_start(&e, ENGINE_BREAKS);
	pid = start(e.path, &fd);
	names_client_init(&c, fd);
	assert_int_equal(names_client_ask(&c, ID), 0);
	assert_int_equal(take_one(&c, &t), 1);
	assert_int_equal(t.last.status, NAMES_TROUBLE);
	engine_stop(&e);
	assert_int_equal(names_client_ask(&c, ID), 0);
	assert_int_equal(take_one(&c, &t), 1);
	assert_int_equal(t.last.status, NAMES_TROUBLE);
	finish(pid, fd);
}

static void a_client_asks_only_what_is_an_id(void **state unused_arg)
{
	struct names_client c;
	int pair[2];
	int r;

	names_client_init(&c, -1);
	assert_int_equal(names_client_ask(&c, ID), -ENOTCONN);
	assert_int_equal(names_client_take(&c, on_answer, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	names_client_init(&c, pair[0]);
	assert_int_equal(names_client_ask(&c, "web"), -EINVAL);
	assert_int_equal(names_client_ask(&c, ID "0"), -EINVAL);
	assert_int_equal(names_client_ask(&c, "../" ID), -EINVAL);
	/* nobody reads: it never waits */
	for (int i = 0; (r = names_client_ask(&c, ID)) == 0; i++)
		assert_true(i < 100000);
	assert_int_equal(r, -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

static void a_client_judges_answers(void **state unused_arg)
{
	struct names_answer good = {.status = NAMES_KNOWN, .name = "web"};
	struct names_answer bad[5];
	struct names_client c;
	struct taken t = {.n = 0};
	int pair[2];

	memcpy(good.id, ID, NAMES_ID_LEN);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].id[5] = '/';
	bad[1].status = 7;
	memset(bad[2].name, 'n', sizeof(bad[2].name));
	strcpy(bad[3].service, "a\x1b[0m");
	strcpy(bad[4].image, "\xff\xfe");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	names_client_init(&c, pair[0]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(send(pair[1], &bad[i], sizeof(bad[i]), 0), sizeof(bad[i]));
	assert_int_equal(send(pair[1], &good, sizeof(good) - 1, 0), sizeof(good) - 1);
	assert_int_equal(send(pair[1], &good, sizeof(good), 0), sizeof(good));
	assert_int_equal(names_client_take(&c, on_answer, &t), 1);
	assert_int_equal(c.bad, ARRAY_SIZE(bad) + 1);
	assert_string_equal(t.last.name, "web");
	close(pair[1]);
	assert_int_equal(names_client_take(&c, on_answer, &t), -EPIPE);
	close(pair[0]);
}

static void the_option_means_sockets(void **state unused_arg)
{
	const char *sockets[NAMES_SOCKETS_MAX];
	gid_t groups[NAMES_SOCKETS_MAX];
	struct fake_engine e;
	char longest[120];

	assert_int_equal(names_sockets("off", sockets), 0);
	assert_int_equal(names_sockets("auto", sockets), 2);
	assert_int_equal(names_sockets("/x/sock", sockets), 1);
	assert_string_equal(sockets[0], "/x/sock");
	assert_null(names_refuse_option("off"));
	assert_null(names_refuse_option("auto"));
	assert_null(names_refuse_option("/run/docker.sock"));
	assert_non_null(names_refuse_option(""));
	assert_non_null(names_refuse_option("on"));
	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_non_null(names_refuse_option(longest));
	/* root's group is never taken, nor one that may not write */
	engine_start(&e, ENGINE_ANSWERS);
	if (geteuid() == 0) {
		assert_int_equal(chown(e.path, 0, 0), 0);
		chmod(e.path, 0660);
		assert_int_equal(names_groups(e.path, groups), 0);
		assert_int_equal(chown(e.path, 0, 4321), 0);
		chmod(e.path, 0660);
		assert_int_equal(names_groups(e.path, groups), 1);
		assert_int_equal(groups[0], 4321);
		chmod(e.path, 0600);
		assert_int_equal(names_groups(e.path, groups), 0);
	}
	engine_stop(&e);
	assert_int_equal(names_groups("/etc/passwd", groups), 0);
	assert_int_equal(names_groups("off", groups), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_answered),
		cmocka_unit_test(without_an_engine_there_is_trouble),
		cmocka_unit_test(a_client_asks_only_what_is_an_id),
		cmocka_unit_test(a_client_judges_answers),
		cmocka_unit_test(the_option_means_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
