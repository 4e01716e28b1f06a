/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define PF_KTHREAD 0x00200000u /* include/linux/sched.h */
#define TEXT_SIZE  8192

static int read_proc(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	int n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	n = fs_read_small(AT_FDCWD, path, out, size);
	return n == -ENOENT ? -ESRCH : n;
}

/* proc(5): 'pid (comm) state ppid ... flags ... starttime ...'. */
int process_parse_stat(const char *text, struct process *p)
{
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	unsigned flags;
	uint64_t ticks;
	int parent;
	char state;

	if (!open || !close || close < open)
		return -EBADMSG;
	if (sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%" SCNu64,
		   &state, &parent, &flags, &ticks) != 4)
		return -EBADMSG;
	str_safe(p->comm, sizeof(p->comm), open + 1, (size_t)(close - open - 1));
	p->state = state;
	p->parent = parent;
	p->kernel_thread = flags & PF_KTHREAD;
	p->start_ticks = ticks;
	return 0;
}

/* The text after 'name:' at the beginning of a line, or NULL. */
static const char *status_line(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *l = text; l; l = strchr(l, '\n')) {
		l += *l == '\n';
		if (strncmp(l, name, n) == 0 && l[n] == ':')
			return l + n + 1;
	}
	return NULL;
}

static bool line_has(const char *line, const char *word)
{
	size_t n = strcspn(line, "\n");
	const char *hit = memmem(line, n, word, strlen(word));

	return hit != NULL;
}

int process_parse_status(const char *text, struct process *p)
{
	const char *uid = status_line(text, "Uid");
	const char *seccomp = status_line(text, "Seccomp");
	const char *tracer = status_line(text, "TracerPid");
	const char *features = status_line(text, "x86_Thread_features");
	const char *caught = status_line(text, "SigCgt");
	int traced = 0;

	if (!uid || sscanf(uid, "%*u %" SCNu32, &p->uid) != 1)
		return -EBADMSG;
	if (!tracer || sscanf(tracer, "%d", &traced) != 1)
		return -EBADMSG;
	p->tracer = traced;
	if (caught && sscanf(caught, "%" SCNx64, &p->caught) != 1)
		return -EBADMSG;
	/* Absent from a kernel without seccomp. */
	if (seccomp && sscanf(seccomp, "%u", &p->seccomp) != 1)
		return -EBADMSG;
	p->shadow_stack = features && line_has(features, "shstk");
	return 0;
}

int process_parse_memory(const char *text, struct process_memory *ret)
{
	const char *rss = status_line(text, "VmRSS");
	const char *swap = status_line(text, "VmSwap");
	int64_t rss_kib;
	int64_t swap_kib = 0;

	if (!rss || sscanf(rss, "%" SCNd64, &rss_kib) != 1)
		return -EBADMSG;
	if (swap && sscanf(swap, "%" SCNd64, &swap_kib) != 1)
		return -EBADMSG;
	*ret = (struct process_memory){.rss = rss_kib * 1024, .swap = swap_kib * 1024};
	return 0;
}

/* Lines 'id:controllers:path'; systemd's hierarchy names the unit, the memory one the container. */
void process_parse_cgroup(const char *text, struct process *p)
{
	int best = 0;

	for (const char *l = text; *l;) {
		size_t len = strcspn(l, "\n");
		const char *one = memchr(l, ':', len);
		const char *two = one ? memchr(one + 1, ':', len - (size_t)(one + 1 - l)) : NULL;
		int rank = 0;

		if (two) {
			size_t n = (size_t)(two - one - 1);

			if (n == strlen("name=systemd") && memcmp(one + 1, "name=systemd", n) == 0)
				rank = 3;
			else if (n == 0)
				rank = 2;
			else if (n == strlen("memory") && memcmp(one + 1, "memory", n) == 0)
				rank = 1;
		}
		if (rank > best) {
			str_safe(p->cgroup, sizeof(p->cgroup), two + 1,
				 len - (size_t)(two + 1 - l));
			best = rank;
		}
		l += len;
		l += *l == '\n';
	}
}

/* A path that does not fit could match a shorter pattern than it should: it is none. */
static int read_exe(struct process *p)
{
	char path[32];
	char raw[PROCESS_PATH_SIZE];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)p->pid);
	n = readlink(path, raw, sizeof(raw));
	if (n < 0)
		return p->kernel_thread || p->state == 'Z' ? 0 : -errno;
	if ((size_t)n == sizeof(raw))
		return -ENAMETOOLONG;
	raw[n] = '\0';
	if (str_ends(raw, " (deleted)"))
		raw[(size_t)n - strlen(" (deleted)")] = '\0';
	str_safe(p->exe, sizeof(p->exe), raw, strlen(raw));
	return 0;
}

static bool is_wide(pid_t pid)
{
	char path[32];
	auto_close int fd = -1;
	uint8_t ident[EI_NIDENT];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && read(fd, ident, sizeof(ident)) == (ssize_t)sizeof(ident) &&
	       memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_CLASS] == ELFCLASS64;
}

/* A namespace that cannot be compared counts as another one. */
static bool same_namespace(pid_t pid, const char *name)
{
	char path[64];
	struct stat mine;
	struct stat other;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	if (stat(path, &other) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &mine) == 0 && mine.st_ino == other.st_ino && mine.st_dev == other.st_dev;
}

/* Its cgroup says it, or else a parent that is there for it. Whose parent has ended is a child of
 * init, or of whoever reaps in its place. */
static void find_supervisor(struct process *p)
{
	char text[TEXT_SIZE];
	struct process parent = {0};

	supervisor_of_cgroup(p->cgroup, &p->supervisor);
	if (p->supervisor.kind == SUPERVISOR_BARE && p->parent > 1 &&
	    read_proc(p->parent, "stat", text, sizeof(text)) >= 0 &&
	    process_parse_stat(text, &parent) >= 0 && !parent.kernel_thread &&
	    parent.state != 'Z' && supervisor_is_master(parent.comm))
		p->supervisor.kind = SUPERVISOR_PARENT;
}

static int read_facts(struct process *p)
{
	char text[TEXT_SIZE];
	int rc = read_proc(p->pid, "stat", text, sizeof(text));

	if (rc >= 0)
		rc = process_parse_stat(text, p);
	if (rc >= 0)
		rc = read_proc(p->pid, "status", text, sizeof(text));
	if (rc >= 0)
		rc = process_parse_status(text, p);
	if (rc >= 0)
		rc = read_exe(p);
	if (rc < 0)
		return rc;
	if (read_proc(p->pid, "cgroup", text, sizeof(text)) >= 0)
		process_parse_cgroup(text, p);
	find_supervisor(p);
	p->wide = is_wide(p->pid);
	p->container = !same_namespace(p->pid, "pid") || !same_namespace(p->pid, "user");
	return 0;
}

int process_open(pid_t pid, struct process *ret, struct error *err)
{
	struct process p = {.pid = pid};
	int rc;

	p.pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : (errno = ESRCH, -1);
	if (p.pidfd < 0) {
		/* EINVAL: the id of a thread that is not the first of its process. */
		if (errno == ESRCH || errno == EINVAL)
			return error_set(err, -ESRCH, "no process %d", (int)pid);
		return error_sys(err, -errno, "cannot open process %d", (int)pid);
	}
	rc = read_facts(&p);
	if (rc == 0 && !process_alive(&p))
		rc = -ESRCH;
	if (rc < 0) {
		process_fini(&p);
		if (rc == -ESRCH)
			return error_set(err, rc, "process %d is gone", (int)pid);
		return error_sys(err, rc, "cannot read what process %d is", (int)pid);
	}
	*ret = p;
	return 0;
}

void process_fini(struct process *p)
{
	if (p->pidfd > 0)
		close(p->pidfd);
	p->pidfd = -1;
}

int process_check_traceable(const struct process *p, struct error *err)
{
	if (p->state == 'Z' || p->state == 'X')
		return error_set(err, -ENOTSUP, "process %d has ended and waits for its parent",
				 (int)p->pid);
	if (p->tracer)
		return error_set(err, -ENOTSUP, "already traced by %d", (int)p->tracer);
	if (p->seccomp == 1)
		return error_set(err, -ENOTSUP, "process %d is under strict seccomp", (int)p->pid);
	return 0;
}

bool process_alive(const struct process *p)
{
	struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};

	/* A pidfd becomes readable when the process ends. */
	return poll(&fd, 1, 0) == 0;
}

bool process_ends_until(const struct process *p, int64_t until_us)
{
	for (;;) {
		struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
		int64_t left_us = until_us - clock_boot_us();

		if (left_us <= 0)
			return !process_alive(p);
		if (poll(&fd, 1, (int)(left_us / 1000) + 1) > 0)
			return true;
	}
}

bool process_catches(const struct process *p, int signal)
{
	return p->caught >> (signal - 1) & 1;
}

int process_signal(const struct process *p, int signal, struct error *err)
{
	if (syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) == 0)
		return 0;
	if (errno == ESRCH)
		return error_set(err, -ESRCH, "process %d ended by itself", (int)p->pid);
	return error_sys(err, -errno, "cannot send signal %d to process %d", signal, (int)p->pid);
}

int process_stat(pid_t pid, struct process *ret)
{
	char text[TEXT_SIZE];
	int rc = read_proc(pid, "stat", text, sizeof(text));

	*ret = (struct process){.pid = pid, .pidfd = -1};
	return rc < 0 ? rc : process_parse_stat(text, ret);
}

int process_start_ticks(pid_t pid, uint64_t *ret)
{
	struct process p;
	int rc = process_stat(pid, &p);

	if (rc < 0)
		return rc;
	*ret = p.start_ticks;
	return 0;
}

int process_memory(const struct process *p, struct process_memory *ret, struct error *err)
{
	char text[TEXT_SIZE];
	int rc = read_proc(p->pid, "status", text, sizeof(text));

	if (rc >= 0)
		rc = process_parse_memory(text, ret);
	if (rc < 0 || !process_alive(p))
		return error_set(err, -ESRCH, "process %d ended", (int)p->pid);
	return 0;
}

int process_sockets(pid_t pid, uint64_t *inodes, int max)
{
	char path[32];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return -errno;
	while (n < max && (e = readdir(d))) {
		char link[64] = "";
		ssize_t len = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (len > 0 && sscanf(link, "socket:[%" SCNu64 "]", &inodes[n]) == 1)
			n++;
	}
	closedir(d);
	return n;
}

int process_boot_id(uint8_t ret[16], struct error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	char text[64];
	int rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));

	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s'", path);
	if (uuid_parse(ret, str_trim(text)) < 0)
		return error_set(err, -EBADMSG, "'%s' is not a boot id", path);
	return 0;
}
