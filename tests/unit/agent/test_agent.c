/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with the real link and a sense of our own, in a process that can be killed. */
#include "agent/agent.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/link/process.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/str.h"
#include "tests/support/test.h"

/* What a process says about itself when it starts; one write to the pipe that is its stdout. */
struct hello {
	char who; /* 's' or 'l' */
	pid_t pid;
	uid_t uid;
	uint64_t caps;
	unsigned fds;
	bool no_new_privs;
	bool inet;   /* could make a network socket */
	bool local;  /* could make a local one */
	bool ptrace; /* was let into ptrace() */
	uint64_t epochs[LANE_COUNT];
	uint64_t prev_epochs[LANE_COUNT];
};

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 3; /* . .. and the folder itself */
}

static void say(char who, const struct link_start *s)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int local = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct hello h = {.who = who,
			  .pid = getpid(),
			  .uid = getuid(),
			  .caps = daemon_caps(),
			  .no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1,
			  .inet = fd >= 0,
			  .local = local >= 0};

	if (fd >= 0)
		close(fd);
	if (local >= 0)
		close(local);
	if (s) {
		memcpy(h.epochs, s->epochs, sizeof(h.epochs));
		memcpy(h.prev_epochs, s->prev_epochs, sizeof(h.prev_epochs));
	}
	errno = 0;
	/* of a process that is not ours to trace: ESRCH from the call itself, EPERM from the filter
	 */
	h.ptrace = !(ptrace(PTRACE_ATTACH, INT32_MAX, 0, 0) < 0 && errno == EPERM);
	h.fds = count_fds();
	(void)!write(STDOUT_FILENO, &h, sizeof(h));
}

static int fake_sense(const struct agent_options *o unused_arg, const struct sense_fds *fds)
{
	char byte;

	say('s', NULL);
	while (read(fds->link, &byte, 1) > 0)
		;
	return 0;
}

static int fake_names(const struct agent_options *o unused_arg, int fd)
{
	char byte;

	say('n', NULL);
	while (read(fd, &byte, 1) > 0)
		;
	return 0;
}

static int told_link(const struct agent_options *o, const struct link_start *start, int control)
{
	say('l', start);
	return link_run(o, start, control);
}

struct world {
	struct agent_options o;
	pid_t supervisor;
	int pipe;
	uid_t uid;
};

static int set_up_with(void **state, const char *engine)
{
	static const struct agent_parts parts = {.sense = fake_sense,
						 .link = told_link,
						 .names = fake_names};
	struct world *w = calloc(1, sizeof(*w));
	struct passwd *nobody = getpwnam("nobody");
	int pipes[2];

	assert_int_equal(conf_defaults(&agent_options_table, &w->o, NULL), 0);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "user", "nobody", "test", NULL), 0);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "state_dir", "/nonexistent", "test",
				  NULL),
			 0);
	assert_int_equal(conf_set(&agent_options_table, &w->o, "container_engine", engine, "test",
				  NULL),
			 0);
	w->uid = geteuid() == 0 ? nobody->pw_uid : geteuid();
	assert_int_equal(pipe(pipes), 0);
	w->supervisor = fork();
	if (w->supervisor == 0) {
		struct error err;

		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		log_init("agent", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
		_exit(agent_run(&w->o, &parts, &err) < 0);
	}
	close(pipes[1]);
	w->pipe = pipes[0];
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, "off");
}

static int set_up_names(void **state)
{
	return set_up_with(state, "/nonexistent/engine.sock");
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->supervisor) {
		kill(w->supervisor, SIGKILL);
		waitpid(w->supervisor, NULL, 0);
	}
	close(w->pipe);
	conf_fini(&agent_options_table, &w->o);
	free(w);
	return 0;
}

static struct hello heard(struct world *w, int ms)
{
	struct pollfd p = {.fd = w->pipe, .events = POLLIN};
	struct hello h = {0};

	if (poll(&p, 1, ms) != 1)
		fail_msg("nobody started within %d ms", ms);
	assert_int_equal(read(w->pipe, &h, sizeof(h)), sizeof(h));
	return h;
}

static void both(struct world *w, int ms, struct hello *sense, struct hello *link)
{
	for (int i = 0; i < 2; i++) {
		struct hello h = heard(w, ms);

		*(h.who == 's' ? sense : link) = h;
	}
	assert_int_equal(sense->who, 's');
	assert_int_equal(link->who, 'l');
}

static bool alive(pid_t pid)
{
	char path[64];
	char state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f) {
		(void)!fscanf(f, "%*d (%*[^)]) %c", &state);
		fclose(f);
	}
	return state != 'Z';
}

static void assert_dies(pid_t pid, int ms)
{
	for (int i = 0; i < ms / 10 && alive(pid); i++)
		usleep(10000);
	assert_false(alive(pid));
}

static void each_has_only_what_it_needs(void **state)
{
	struct world *w = *state;
	struct hello s = {0};
	struct hello l = {0};
	uint64_t wanted = DAEMON_CAP(CAP_SYS_PTRACE) | DAEMON_CAP(CAP_SYSLOG);
	int exits = inherit_exits();
	int trace = inherit_trace(INHERIT_TRACE_PATH);
	unsigned inherited = (exits >= 0) + (trace >= 0);

	both(w, 3000, &s, &l);
	assert_int_equal(s.uid, w->uid);
	assert_int_equal(l.uid, w->uid);
	assert_int_equal(l.caps, 0);
	assert_int_equal(s.caps, wanted & daemon_caps());
	assert_true(s.no_new_privs && l.no_new_privs);
	/* the standard ones, its socket, and what it could not open itself */
	assert_int_equal(s.fds, 4 + inherited);
	assert_int_equal(l.fds, 4);
	assert_false(s.inet);
	assert_true(l.inet);
	assert_false(s.local);
	assert_true(l.local);
#ifndef MEMHERD_ASAN
	assert_false(s.ptrace);
	assert_false(l.ptrace);
#endif
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		assert_true(l.epochs[id] > 0 && l.epochs[id] <= INT64_MAX);
		assert_int_equal(l.prev_epochs[id], 0);
	}
	assert_int_not_equal(l.epochs[LANE_URGENT], l.epochs[LANE_SAMPLES]);
	if (exits >= 0)
		close(exits);
	if (trace >= 0)
		close(trace);
}

static void a_killed_sense_comes_back_to_the_same_link(void **state)
{
	struct world *w = *state;
	struct hello s = {0};
	struct hello l = {0};
	struct hello again;

	both(w, 3000, &s, &l);
	kill(s.pid, SIGKILL);
	again = heard(w, 3000);
	assert_int_equal(again.who, 's');
	assert_int_not_equal(again.pid, s.pid);
	assert_true(alive(l.pid));
	assert_false(alive(s.pid)); /* reaped */
}

static void a_killed_link_comes_back_with_new_streams(void **state)
{
	struct world *w = *state;
	struct hello s = {0};
	struct hello l = {0};
	struct hello s2 = {0};
	struct hello l2 = {0};

	both(w, 3000, &s, &l);
	kill(l.pid, SIGKILL);
	both(w, 3000, &s2, &l2);
	assert_int_not_equal(l2.epochs[LANE_URGENT], l.epochs[LANE_URGENT]);
	assert_int_not_equal(l2.epochs[LANE_SAMPLES], l.epochs[LANE_SAMPLES]);
	assert_memory_equal(l2.prev_epochs, l.epochs, sizeof(l.epochs));
	assert_int_not_equal(s2.pid, s.pid);
	assert_false(alive(s.pid));
}

static void sigterm_leaves_no_process(void **state)
{
	struct world *w = *state;
	struct hello s = {0};
	struct hello l = {0};
	int status;

	both(w, 3000, &s, &l);
	usleep(100000);
	kill(w->supervisor, SIGTERM);
	assert_int_equal(waitpid(w->supervisor, &status, 0), w->supervisor);
	w->supervisor = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(alive(s.pid));
	assert_false(alive(l.pid));
}

static void they_die_with_the_supervisor(void **state)
{
	struct world *w = *state;
	struct hello s = {0};
	struct hello l = {0};

	both(w, 3000, &s, &l);
	kill(w->supervisor, SIGKILL);
	waitpid(w->supervisor, NULL, 0);
	w->supervisor = 0;
	assert_dies(s.pid, 2000);
	assert_dies(l.pid, 2000);
}

/* All three, in the order of who: link, names, sense. */
static void all(struct world *w, struct hello h[3])
{
	for (int i = 0; i < 3; i++) {
		struct hello one = heard(w, 3000);

		h[one.who == 'l' ? 0 : one.who == 'n' ? 1 : 2] = one;
	}
	assert_true(h[0].who == 'l' && h[1].who == 'n' && h[2].who == 's');
}

static void names_has_local_sockets_and_nothing_else(void **state)
{
	struct world *w = *state;
	struct hello h[3] = {0};

	all(w, h);
	assert_int_equal(h[1].uid, w->uid);
	assert_int_equal(h[1].caps, 0);
	assert_true(h[1].no_new_privs);
	assert_int_equal(h[1].fds, 4);
	assert_false(h[1].inet);
	assert_true(h[1].local);
#ifndef MEMHERD_ASAN
	assert_false(h[1].ptrace);
#endif
}

static void names_comes_back_alone(void **state)
{
	struct world *w = *state;
	struct hello h[3] = {0};
	struct hello again;

	all(w, h);
	kill(h[1].pid, SIGKILL);
	again = heard(w, 3000);
	assert_int_equal(again.who, 'n');
	assert_true(alive(h[0].pid));
	assert_true(alive(h[2].pid));
	usleep(100000);
	kill(w->supervisor, SIGTERM);
	waitpid(w->supervisor, NULL, 0);
	w->supervisor = 0;
	assert_false(alive(again.pid));
	assert_false(alive(h[2].pid));
}

static void an_unknown_user_is_an_error(void **state unused_arg)
{
	struct agent_options o = {.user = (char[]){"no-such-user-here"}};
	struct agent_parts parts = {.sense = fake_sense, .link = told_link};
	struct error err = {""};

	if (geteuid() != 0)
		skip();
	assert_int_equal(agent_run(&o, &parts, &err), -ENOENT);
	assert_says(err, "no-such-user-here");
}

static void backoff_doubles_and_starts_anew(void **state unused_arg)
{
	int64_t b = 0;
	const int64_t expect[] = {1, 2, 4, 8, 16, 30, 30};

	for (size_t i = 0; i < ARRAY_SIZE(expect); i++)
		assert_int_equal(agent_backoff(&b, 0), expect[i] * USEC_PER_SEC);
	assert_int_equal(agent_backoff(&b, AGENT_STABLE_US), USEC_PER_SEC);
	assert_int_equal(agent_backoff(&b, AGENT_STABLE_US - 1), 2 * USEC_PER_SEC);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_doubles_and_starts_anew),
		cmocka_unit_test(an_unknown_user_is_an_error),
		T(each_has_only_what_it_needs),
		T(a_killed_sense_comes_back_to_the_same_link),
		T(a_killed_link_comes_back_with_new_streams),
		T(sigterm_leaves_no_process),
		T(they_die_with_the_supervisor),
		cmocka_unit_test_setup_teardown(names_has_local_sockets_and_nothing_else,
						set_up_names, tear_down),
		cmocka_unit_test_setup_teardown(names_comes_back_alone, set_up_names, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
