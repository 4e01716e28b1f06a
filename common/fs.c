/* SPDX-License-Identifier: Apache-2.0 */
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/str.h"

int fs_read(const char *path, struct buf *b, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_sys(err, -errno, "cannot open '%s'", path);
	for (;;) {
		uint8_t chunk[8192];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, -errno, "cannot read '%s'", path);
		if (n == 0)
			return 0;
		buf_put(b, chunk, (size_t)n);
		if (buf_status(b) < 0)
			return error_set(err, -EFBIG, "'%s' is larger than %zu bytes", path,
					 b->max);
	}
}

int fs_read_small(int dirfd, const char *path, char *out, size_t size)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len + 1 < size) {
		ssize_t n = read(fd, out + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			out[len] = '\0';
			return (int)len;
		}
		len += (size_t)n;
	}
	out[len] = '\0';
	return -EFBIG;
}

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_folder_of(const char *path)
{
	auto_free char *copy = strdup(path);
	auto_close int fd = -1;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int fs_write(const char *path, mode_t mode, const void *data, size_t len, struct error *err)
{
	auto_free char *tmp = NULL;
	auto_close int fd = -1;
	int rc;

	if (asprintf(&tmp, "%s.tmp.%d", path, (int)getpid()) < 0) {
		tmp = NULL;
		return error_set(err, -ENOMEM, "no memory to write '%s'", path);
	}
	/* Left by a crash of the same pid, which in a container is the rule: no other process of
	 * ours writes this path. */
	if (unlink(tmp) < 0 && errno != ENOENT)
		return error_sys(err, -errno, "cannot remove '%s'", tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return error_sys(err, -errno, "cannot create '%s'", tmp);
	rc = fs_write_all(fd, data, len);
	if (!rc && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0))
		rc = -errno;
	if (rc < 0) {
		unlink(tmp);
		return error_sys(err, rc, "cannot write '%s'", path);
	}
	rc = sync_folder_of(path);
	if (rc < 0)
		return error_sys(err, rc, "cannot sync the folder of '%s'", path);
	return 0;
}

int fs_mkdir(const char *path, mode_t mode, struct error *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return error_sys(err, -errno, "cannot make folder '%s'", path);
	if (stat(path, &st) < 0)
		return error_sys(err, -errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "'%s' is not a folder", path);
	return 0;
}

int fs_check_private(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_sys(err, -errno, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EPERM, "'%s' is not a regular file", path);
	if (st.st_mode & 077)
		return error_set(err, -EPERM,
				 "'%s' can be read by others (mode %04o), expected 0600", path,
				 (unsigned)(st.st_mode & 07777));
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return error_set(err, -EPERM, "'%s' belongs to uid %u, expected %u or 0", path,
				 (unsigned)st.st_uid, (unsigned)geteuid());
	return 0;
}

/* One name on the way: who may change what it stands for? A link's own mode says nothing. */
static int check_step(const char *path, bool last, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return error_sys(err, -errno, "cannot look at '%s'", path);
	if (st.st_uid != 0)
		return error_set(err, -EPERM, "'%s' belongs to uid %u, expected root", path,
				 (unsigned)st.st_uid);
	/* In a sticky folder nobody takes away what is root's. */
	if (!S_ISLNK(st.st_mode) && st.st_mode & 022 && (last || !(st.st_mode & S_ISVTX)))
		return error_set(err, -EPERM, "'%s' is writable by others (mode %04o)", path,
				 (unsigned)(st.st_mode & 07777));
	return 0;
}

static int check_chain(const char *path, struct error *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	int rc = check_step("/", false, err);

	if (*path != '/' || len >= sizeof(part))
		return error_set(err, -EINVAL, "'%s' is not an absolute path", path);
	for (size_t n = 1; rc == 0 && n <= len; n++) {
		if (path[n] != '/' && path[n] != '\0')
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		rc = check_step(part, n == len, err);
	}
	return rc;
}

int fs_check_root_owned(const char *path, struct error *err)
{
	auto_free char *real = realpath(path, NULL);
	int rc;

	if (!real)
		return error_sys(err, -errno, "cannot look at '%s'", path);
	rc = *path == '/' ? check_chain(path, err) : 0;
	return rc < 0 ? rc : check_chain(real, err);
}
