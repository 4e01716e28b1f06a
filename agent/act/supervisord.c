/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/supervisord.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/act/pool.h"
#include "common/fs.h"
#include "common/str.h"

#define STATUS_SIZE 8192
#define SOCKETS_MAX 64
#define UNIX_MAX    ((size_t)8 * 1024 * 1024) /* some 100,000 sockets */

/* ---- pids, as each namespace has them ---- */

pid_t supervisord_nspid(const char *status, unsigned level, unsigned *ret_levels)
{
	const char *line = strstr(status, "\nNSpid:");
	pid_t found = 0;
	unsigned n = 0;

	*ret_levels = 0;
	if (!line)
		return 0;
	for (char *s = strchr(line, ':') + 1; *s == '\t' && isdigit((unsigned char)s[1]); n++) {
		long pid = strtol(s + 1, &s, 10);

		if (n == level && pid > 0)
			found = (pid_t)pid;
	}
	*ret_levels = n;
	return found;
}

static pid_t nspid(pid_t pid, unsigned level, unsigned *ret_levels)
{
	char path[32];
	char text[STATUS_SIZE];

	*ret_levels = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	return supervisord_nspid(text, level, ret_levels);
}

/* As supervisord knows them: whoever it starts may be in a namespace below its own. */
static int learn_pids(struct supervisord *s, struct error *err)
{
	unsigned levels;
	unsigned below;

	nspid(s->master.pid, 0, &levels);
	s->master_pid = levels ? nspid(s->master.pid, levels - 1, &levels) : 0;
	s->program_pid = levels ? nspid(s->program.pid, levels - 1, &below) : 0;
	if (s->master_pid && s->program_pid)
		return 0;
	return error_set(err, -ESRCH, "process %d ended just now", (int)s->program.pid);
}

/* ---- who ---- */

int supervisord_find(const struct process *p, struct supervisord *ret, struct error *err)
{
	struct supervisord s = {.master = {.pidfd = -1}, .program = {.pidfd = -1}};
	int rc = process_open(p->pid, &s.program, err);

	if (rc == 0 && s.program.start_ticks != p->start_ticks)
		rc = error_set(err, -ESRCH, "process %d ended just now", (int)p->pid);
	for (unsigned i = 0; rc == 0 && i < SUPERVISORD_ABOVE_MAX; i++) {
		rc = pool_parent(&s.program, &s.master, err);
		if (rc < 0 || s.master.pidfd < 0)
			break;
		if (s.master.state != 'Z' && pool_server_of(&s.master) == PROGRAM_SUPERVISORD) {
			rc = learn_pids(&s, err);
			if (rc < 0)
				break;
			*ret = s;
			return 1;
		}
		process_fini(&s.program);
		s.program = s.master;
		s.master = (struct process){.pidfd = -1};
	}
	supervisord_fini(&s);
	return rc;
}

void supervisord_fini(struct supervisord *s)
{
	process_fini(&s->master);
	process_fini(&s->program);
}

int supervisord_child(const struct supervisord *s, pid_t told, struct process *ret)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned levels;
	unsigned below;
	int rc = -ESRCH;

	nspid(s->master.pid, 0, &levels);
	while (d && levels && rc < 0 && (e = readdir(d))) {
		pid_t pid =
			isdigit((unsigned char)*e->d_name) ? (pid_t)strtol(e->d_name, NULL, 10) : 0;
		struct process p;

		if (!pid || process_stat(pid, &p) < 0 || p.parent != s->master.pid ||
		    nspid(pid, levels - 1, &below) != told)
			continue;
		rc = process_open(pid, ret, NULL);
	}
	if (d)
		closedir(d);
	return rc;
}

/* ---- what it sees ---- */

int supervisord_open(const struct supervisord *s, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char name[32];
	auto_close int root = -1;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/root", (int)s->master.pid);
	root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	/* Whoever has its pid by now is somebody else. */
	if (!process_alive(&s->master)) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

/* ---- the socket ---- */

bool supervisord_parse_unix(const char *line, uint64_t *ret_inode,
			    char ret_path[SUPERVISORD_PATH_SIZE])
{
	unsigned flags;
	unsigned type;
	int at = 0;
	const char *dot;
	size_t len;

	/* 'Num: RefCount Protocol Flags Type St Inode Path' */
	if (sscanf(line, "%*[0-9a-f]: %*x %*x %x %x %*x %" SCNu64 " %n", &flags, &type, ret_inode,
		   &at) != 3 ||
	    !at || !(flags & 0x10000) || type != SOCK_STREAM || line[at] != '/')
		return false;
	len = strcspn(line + at, "\n");
	dot = memrchr(line + at, '.', len);
	/* It binds beside the name that it is found by, and makes that a link to it. */
	if (dot && isdigit((unsigned char)dot[1]) &&
	    strspn(dot + 1, "0123456789") == (size_t)(line + at + len - dot - 1))
		len = (size_t)(dot - line - at);
	if (len >= SUPERVISORD_PATH_SIZE)
		return false;
	memcpy(ret_path, line + at, len);
	ret_path[len] = '\0';
	return true;
}

static bool is_one_of(uint64_t inode, const uint64_t *all, int n)
{
	for (int i = 0; i < n; i++)
		if (all[i] == inode)
			return true;
	return false;
}

/* The first that it listens on. */
static int find_path(const struct supervisord *s, char ret_path[SUPERVISORD_PATH_SIZE],
		     struct error *err)
{
	auto_buf struct buf text = BUF_INIT(UNIX_MAX);
	uint64_t mine[SOCKETS_MAX];
	uint64_t inode;
	char name[32];
	char *rest;
	int n = process_sockets(s->master.pid, mine, SOCKETS_MAX);
	int rc;

	if (n < 0)
		return error_sys(err, n, "cannot see what supervisord, process %d, has open",
				 (int)s->master.pid);
	snprintf(name, sizeof(name), "/proc/%d/net/unix", (int)s->master.pid);
	rc = fs_read(name, &text, err);
	if (rc < 0)
		return rc;
	buf_putc(&text, '\0');
	if (buf_status(&text) < 0)
		return error_set(err, -ENOMEM, "no memory for '%s'", name);
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (supervisord_parse_unix(line, &inode, ret_path) && is_one_of(inode, mine, n))
			return 0;
	return error_set(err, -ENOENT, "supervisord, process %d, listens on no Unix socket",
			 (int)s->master.pid);
}

int supervisord_socket(const struct supervisord *s, char ret_path[SUPERVISORD_PATH_SIZE],
		       struct error *err)
{
	struct stat st;
	auto_close int fd = -1;
	int rc = find_path(s, ret_path, err);

	if (rc < 0)
		return rc;
	fd = supervisord_open(s, ret_path, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(err, fd < 0 ? fd : -errno,
				 "the control socket of supervisord, '%s', cannot be found",
				 ret_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EPERM, "'%s' is no socket", ret_path);
	return take_fd(fd);
}

/* It may have listened before it became a daemon: then its pid is not that of who made it. */
int supervisord_check_peer(const struct supervisord *s, int fd, struct error *err)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	    (who.pid == s->master.pid || who.uid == s->master.uid))
		return 0;
	return error_set(err, -EPERM,
			 "the control socket of supervisord belongs to another user than its own");
}
