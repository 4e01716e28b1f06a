/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/pool_idle.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

/* Between two looks: long beside what a child does between two tasks. */
#define LOOK_EVERY_MS 150
#define TEXT_SIZE     8192

int pool_idle_parse(const char *text, long *ret_call, uint64_t *ret_argument)
{
	if (str_starts(text, "running"))
		return -ENODATA;
	if (!isdigit((unsigned char)*text) ||
	    sscanf(text, "%ld 0x%" SCNx64, ret_call, ret_argument) != 2)
		return -EBADMSG;
	return 0;
}

static int read_fd_link(pid_t pid, const char *fd, char *out, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, fd);
	n = readlink(path, out, size - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

static bool has_open(pid_t pid, const char *link)
{
	char path[32];
	char other[64];
	bool found = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d)))
		found = isdigit((unsigned char)*e->d_name) &&
			read_fd_link(pid, e->d_name, other, sizeof(other)) == 0 &&
			strcmp(other, link) == 0;
	if (d)
		closedir(d);
	return found;
}

static bool reads_from(pid_t worker, pid_t master, uint64_t fd)
{
	char number[24];
	char link[64];

	snprintf(number, sizeof(number), "%" PRIu64, fd);
	return read_fd_link(worker, number, link, sizeof(link)) == 0 &&
	       (str_starts(link, "pipe:") || str_starts(link, "socket:")) && has_open(master, link);
}

/* The inode of the semaphore mapped at this address, or (address 0) whether that inode is mapped
 * anywhere. 0 = none. */
static uint64_t find_semaphore(pid_t pid, uint64_t address, uint64_t inode)
{
	char path[32];
	char *line = NULL;
	size_t room = 0;
	uint64_t found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &room, f) > 0) {
		uint64_t from, to, ino;

		/* '7f2d-7f2e rw-s 00000000 00:18 12 /dev/shm/sem.mp-x (deleted)' */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &from, &to,
			   &ino) == 3 &&
		    strstr(line, "/sem.") &&
		    (address ? address >= from && address < to : ino == inode))
			found = ino;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static bool waits_for_turn(pid_t worker, pid_t master, uint64_t address)
{
	uint64_t inode = address ? find_semaphore(worker, address, 0) : 0;

	return inode && find_semaphore(master, 0, inode) == inode;
}

/* How often it went to sleep of its own accord so far. */
static int64_t count_sleeps(pid_t pid)
{
	char path[48];
	char text[TEXT_SIZE];
	const char *line;
	int64_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, "\nvoluntary_ctxt_switches:");
	return line && sscanf(line + 1, "voluntary_ctxt_switches: %" SCNd64, &n) == 1 ? n : -1;
}

/* 1 = waits now, 0 = does not; *ret_sleeps tells one wait from the next. */
static int waits(const struct process *worker, const struct process *master, int64_t *ret_sleeps)
{
	char path[48];
	char text[256];
	uint64_t argument;
	long call;
	int rc;

	*ret_sleeps = count_sleeps(worker->pid);
	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)worker->pid);
	rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (rc >= 0)
		rc = pool_idle_parse(text, &call, &argument);
	if (rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc == -ENOENT ? -ESRCH : rc;
	if (call == SYS_read)
		return reads_from(worker->pid, master->pid, argument);
	return call == SYS_futex && waits_for_turn(worker->pid, master->pid, argument);
}

int pool_idle_wait(const struct process *worker, const struct process *master, int64_t until_us)
{
	int64_t before = -1;

	for (;;) {
		int64_t sleeps;
		int rc = waits(worker, master, &sleeps);

		if (rc < 0)
			return process_alive(worker) ? rc : -ESRCH;
		if (rc && sleeps >= 0 && sleeps == before)
			return 0;
		before = rc ? sleeps : -1;
		if (clock_boot_us() >= until_us)
			return -EBUSY;
		if (process_ends_until(worker, clock_boot_us() + LOOK_EVERY_MS * 1000))
			return -ESRCH;
	}
}
