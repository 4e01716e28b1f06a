/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/exits.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/inherit.h"
#include "tests/support/test.h"

struct datagram {
	struct nlmsghdr nl;
	struct cn_msg cn;
	struct proc_event event;
} __attribute__((packed));

/* Where the fields end that are asked for. */
#define EXIT_END                                           \
	(sizeof(struct nlmsghdr) + sizeof(struct cn_msg) + \
	 offsetof(struct proc_event, event_data.exit.exit_signal) + 4)

static struct datagram good(void)
{
	struct datagram m = {
		.nl = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_DONE},
		.cn = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(m.event)},
	};

	m.event.what = PROC_EVENT_EXIT;
	m.event.timestamp_ns = 17;
	m.event.event_data.exit.process_pid = 812;
	m.event.event_data.exit.process_tgid = 812;
	m.event.event_data.exit.exit_code = 3 << 8;
	return m;
}

static int parse(const struct datagram *m, size_t len)
{
	struct exit_news news = {.pid = 1};
	int rc = exits_parse(m, len, &news);

	assert_true(rc == 0 || news.pid == 1);
	return rc;
}

static void the_end_of_a_process_is_read(void **state unused_arg)
{
	struct datagram m = good();
	struct exit_news news;

	assert_int_equal(exits_parse(&m, sizeof(m), &news), 0);
	assert_int_equal(news.pid, 812);
	assert_int_equal(news.wait_status, 3 << 8);
	assert_int_equal(news.t_ns, 17);
	/* Kernels before 4.18 do not tell the parent. */
	m.nl.nlmsg_len = EXIT_END;
	m.cn.len = EXIT_END - sizeof(m.nl) - sizeof(m.cn);
	assert_int_equal(parse(&m, EXIT_END), 0);
}

static void all_else_is_refused(void **state unused_arg)
{
	struct datagram m = good();
	char shifted[sizeof(m) + 1];
	struct exit_news news;

	for (size_t len = 0; len < EXIT_END; len++)
		assert_int_equal(parse(&m, len), -EBADMSG);
#define BAD(field, value)                                         \
	do {                                                      \
		m = good();                                       \
		m.field = value;                                  \
		assert_int_equal(parse(&m, sizeof(m)), -EBADMSG); \
	} while (0)
	BAD(nl.nlmsg_len, sizeof(m) + 1);
	BAD(nl.nlmsg_len, 20);
	BAD(nl.nlmsg_type, NLMSG_ERROR);
	BAD(cn.id.idx, 2);
	BAD(cn.id.val, 2);
	BAD(cn.len, 8);
	BAD(event.what, PROC_EVENT_FORK);
	BAD(event.event_data.exit.process_pid, 813); /* a thread */
	BAD(event.event_data.exit.process_tgid, 813);
	m = good();
	m.event.event_data.exit.process_pid = m.event.event_data.exit.process_tgid = 0;
	assert_int_equal(parse(&m, sizeof(m)), -EBADMSG);
	m.event.event_data.exit.process_pid = m.event.event_data.exit.process_tgid = -5;
	assert_int_equal(parse(&m, sizeof(m)), -EBADMSG);
	/* Nothing need be aligned. */
	m = good();
	memcpy(shifted + 1, &m, sizeof(m));
	assert_int_equal(exits_parse(shifted + 1, sizeof(m), &news), 0);
}

static void who_is_not_the_kernel_is_not_believed(void **state unused_arg)
{
	struct datagram m = good();
	struct exit_news news = {.pid = 1};
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
	assert_int_equal(exits_next(fd[0], &news), EXITS_NONE);
	assert_int_equal(send(fd[1], &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(exits_next(fd[0], &news), EXITS_OTHER);
	assert_int_equal(news.pid, 1);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(exits_next(-1, &news), -EBADF);
}

/* The news of that child; others of this machine end too. */
static struct exit_news wait_for(int fd, pid_t pid)
{
	struct exit_news news = {.pid = 0};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int rc;

	for (;;) {
		rc = exits_next(fd, &news);
		if (rc == EXITS_NEWS && news.pid == (uint32_t)pid)
			return news;
		assert_true(rc >= 0);
		if (rc == EXITS_NONE && poll(&p, 1, 10000) != 1) {
			fail_msg("no news of %d", (int)pid);
			return news;
		}
	}
}

static void the_real_kernel_tells_how_children_end(void **state unused_arg)
{
	static const struct {
		int code;
		int signal;
	} ends[] = {{0, 0}, {3, 0}, {0, SIGKILL}, {0, SIGTERM}};
	int fd = inherit_exits();

	if (fd < 0) {
		print_message("skipped: proc connector: %s\n", strerror(-fd));
		skip();
	}
	for (size_t i = 0; i < 4; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (ends[i].signal)
				kill(getpid(), ends[i].signal);
			_exit(ends[i].code);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(wait_for(fd, pid).wait_status, status);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_process_is_read),
		cmocka_unit_test(all_else_is_refused),
		cmocka_unit_test(who_is_not_the_kernel_is_not_believed),
		cmocka_unit_test(the_real_kernel_tells_how_children_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
