/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/procdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PATH_SIZE 64

int procdir_open(struct procdir *d, const char *path, struct error *err)
{
	*d = (struct procdir){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (d->fd < 0)
		return error_sys(err, -errno, "cannot open '%s'", path);
	d->dents = malloc(PROCDIR_DENTS_SIZE);
	if (!d->dents) {
		procdir_close(d);
		return error_sys(err, -ENOMEM, "cannot read '%s'", path);
	}
	return 0;
}

void procdir_close(struct procdir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	free(d->dents);
	*d = (struct procdir){.fd = -1};
}

int procdir_rewind(struct procdir *d)
{
	d->pos = 0;
	d->have = 0;
	return lseek(d->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* The pid that a name is, or 0. */
static uint32_t pid_of_name(const char *s)
{
	uint32_t v = 0;

	/* a pid has at most 7 digits (PID_MAX_LIMIT is 2^22) */
	for (unsigned n = 0; *s; s++, n++) {
		if (*s < '0' || *s > '9' || n == 7)
			return 0;
		v = v * 10 + (uint32_t)(*s - '0');
	}
	return v;
}

int procdir_next(struct procdir *d, uint32_t *ret_pid, uint64_t *ret_ino)
{
	for (;;) {
		const struct dirent64 *e;
		uint32_t pid;

		if (d->pos >= d->have) {
			ssize_t n = getdents64(d->fd, d->dents, PROCDIR_DENTS_SIZE);

			if (n <= 0)
				return n < 0 ? -errno : 0;
			d->have = (size_t)n;
			d->pos = 0;
		}
		e = (const void *)(d->dents + d->pos);
		d->pos += e->d_reclen;
		pid = pid_of_name(e->d_name);
		if (!pid)
			continue;
		*ret_pid = pid;
		*ret_ino = e->d_ino;
		return 1;
	}
}

/* 'PID/file' without the cost of printf: this runs once or more per process and round. */
static void make_path(char out[PATH_SIZE], uint32_t pid, const char *file)
{
	char digits[10];
	unsigned n = 0;
	size_t len = strnlen(file, PATH_SIZE - 12);

	if (pid != PROCDIR_NO_PID) {
		for (; pid; pid /= 10)
			digits[n++] = (char)('0' + pid % 10);
		while (n)
			*out++ = digits[--n];
		*out++ = '/';
	}
	memcpy(out, file, len);
	out[len] = '\0';
}

static int open_file(const struct procdir *d, uint32_t pid, const char *file, int flags)
{
	char path[PATH_SIZE];
	int fd;

	make_path(path, pid, file);
	fd = openat(d->fd, path, flags | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int procdir_read(const struct procdir *d, uint32_t pid, const char *file, char *buf, size_t size)
{
	int fd = open_file(d, pid, file, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = '\0';
	close(fd);
	return (int)n;
}

int procdir_read_all(const struct procdir *d, uint32_t pid, const char *file, char *buf,
		     size_t size)
{
	auto_close int fd = open_file(d, pid, file, 0);
	size_t len = 0;

	if (fd < 0)
		return fd;
	while (len + 1 < size) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return (int)len;
}

int procdir_readlink(const struct procdir *d, uint32_t pid, const char *file, char *buf,
		     size_t size)
{
	char path[PATH_SIZE];
	ssize_t n;

	make_path(path, pid, file);
	n = readlinkat(d->fd, path, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

int procdir_count_fds(const struct procdir *d, uint32_t pid)
{
	auto_close int fd = open_file(d, pid, "fd", O_DIRECTORY);
	uint8_t dents[4096] __attribute__((aligned(8)));
	int count = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = getdents64(fd, dents, sizeof(dents))) > 0) {
		const struct dirent64 *e;

		for (size_t pos = 0; pos < (size_t)n; pos += e->d_reclen) {
			e = (const void *)(dents + pos);
			count += e->d_name[0] != '.';
		}
	}
	return n < 0 ? -errno : count;
}
