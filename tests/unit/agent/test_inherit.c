/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/test.h"

/* The wait status with which pid ended, or -1 when the socket did not tell within 5 s. */
static int told_end(int fd, pid_t pid)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[256] __attribute__((aligned(8)));

	while (poll(&p, 1, 5000) > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		struct proc_event e;

		if (n < (ssize_t)(NLMSG_LENGTH(sizeof(struct cn_msg)) + (int)sizeof(e)))
			continue;
		memcpy(&e, buf + NLMSG_LENGTH(sizeof(struct cn_msg)), sizeof(e));
		assert_int_equal(e.what, PROC_EVENT_EXIT);
		assert_int_equal(e.event_data.exit.process_pid, e.event_data.exit.process_tgid);
		if (e.event_data.exit.process_pid == pid)
			return (int)e.event_data.exit.exit_code;
	}
	return -1;
}

static void *thread(void *arg unused_arg)
{
	return NULL;
}

/* Ends by signal, or after two threads came and went, with code. */
static pid_t child(int sig, int code)
{
	pid_t pid = fork();
	pthread_t t;

	if (pid)
		return pid;
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t, NULL, thread, NULL) == 0)
			pthread_join(t, NULL);
	if (sig)
		raise(sig);
	_exit(code);
}

static void ends_of_whole_processes_are_told(void **state unused_arg)
{
	auto_close int fd = inherit_exits();
	static const struct {
		int sig, code, status;
	} ends[] = {{0, 0, 0}, {0, 3, 3 << 8}, {SIGKILL, 0, SIGKILL}, {SIGTERM, 0, SIGTERM}};

	if (fd < 0) { /* a container without the right to it */
		print_message("no proc connector here: %s\n", strerror(-fd));
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		pid_t pid = child(ends[i].sig, ends[i].code);

		assert_int_equal(told_end(fd, pid), ends[i].status);
		waitpid(pid, NULL, 0);
	}
}

/* What another PID namespace's process is answered; 1 = no namespace can be made here. */
static int answer_in_a_namespace(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		pid_t inner = unshare(CLONE_NEWPID) < 0 ? -1 : fork();

		if (inner == 0)
			_exit(-inherit_exits());
		_exit(inner > 0 && waitpid(inner, &status, 0) == inner ? WEXITSTATUS(status) : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void another_pid_namespace_knows_that_it_is_not_told(void **state unused_arg)
{
	auto_close int fd = inherit_exits();
	int answer = answer_in_a_namespace();

	if (fd < 0 || answer == 1) {
		print_message("no proc connector or no PID namespace here\n");
		skip();
	}
	assert_int_equal(answer, EOPNOTSUPP);
}

/* A folder that looks like a tracefs. */
static void one_tracepoint_is_switched_on(void **state unused_arg)
{
	char root[] = "/tmp/memherd-trace-XXXXXX", path[256], text[8] = "";
	const char *const folders[] = {"instances", "instances/memherd", "instances/memherd/events",
				       "instances/memherd/events/oom",
				       "instances/memherd/events/oom/mark_victim"};
	const char *const files[] = {"instances/memherd/buffer_size_kb",
				     "instances/memherd/events/oom/mark_victim/enable",
				     "instances/memherd/trace_pipe"};
	int fd;

	assert_non_null(mkdtemp(root));
	assert_int_equal(inherit_trace(root), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	fd = inherit_trace(root);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/%s", root, files[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 1);
	assert_string_equal(text, "1");
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		unlink(path);
	}
	for (size_t i = ARRAY_SIZE(folders); i-- > 2;) {
		snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		rmdir(path);
	}
	inherit_trace_end(root);
	snprintf(path, sizeof(path), "%s/instances", root);
	assert_int_equal(rmdir(path), 0); /* the instance is gone */
	rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_of_whole_processes_are_told),
		cmocka_unit_test(another_pid_namespace_knows_that_it_is_not_told),
		cmocka_unit_test(one_tracepoint_is_switched_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
