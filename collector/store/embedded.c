/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/embedded.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "collector/store/db_sync.h"
#include "collector/store/embedded_bin.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#define MAGIC          0x656d6264u
#define ROLE           "memherd"
#define SOCKET_MAX     107 /* sizeof(sun_path) - 1 */
#define SOCKET_NAME    "/.s.PGSQL.5432"
#define START_WAIT_US  (60 * USEC_PER_SEC)
#define BACKOFF_MIN_US (500 * MSEC_PER_SEC)
#define BACKOFF_MAX_US (10 * USEC_PER_SEC)
#define STABLE_US      (60 * USEC_PER_SEC)
#define LOG_MAX        (16 << 20) /* of server.log, looked at before each start */

struct embedded {
	unsigned magic;
	char dir[PATH_MAX];
	char bin[PATH_MAX];
	char conninfo[2 * PATH_MAX];
	uid_t uid; /* who runs the server */
	gid_t gid;
	char user[64];
	int lock;
	off_t log_at; /* where the program started last began to write */
	pid_t pid;
	int pidfd;
	int64_t started_us;
	int64_t backoff_us;
	unsigned restarts;
	struct event_base *base;
	struct event *exited;
	struct event *timer;
};

static void path_in(const struct embedded *e, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%.3000s/%s", e->dir, name);
}

/* What the program started last said of trouble in the log: the last such line, else the last that
 * is not routine. */
static void log_tail(const struct embedded *e, char *out, size_t size)
{
	char path[PATH_MAX], text[4096];
	char *line, *save = NULL;
	bool found = false;
	off_t size_now;
	ssize_t n;
	int fd;

	(void)str_copy(out, size, "no message in its log");
	path_in(e, "server.log", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	size_now = lseek(fd, 0, SEEK_END);
	(void)lseek(fd, MAX_OF(e->log_at, size_now - (off_t)sizeof(text) + 1), SEEK_SET);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[MAX_OF(n, 0)] = '\0';
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool bad = strstr(line, "FATAL") || strstr(line, "PANIC") ||
			   strstr(line, "ERROR") || strstr(line, "error:") ||
			   strstr(line, "No space");

		if (bad || (!found && !strstr(line, "LOG:")))
			(void)str_copy(out, size, line);
		found = found || bad;
	}
}

/* ---- who and where ---- */

static int find_user(struct embedded *e, const struct embedded_config *cfg, struct error *err)
{
	struct passwd *pw;

	if (geteuid() != 0) {
		e->uid = geteuid();
		e->gid = getegid();
		pw = getpwuid(e->uid);
		if (!pw)
			return error_set(err, -ENOENT, "user %u has no name", e->uid);
	} else {
		pw = getpwnam(cfg->user ? cfg->user : "postgres");
		if (!pw && !cfg->user)
			pw = getpwnam("nobody");
		if (!pw)
			return error_set(err, -ENOENT, "user '%s' does not exist",
					 cfg->user ? cfg->user : "nobody");
		if (pw->pw_uid == 0)
			return error_set(err, -EINVAL,
					 "PostgreSQL refuses to run as root: name "
					 "another 'database_user'");
		e->uid = pw->pw_uid;
		e->gid = pw->pw_gid;
	}
	(void)str_copy(e->user, sizeof(e->user), pw->pw_name);
	return 0;
}

/* The server's user has to get there: every folder above must let it through. */
static int check_reach(const struct embedded *e, struct error *err)
{
	char path[PATH_MAX];

	(void)str_copy(path, sizeof(path), e->dir);
	for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
		struct stat st;

		*slash = '\0';
		if (stat(path, &st) < 0)
			return error_sys(err, -errno, "'%s'", path);
		if (!(st.st_mode & S_IXOTH) && st.st_uid != e->uid &&
		    !(st.st_gid == e->gid && st.st_mode & S_IXGRP))
			return error_set(
				err, -EACCES,
				"user '%s' runs the database and cannot enter '%s': choose "
				"another folder than '%s'",
				e->user, path, e->dir);
	}
	return 0;
}

static int open_dir(struct embedded *e, struct error *err)
{
	char path[PATH_MAX];
	int rc;

	if (e->dir[0] != '/')
		return error_set(err, -EINVAL, "database folder '%s' is not an absolute path",
				 e->dir);
	if (strlen(e->dir) + strlen(SOCKET_NAME) > SOCKET_MAX)
		return error_set(err, -ENAMETOOLONG,
				 "database folder '%s' is too long: a socket's path has at most %d "
				 "bytes, so the folder's at most %zu",
				 e->dir, SOCKET_MAX, SOCKET_MAX - strlen(SOCKET_NAME));
	rc = fs_mkdir(e->dir, 0700, err);
	if (rc < 0)
		return rc;
	rc = check_reach(e, err);
	if (rc < 0)
		return rc;
	/* A unit that is not root's may forbid the call as such. */
	if ((geteuid() == 0 && chown(e->dir, e->uid, e->gid) < 0) || chmod(e->dir, 0700) < 0)
		return error_sys(err, -errno, "'%s'", e->dir);
	path_in(e, "lock", path);
	e->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->lock < 0)
		return error_sys(err, -errno, "'%s'", path);
	if (flock(e->lock, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, -EBUSY, "another collector uses the database in '%s'",
				 e->dir);
	return 0;
}

/* The major version that the folder's data needs, 0 when there is none yet. */
static int data_version(const struct embedded *e, struct error *err)
{
	char path[PATH_MAX], text[16];
	int major;

	path_in(e, "data/PG_VERSION", path);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	major = atoi(text);
	if (major <= 0)
		return error_set(err, -EINVAL, "'%s' holds no version of PostgreSQL", path);
	return major;
}

/* ---- processes ---- */

/* Becomes the server's user and the program; does not return. */
static void child_exec(const struct embedded *e, pid_t parent, const char *log, char *const argv[])
{
	static char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin",
				    (char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
	sigset_t none;
	int log_fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	setpgid(0, 0); /* Ctrl-C is for the collector; it stops the server when it is done */
	if (geteuid() == 0 &&
	    (setgroups(1, &e->gid) < 0 || setgid(e->gid) < 0 || setuid(e->uid) < 0))
		_exit(126);
	/* after setuid, which clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGINT) < 0 || getppid() != parent)
		_exit(125);
	log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log_fd < 0 || dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		_exit(124);
	if (chdir("/") < 0 || syscall(SYS_close_range, 3u, ~0u, 0u) < 0)
		_exit(125);
	execve(argv[0], argv, env);
	dprintf(STDERR_FILENO, "FATAL: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* One old one is kept: a server that cannot start says so every few seconds. */
static void turn_log(const struct embedded *e, const char *path)
{
	char old[PATH_MAX];
	struct stat st;

	path_in(e, "server.log.1", old);
	if (lstat(path, &st) == 0 && st.st_size > LOG_MAX && rename(path, old) < 0)
		log_warn("database=embedded error=\"cannot rename '%s': %s\"", path,
			 strerror(errno));
}

static int spawn(struct embedded *e, char *const argv[], pid_t *ret, struct error *err)
{
	char path[PATH_MAX];
	pid_t parent = getpid(), pid;
	struct stat st;

	path_in(e, "server.log", path);
	turn_log(e, path);
	e->log_at = lstat(path, &st) == 0 ? st.st_size : 0;
	pid = fork();
	if (pid < 0)
		return error_sys(err, -errno, "fork");
	if (pid == 0)
		child_exec(e, parent, path, argv);
	*ret = pid;
	return 0;
}

static char *text(const char *s)
{
	return (char *)(uintptr_t)s; /* execve does not write to them */
}

static int make_cluster(struct embedded *e, struct error *err)
{
	char program[PATH_MAX + 16], data[PATH_MAX], why[300];
	int status;
	pid_t pid;
	int rc;

	snprintf(program, sizeof(program), "%s/initdb", e->bin);
	path_in(e, "data", data);
	char *const argv[] = {program,      text("-D"), data,         text("-A"),
			      text("peer"), text("-E"), text("UTF8"), text("--locale=C.UTF-8"),
			      text("-U"),   text(ROLE), NULL};

	rc = spawn(e, argv, &pid, err);
	if (rc < 0)
		return rc;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_tail(e, why, sizeof(why));
	return error_set(err, -EIO, "cannot make a database in '%s': %s", e->dir, why);
}

/* The folder is the server's user's: as root we would follow a link that it put there. */
static int write_as_server(const struct embedded *e, const char *name, const char *content,
			   struct error *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char path[PATH_MAX];
	int rc;

	path_in(e, name, path);
	if (uid == 0 && (setegid(e->gid) < 0 || seteuid(e->uid) < 0))
		rc = error_sys(err, -errno, "cannot act as user '%s'", e->user);
	else
		rc = fs_write(path, 0600, content, strlen(content), err);
	if (uid == 0 && (seteuid(uid) < 0 || setegid(gid) < 0))
		abort();
	return rc;
}

/* Who may connect: over the socket, the server's user and the collector's, as the one role. */
static int write_access(const struct embedded *e, struct error *err)
{
	struct passwd *me = getpwuid(geteuid());
	char ident[256];
	int rc;

	snprintf(ident, sizeof(ident), "memherd \"%s\" " ROLE "\nmemherd \"%s\" " ROLE "\n",
		 e->user, me ? me->pw_name : e->user);
	rc = write_as_server(e, "data/pg_ident.conf", ident, err);
	if (rc == 0)
		rc = write_as_server(e, "data/pg_hba.conf", "local all all peer map=memherd\n",
				     err);
	return rc;
}

static int start_server(struct embedded *e, struct error *err)
{
	char program[PATH_MAX + 16], data[PATH_MAX], sockets[PATH_MAX + 32];
	int rc;

	snprintf(program, sizeof(program), "%s/postgres", e->bin);
	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", e->dir);
	path_in(e, "data", data);
	char *const argv[] = {program,
			      text("-D"),
			      data,
			      text("-c"),
			      text("listen_addresses="),
			      text("-c"),
			      sockets,
			      text("-c"),
			      text("unix_socket_permissions=0700"),
			      text("-c"),
			      text("port=5432"),
			      text("-c"),
			      text("shared_buffers=32MB"),
			      text("-c"),
			      text("max_connections=20"),
			      text("-c"),
			      text("jit=off"),
			      text("-c"),
			      text("max_wal_size=512MB"),
			      text("-c"),
			      text("wal_compression=on"),
			      text("-c"),
			      text("logging_collector=off"),
			      text("-c"),
			      text("timezone=UTC"),
			      NULL};

	rc = spawn(e, argv, &e->pid, err);
	if (rc < 0)
		return rc;
	e->started_us = clock_boot_us();
	e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	return e->pidfd < 0 ? error_sys(err, -errno, "pidfd_open") : 0;
}

/* True when the server has ended; it is reaped then. */
static bool reap(struct embedded *e)
{
	if (!e->pid || waitpid(e->pid, NULL, WNOHANG) != e->pid)
		return false;
	e->pid = 0;
	close(e->pidfd);
	e->pidfd = -1;
	return true;
}

/* The server of a collector before us, or its word in the log that the two share. */
static bool is_of_the_one_before(const char *why)
{
	return strstr(why, "lock file") || strstr(why, "shared memory") ||
	       strstr(why, "shutting down");
}

/* A collector before us may have been killed: its server is going down and still holds the
 * folder, so a start that fails is tried again for a while. */
static int start_and_wait(struct embedded *e, struct error *err)
{
	int64_t end = clock_boot_us() + START_WAIT_US;
	int64_t give_up_restarts = clock_boot_us() + START_WAIT_US / 6;
	char why[300];

	for (;;) {
		struct db_sync *s;
		int rc = e->pid ? 0 : start_server(e, err);

		if (rc < 0)
			return rc;
		usleep(20000);
		if (reap(e)) {
			log_tail(e, why, sizeof(why));
			if (clock_boot_us() > give_up_restarts || !is_of_the_one_before(why))
				return error_set(err, -EIO,
						 "the database in '%s' does not start: %s", e->dir,
						 why);
			usleep(500000);
			continue;
		}
		rc = db_sync_open(e->conninfo, false, &s, err);
		if (rc == 0) {
			db_sync_free(&s);
			return 0;
		}
		if (rc != -ENOTCONN)
			return rc;
		if (clock_boot_us() > end) {
			error_wrap(err, "the database in '%s' does not answer", e->dir);
			return rc;
		}
	}
}

/* host='...' with what libpq's connection strings want escaped. */
static void make_conninfo(struct embedded *e)
{
	char *at = e->conninfo + sprintf(e->conninfo, "user=" ROLE " dbname=postgres host='");

	for (const char *p = e->dir; *p; p++) {
		if (*p == '\'' || *p == '\\')
			*at++ = '\\';
		*at++ = *p;
	}
	memcpy(at, "'", 2);
}

int embedded_start(const struct embedded_config *cfg, struct embedded **ret, struct error *err)
{
	struct embedded *e = calloc(1, sizeof(*e));
	int rc, major = 0;

	if (!e)
		return error_sys(err, -ENOMEM, "embedded database");
	e->magic = MAGIC;
	e->lock = e->pidfd = -1;
	e->backoff_us = BACKOFF_MIN_US;
	if (!str_copy(e->dir, sizeof(e->dir), cfg->dir))
		e->dir[0] = '\0';
	rc = find_user(e, cfg, err);
	if (rc == 0)
		rc = open_dir(e, err);
	if (rc == 0)
		rc = major = data_version(e, err);
	if (rc >= 0)
		rc = embedded_bin_find(major, cfg->bin_dir, e->bin, err);
	if (rc == 0 && !major)
		rc = make_cluster(e, err);
	if (rc == 0)
		rc = write_access(e, err);
	make_conninfo(e);
	if (rc == 0)
		rc = start_and_wait(e, err);
	if (rc < 0) {
		embedded_free(&e);
		return rc;
	}
	*ret = e;
	return 0;
}

/* ---- watching ---- */

static void watch(struct embedded *e);

static void later(struct embedded *e)
{
	struct timeval tv = {.tv_sec = e->backoff_us / USEC_PER_SEC,
			     .tv_usec = e->backoff_us % USEC_PER_SEC};

	evtimer_add(e->timer, &tv);
	e->backoff_us = MIN_OF(e->backoff_us * 2, BACKOFF_MAX_US);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
	struct embedded *e = arg;
	struct error err;

	(void)fd, (void)what;
	MAGIC_CHECK(e, MAGIC);
	e->restarts++;
	if (start_server(e, &err) < 0) {
		log_error("database=embedded state=down error=\"%s\"", err.msg);
		later(e);
		return;
	}
	log_info("database=embedded state=started pid=%d", (int)e->pid);
	watch(e);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct embedded *e = arg;
	char why[300];

	(void)fd, (void)what;
	MAGIC_CHECK(e, MAGIC);
	event_free(e->exited);
	e->exited = NULL;
	if (clock_boot_us() - e->started_us > STABLE_US)
		e->backoff_us = BACKOFF_MIN_US;
	if (!reap(e)) { /* not ours any more, or not yet: the timer looks again */
		watch(e);
		return;
	}
	log_tail(e, why, sizeof(why));
	log_warn("database=embedded state=ended folder=%s log=\"%s\"", e->dir, why);
	later(e);
}

static void watch(struct embedded *e)
{
	e->exited = event_new(e->base, e->pidfd, EV_READ, on_exited, e);
	if (e->exited)
		event_add(e->exited, NULL);
}

int embedded_supervise(struct embedded *e, struct event_base *base, struct error *err)
{
	e->base = base;
	e->timer = evtimer_new(base, on_restart, e);
	if (e->timer)
		watch(e);
	return e->exited ? 0 : error_sys(err, -ENOMEM, "embedded database");
}

/* ---- the end ---- */

/* Sends the signal and waits; true when it has ended. */
static bool stop_with(struct embedded *e, int sig, int64_t wait_us)
{
	int64_t end = clock_boot_us() + wait_us;

	if (!e->pid || kill(e->pid, sig) < 0)
		return true;
	while (!reap(e)) {
		if (clock_boot_us() > end)
			return false;
		usleep(10000);
	}
	return true;
}

void embedded_free(struct embedded **slot)
{
	struct embedded *e = take_ptr(*slot);

	if (!e)
		return;
	if (e->exited)
		event_free(e->exited);
	if (e->timer)
		event_free(e->timer);
	if (!stop_with(e, SIGINT, 20 * USEC_PER_SEC) && !stop_with(e, SIGQUIT, 5 * USEC_PER_SEC))
		(void)stop_with(e, SIGKILL, 5 * USEC_PER_SEC);
	if (e->pidfd >= 0)
		close(e->pidfd);
	if (e->lock >= 0)
		close(e->lock);
	free(e);
}

const char *embedded_conninfo(const struct embedded *e)
{
	return e->conninfo;
}

pid_t embedded_pid(const struct embedded *e)
{
	return e->pid;
}

const char *embedded_bin_dir(const struct embedded *e)
{
	return e->bin;
}

unsigned embedded_restarts(const struct embedded *e)
{
	return e->restarts;
}
