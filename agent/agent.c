/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/names/names.h"
#include "common/clock.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/sign.h"

#define SENSE_END_US (2 * USEC_PER_SEC)
#define LINK_END_US  ((LINK_FLUSH_SEC + 1) * USEC_PER_SEC)
#define NAMES_END_US (1 * USEC_PER_SEC)
#define NEVER        INT64_MAX

enum which { SENSE, LINK, NAMES, CHILDREN };

static const struct {
	const char *name;    /* in logs */
	const char *process; /* as ps shows it */
	uint64_t caps;
	enum confine_role role;
	int64_t end_us; /* from SIGTERM to SIGKILL */
} kinds[] = {
	[SENSE] = {"sense", "memherd-sense", DAEMON_CAP(CAP_SYS_PTRACE) | DAEMON_CAP(CAP_SYSLOG),
		   CONFINE_SENSE, SENSE_END_US},
	[LINK] = {"link", "memherd-link", 0, CONFINE_LINK, LINK_END_US},
	[NAMES] = {"names", "memherd-names", 0, CONFINE_NAMES, NAMES_END_US},
};

struct child {
	pid_t pid; /* 0 = does not run */
	int64_t started_us;
	int64_t start_us; /* when to start it, while it does not run */
	int64_t kill_us;  /* when to lose patience, after SIGTERM */
	int64_t backoff_us;
	bool replaced; /* ended by us: not its fault */
};

struct agent {
	const struct agent_options *options;
	const struct agent_parts *parts;
	const struct daemon_user *user;
	struct child child[CHILDREN];
	int control;   /* to link */
	int naming[2]; /* sense's end and names' end, held as long as we live; -1 = nobody names */
	struct sense_fds for_sense; /* what each sense gets beside its socket */
	struct link_start start;
	sigset_t signals;
	sigset_t old_signals;
	bool stopping;
};

int64_t agent_backoff(int64_t *backoff_us, int64_t lived_us)
{
	if (*backoff_us == 0 || lived_us >= AGENT_STABLE_US)
		*backoff_us = AGENT_BACKOFF_MIN_US;
	else
		*backoff_us = MIN_OF(*backoff_us * 2, AGENT_BACKOFF_MAX_US);
	return *backoff_us;
}

/* ---- in the child ---- */

/* Names is let to the engines' sockets by their groups, sense to the journal by its own. */
static const struct daemon_user *user_for(const struct agent *a, enum which w,
					  struct daemon_user *out)
{
	*out = *a->user;
	if (w == NAMES)
		out->n_groups = (unsigned)names_groups(a->options->container_engine, out->groups);
	else if (w == SENSE)
		out->n_groups = daemon_find_group("systemd-journal", &out->groups[0]);
	return out;
}

static int settle_in(const struct agent *a, enum which w, pid_t supervisor, struct sense_fds *fds)
{
	int *const keep[] = {&fds->link, &fds->exits, &fds->trace, &fds->names};
	struct daemon_user user;
	struct error err = {""};
	int rc;

	prctl(PR_SET_NAME, kinds[w].process, 0L, 0L, 0L);
	log_init(kinds[w].name, options_log_level(a->options), options_log_format(a->options));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT,
	       SIG_IGN); /* Ctrl-C reaches the whole group: only the supervisor acts on it */
	sigprocmask(SIG_SETMASK, &a->old_signals, NULL);
	rc = daemon_keep_fds(keep, ARRAY_SIZE(keep));
	if (rc >= 0)
		rc = daemon_become(a->user ? user_for(a, w, &user) : NULL, kinds[w].caps, &err);
	if (rc >= 0)
		rc = daemon_die_with(supervisor);
	if (rc < 0) {
		log_error("%s cannot start error='%s'", kinds[w].name,
			  *err.msg ? err.msg : strerror(-rc));
		return rc;
	}
	daemon_hide_memory();
	if (confine(kinds[w].role, &err) < 0) /* a fence behind a fence: go on without it */
		log_warn("%s runs without a system call filter error='%s'", kinds[w].name, err.msg);
	return 0;
}

_Noreturn static void live(const struct agent *a, enum which w, pid_t supervisor, int fd)
{
	struct sense_fds fds = w == SENSE ? a->for_sense : SENSE_FDS_NONE;

	fds.link = fd;
	if (settle_in(a, w, supervisor, &fds) < 0)
		exit(EXIT_FAILURE);
	if (w == SENSE)
		exit(a->parts->sense(a->options, &fds));
	if (w == NAMES)
		exit(a->parts->names(a->options, fds.link));
	exit(a->parts->link(a->options, &a->start, fds.link));
}

/* ---- in the supervisor ---- */

/* The child owns fd from here; we keep none of its ends. */
static int start_child(struct agent *a, enum which w, int fd)
{
	struct child *c = &a->child[w];
	pid_t self = getpid();
	pid_t pid = fork();

	if (pid == 0)
		live(a, w, self, fd);
	if (pid < 0)
		return -errno;
	c->pid = pid;
	c->started_us = clock_boot_us();
	c->kill_us = NEVER;
	c->replaced = false;
	log_info("child=%s pid=%d started", kinds[w].name, (int)pid);
	return 0;
}

static uint64_t new_epoch(void)
{
	uint64_t epoch;

	do {
		random_bytes(&epoch, sizeof(epoch));
		epoch &= INT64_MAX; /* a positive int8 in the database */
	} while (epoch == 0);
	return epoch;
}

static int start_link(struct agent *a)
{
	int pair[2];
	int rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	memcpy(a->start.prev_epochs, a->start.epochs, sizeof(a->start.epochs));
	a->start.prev_clean = false; /* link only ends by accident before the agent does */
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		a->start.epochs[id] = new_epoch();
	rc = start_child(a, LINK, pair[1]);
	close(pair[1]);
	if (rc < 0)
		close(pair[0]);
	else
		a->control = pair[0];
	return rc;
}

static int pass_fd(int control, int fd)
{
	char byte = 's';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = room.bytes,
			     .msg_controllen = sizeof(room.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int start_sense(struct agent *a)
{
	int pair[2];
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	rc = pass_fd(a->control, pair[1]);
	if (rc == 0)
		rc = start_child(a, SENSE, pair[0]);
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static int start_names(struct agent *a)
{
	return start_child(a, NAMES, a->naming[1]);
}

static void try_start(struct agent *a, enum which w, int64_t now)
{
	static int (*const start[CHILDREN])(struct agent *) = {start_sense, start_link,
							       start_names};
	struct child *c = &a->child[w];
	int rc = start[w](a);

	if (rc < 0) {
		c->start_us = now + agent_backoff(&c->backoff_us, 0);
		log_error("child=%s cannot start error='%s'", kinds[w].name, strerror(-rc));
	}
}

static void end_child(struct agent *a, enum which w, int64_t now)
{
	struct child *c = &a->child[w];

	if (!c->pid || c->kill_us != NEVER)
		return;
	c->kill_us = now + kinds[w].end_us;
	kill(c->pid, SIGTERM);
}

static void on_death(struct agent *a, enum which w, int status, int64_t now)
{
	struct child *c = &a->child[w];
	int64_t wait_us = c->replaced ? 0 : agent_backoff(&c->backoff_us, now - c->started_us);

	log_line(a->stopping || c->replaced ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		 "child=%s pid=%d ended %s=%d again_in_ms=%" PRId64, kinds[w].name, (int)c->pid,
		 WIFSIGNALED(status) ? "signal" : "code",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		 a->stopping ? -1 : wait_us / 1000);
	c->pid = 0;
	c->start_us = now + wait_us;
	if (w == LINK) {
		close(a->control);
		a->control = -1;
		a->child[SENSE].replaced = true;
		end_child(a, SENSE, now);
	}
}

static void reap(struct agent *a, int64_t now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (enum which w = SENSE; w < CHILDREN; w++)
			if (a->child[w].pid == pid)
				on_death(a, w, status, now);
}

static bool has_names(const struct agent *a)
{
	return a->naming[1] >= 0;
}

static void step_names(struct agent *a, int64_t now)
{
	const struct child *c = &a->child[NAMES];

	if (a->stopping)
		end_child(a, NAMES, now);
	else if (has_names(a) && !c->pid && now >= c->start_us)
		try_start(a, NAMES, now);
}

/* Starts, stops and kills what is due; returns when to look again. */
static int64_t step(struct agent *a, int64_t now)
{
	struct child *sense = &a->child[SENSE];
	struct child *link = &a->child[LINK];
	int64_t next = NEVER;

	if (a->stopping)
		end_child(a, sense->pid ? SENSE : LINK, now);
	else if (!link->pid && !sense->pid && now >= link->start_us)
		try_start(a, LINK, now);
	if (!a->stopping && link->pid && !sense->pid && now >= sense->start_us)
		try_start(a, SENSE, now);
	step_names(a, now);
	for (enum which w = SENSE; w < CHILDREN; w++) {
		struct child *c = &a->child[w];

		if (c->pid && now >= c->kill_us) {
			kill(c->pid, SIGKILL);
			c->kill_us = now + USEC_PER_SEC;
		}
		if (c->pid)
			next = MIN_OF(next, c->kill_us);
		else if (!a->stopping && (w != NAMES || has_names(a)))
			next = MIN_OF(next, c->start_us);
	}
	return next;
}

static int wait_signal(const struct agent *a, int64_t until_us)
{
	int64_t us = until_us == NEVER ? 3600 * USEC_PER_SEC : until_us - clock_boot_us();
	struct timespec ts;

	us = MAX_OF(us, INT64_C(1000));
	ts.tv_sec = us / USEC_PER_SEC;
	ts.tv_nsec = us % USEC_PER_SEC * 1000;
	return sigtimedwait(&a->signals, NULL, &ts);
}

static bool anyone_lives(const struct agent *a)
{
	return a->child[SENSE].pid || a->child[LINK].pid || a->child[NAMES].pid;
}

/* One pair for as long as we live: sense and names come and go at its ends without the other. */
static int open_naming(struct agent *a, struct error *err)
{
	a->naming[0] = a->naming[1] = -1;
	if (!a->parts->names || strcmp(a->options->container_engine, "off") == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a->naming) < 0)
		return error_sys(err, -errno, "cannot make the pair of names");
	a->for_sense.names = a->naming[0];
	return 0;
}

static void supervise(struct agent *a)
{
	bool told = false;

	while (!a->stopping || anyone_lives(a)) {
		int64_t next = step(a, clock_boot_us());
		int sig;

		if (!told && a->child[SENSE].pid) {
			daemon_notify("READY=1");
			told = true;
		}
		sig = wait_signal(a, next);
		if (sig == SIGTERM || sig == SIGINT) {
			log_info("agent stops signal=%d", sig);
			daemon_notify("STOPPING=1");
			a->stopping = true;
		}
		reap(a, clock_boot_us());
	}
}

/* With the rights that only the supervisor has; afterwards it needs no more than sense does. */
static int open_for_sense(struct agent *a, struct error *err)
{
	a->for_sense = SENSE_FDS_NONE;
	a->for_sense.exits = inherit_exits();
	a->for_sense.trace = inherit_trace(INHERIT_TRACE_PATH);
	if (a->for_sense.exits < 0)
		log_warn("ends of processes are not told by the kernel error='%s'",
			 strerror(-a->for_sense.exits));
	a->for_sense.exits = MAX_OF(a->for_sense.exits, -1);
	a->for_sense.trace = MAX_OF(a->for_sense.trace, -1);
	return a->user ? 0 : daemon_become(NULL, kinds[SENSE].caps, err);
}

static void close_for_sense(struct agent *a)
{
	if (a->for_sense.exits >= 0)
		close(a->for_sense.exits);
	if (a->for_sense.trace >= 0) {
		close(a->for_sense.trace);
		inherit_trace_end(INHERIT_TRACE_PATH);
	}
}

int agent_run(const struct agent_options *o, const struct agent_parts *parts, struct error *err)
{
	struct daemon_user user;
	struct agent a = {.options = o, .parts = parts, .control = -1};
	int rc;

	if (geteuid() == 0) {
		rc = daemon_find_user(o->user, &user, err);
		if (rc < 0)
			return rc;
		a.user = &user;
	}
	rc = open_for_sense(&a, err);
	if (rc == 0)
		rc = open_naming(&a, err);
	if (rc < 0)
		return rc;
	sigemptyset(&a.signals);
	sigaddset(&a.signals, SIGCHLD);
	sigaddset(&a.signals, SIGTERM);
	sigaddset(&a.signals, SIGINT);
	sigprocmask(SIG_BLOCK, &a.signals, &a.old_signals);
	log_info("agent starts version=%s interval_ms=%" PRId64 " user=%s", MEMHERD_VERSION,
		 o->interval / 1000, a.user ? o->user : "(own)");
	supervise(&a);
	if (a.control >= 0)
		close(a.control);
	close_for_sense(&a);
	for (int i = 0; i < 2; i++)
		if (a.naming[i] >= 0)
			close(a.naming[i]);
	sigprocmask(SIG_SETMASK, &a.old_signals, NULL);
	return 0;
}
