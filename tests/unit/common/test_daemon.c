/* SPDX-License-Identifier: Apache-2.0 */
/* Each case runs in a child: nothing here can be undone. */
#include "common/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/support/test.h"

/* Runs f in a child and returns its exit code. */
static int in_child(int (*f)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(f());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

#define EXPECT(condition)                          \
	do {                                       \
		if (!(condition))                  \
			return __LINE__ % 199 + 1; \
	} while (0)

static int drop_everything(void)
{
	struct daemon_user u;
	gid_t groups[8];

	EXPECT(daemon_find_user("nobody", &u, NULL) == 0);
	EXPECT(daemon_become(&u, 0, NULL) == 0);
	EXPECT(daemon_caps() == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1);
	if (getuid() == u.uid) {
		EXPECT(getgroups(8, groups) == 1 && groups[0] == u.gid);
		EXPECT(setuid(0) < 0);
		EXPECT(access("/etc/shadow", R_OK) < 0);
	}
	return 0;
}

static int keep_one(void)
{
	uint64_t had = daemon_caps();
	struct daemon_user u;

	EXPECT(daemon_find_user("nobody", &u, NULL) == 0);
	EXPECT(daemon_become(&u, DAEMON_CAP(CAP_SYS_PTRACE), NULL) == 0);
	EXPECT(daemon_caps() == (had & DAEMON_CAP(CAP_SYS_PTRACE)));
	return 0;
}

static int stay_and_drop(void)
{
	uid_t before = getuid();

	EXPECT(daemon_become(NULL, 0, NULL) == 0);
	EXPECT(getuid() == before);
	EXPECT(daemon_caps() == 0);
	return 0;
}

static int one_descriptor(void)
{
	int fds[2];
	char byte = 'x';

	EXPECT(pipe(fds) == 0);
	for (int i = 0; i < 20; i++)
		EXPECT(dup(fds[0]) >= 0);
	EXPECT(daemon_keep_fds((int *[]){&fds[1]}, 1) == 0);
	EXPECT(fds[1] == 3);
	EXPECT(fcntl(3, F_GETFD) >= 0);
	for (int fd = 4; fd < 64; fd++)
		EXPECT(fcntl(fd, F_GETFD) < 0);
	EXPECT(write(3, &byte, 1) < 0 && errno == EPIPE); /* the write end; its reader is gone */
	return 0;
}

/* They lie crosswise where they are to go, and one is not there. */
static int several_descriptors(void)
{
	int fds[2];
	int none = -1;
	char byte = 'x';

	EXPECT(pipe(fds) == 0);
	EXPECT(fds[0] == 3 && fds[1] == 4);
	EXPECT(daemon_keep_fds((int *[]){&fds[1], &none, &fds[0]}, 3) == 0);
	EXPECT(fds[1] == 3 && none == -1 && fds[0] == 4);
	EXPECT(write(3, &byte, 1) == 1 && read(4, &byte, 1) == 1);
	for (int fd = 5; fd < 64; fd++)
		EXPECT(fcntl(fd, F_GETFD) < 0);
	EXPECT(daemon_keep_fds(NULL, DAEMON_FDS_MAX + 1) == -EINVAL);
	return 0;
}

static int orphan_at_once(void)
{
	return daemon_die_with(getpid()) == -ESRCH ? 0 : 1; /* not our parent */
}

static void root_is_left_for_good(void **state unused_arg)
{
	assert_int_equal(in_child(drop_everything), 0);
}

static void only_wanted_capabilities_stay(void **state unused_arg)
{
	assert_int_equal(in_child(keep_one), 0);
	assert_int_equal(in_child(stay_and_drop), 0);
}

static void only_wanted_descriptors_stay(void **state unused_arg)
{
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(in_child(one_descriptor), 0);
	assert_int_equal(in_child(several_descriptors), 0);
}

static void a_parent_that_is_gone_is_noticed(void **state unused_arg)
{
	assert_int_equal(in_child(orphan_at_once), 0);
}

static void unknown_users_are_named(void **state unused_arg)
{
	struct daemon_user u;
	struct error err = {""};

	assert_int_equal(daemon_find_user("no-such-user-here", &u, &err), -ENOENT);
	assert_says(err, "'no-such-user-here'");
}

static void systemd_hears_that_we_are_ready(void **state unused_arg)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char got[32] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/test_daemon.%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	daemon_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
	assert_string_equal(got, "READY=1");
	unlink(at.sun_path);
	daemon_notify("STOPPING=1"); /* nobody there: no harm */
	setenv("NOTIFY_SOCKET", "relative", 1);
	daemon_notify("READY=1");
	unsetenv("NOTIFY_SOCKET");
	daemon_notify("READY=1");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_left_for_good),
		cmocka_unit_test(only_wanted_capabilities_stay),
		cmocka_unit_test(only_wanted_descriptors_stay),
		cmocka_unit_test(a_parent_that_is_gone_is_noticed),
		cmocka_unit_test(unknown_users_are_named),
		cmocka_unit_test(systemd_hears_that_we_are_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
