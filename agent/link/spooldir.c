/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/spooldir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/link/spooldir_inner.h"
#include "common/failpoint.h"
#include "common/fs.h"

#define LOCK_NAME    "lock"
#define URGENT_SHARE 8
/* What is left to others of the file system: the smaller of both. */
#define SPARE_SHARE 20
#define SPARE_BYTES ((uint64_t)200 * 1024 * 1024)

void segment_name(const struct spool_stream *st, const struct segment_file *f,
		  char out[SEGMENT_NAME_SIZE])
{
	snprintf(out, SEGMENT_NAME_SIZE, "%c-%016" PRIx64 "-%016" PRIx64 ".seg",
		 lane_name((enum lane_id)st->stamp.lane)[0], st->stamp.epoch, f->name_seq);
}

/* ---- files that are none of ours, or damaged ---- */

static bool is_bad(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".bad") == 0;
}

/* How many *.bad there are, and the name of the oldest. */
static unsigned count_bad(int fd, char oldest[NAME_MAX + 1])
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct timespec least = {.tv_sec = 0};
	const struct dirent *e;
	unsigned n = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return 0;
	}
	while ((e = readdir(d))) {
		struct stat st;

		if (!is_bad(e->d_name) || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (n++ == 0 || st.st_mtim.tv_sec < least.tv_sec ||
		    (st.st_mtim.tv_sec == least.tv_sec && st.st_mtim.tv_nsec < least.tv_nsec)) {
			least = st.st_mtim;
			memcpy(oldest, e->d_name, strlen(e->d_name) + 1);
		}
	}
	closedir(d);
	return n;
}

void spooldir_set_aside(struct spooldir *sd, const char *name)
{
	char to[NAME_MAX + 8];
	char oldest[NAME_MAX + 1];

	snprintf(to, sizeof(to), "%s.bad", name);
	FAILPOINT("spool.aside");
	/* What cannot be renamed (the name is too long, it is a folder of others) goes, or stays
	 * and is looked at again by the next start. */
	if (renameat(sd->fd, name, sd->fd, to) < 0)
		unlinkat(sd->fd, name, 0);
	for (int i = 0; i < 64 && count_bad(sd->fd, oldest) > SPOOLDIR_MAX_BAD; i++)
		if (unlinkat(sd->fd, oldest, 0) < 0)
			return;
}

/* ---- the folder ---- */

static int open_folder(const char *path, int *ret_fd, int *ret_lock, struct error *err)
{
	auto_close int fd = -1;
	auto_close int lock = -1;
	int rc = fs_mkdir(path, 0700, err);

	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, -errno, "cannot open folder '%s'", path);
	lock = openat(fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return error_sys(err, -errno, "cannot open '%s/" LOCK_NAME "'", path);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? error_set(err, -EBUSY, "another agent uses '%s'", path)
			       : error_sys(err, -errno, "cannot lock '%s/" LOCK_NAME "'", path);
	*ret_fd = take_fd(fd);
	*ret_lock = take_fd(lock);
	return 0;
}

int spooldir_open(const char *path, size_t max_bytes, struct spooldir **ret, struct error *err)
{
	struct spooldir *sd = calloc(1, sizeof(*sd));
	int rc;

	if (!sd)
		return error_set(err, -ENOMEM, "no memory for the disk spool");
	sd->fd = sd->lock = -1;
	sd->max_bytes[LANE_URGENT] = max_bytes / URGENT_SHARE;
	sd->max_bytes[LANE_SAMPLES] = max_bytes - sd->max_bytes[LANE_URGENT];
	TAILQ_INIT(&sd->streams);
	sd->path = strdup(path);
	rc = sd->path ? open_folder(path, &sd->fd, &sd->lock, err)
		      : error_set(err, -ENOMEM, "no memory for the disk spool");
	if (rc == 0)
		rc = spooldir_scan(sd, err);
	if (rc < 0) {
		spooldir_free(&sd);
		return rc;
	}
	*ret = sd;
	return 0;
}

static void free_stream(struct spool_stream *st)
{
	struct segment_file *f;

	spool_stream_close(st);
	while ((f = TAILQ_FIRST(&st->files))) {
		TAILQ_REMOVE(&st->files, f, link);
		free(f);
	}
	if (st->dir->image.stream == st)
		segment_image_free(&st->dir->image);
	TAILQ_REMOVE(&st->dir->streams, st, link);
	free(st);
}

void spooldir_free(struct spooldir **sd)
{
	struct spool_stream *st;

	if (!*sd)
		return;
	while ((st = TAILQ_FIRST(&(*sd)->streams)))
		free_stream(st);
	if ((*sd)->lock >= 0)
		close((*sd)->lock);
	if ((*sd)->fd >= 0)
		close((*sd)->fd);
	free((*sd)->path);
	free(*sd);
	*sd = NULL;
}

int spooldir_room(const struct spooldir *sd, struct error *err)
{
	struct statvfs fs;
	uint64_t all, spare;

	if (fstatvfs(sd->fd, &fs) < 0)
		return error_sys(err, -errno, "cannot ask how full the disk of '%s' is", sd->path);
	if (fs.f_flag & ST_RDONLY)
		return error_set(err, -EROFS, "'%s' is read-only", sd->path);
	all = (uint64_t)fs.f_blocks * fs.f_frsize;
	spare = MIN_OF(all / SPARE_SHARE, SPARE_BYTES);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < spare)
		return error_set(err, -ENOSPC,
				 "the disk of '%s' has less than %" PRIu64 " MiB free", sd->path,
				 spare / (1024 * 1024) + 1);
	return 0;
}

int spooldir_check(struct spooldir *sd, struct error *err)
{
	struct stat st;
	bool anew = false;
	int fd, lock;
	int rc = fstat(sd->fd, &st) < 0 ? -errno : 0;

	if (rc < 0)
		return error_sys(err, rc, "cannot look at '%s'", sd->path);
	if (st.st_nlink == 0) { /* somebody removed it */
		rc = open_folder(sd->path, &fd, &lock, err);
		if (rc < 0)
			return rc;
		close(sd->fd);
		close(sd->lock);
		sd->fd = fd;
		sd->lock = lock;
		anew = true;
	}
	rc = spooldir_room(sd, err);
	return rc < 0 ? rc : anew;
}

size_t spooldir_bytes(const struct spooldir *sd, enum lane_id lane)
{
	return sd->bytes[lane];
}

/* ---- its streams ---- */

struct spool_stream *spooldir_find(const struct spooldir *sd, uint64_t epoch)
{
	struct spool_stream *st;

	TAILQ_FOREACH (st, &sd->streams, link)
		if (st->stamp.epoch == epoch)
			return st;
	return NULL;
}

struct spool_stream *spooldir_oldest(const struct spooldir *sd)
{
	struct spool_stream *st;

	TAILQ_FOREACH (st, &sd->streams, link)
		if (st->old && !st->spool)
			return st;
	return NULL;
}

struct spool_stream *spooldir_add_stream(struct spooldir *sd, const struct segment_head *stamp)
{
	struct spool_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->dir = sd;
	st->stamp = *stamp;
	st->first_seq = stamp->first_seq;
	st->last_seq = stamp->first_seq - 1;
	st->fd = -1;
	TAILQ_INIT(&st->files);
	TAILQ_INSERT_TAIL(&sd->streams, st, link);
	return st;
}

int spooldir_begin(struct spooldir *sd, const struct segment_head *stamp, struct spool_stream **ret)
{
	struct spool_stream *st = spooldir_add_stream(sd, stamp);

	if (!st)
		return -ENOMEM;
	*ret = st;
	return 0;
}

void spooldir_end(struct spooldir *sd unused_arg, struct spool_stream **st)
{
	struct segment_file *f;
	struct segment_file *next;

	if (!*st)
		return;
	spool_stream_close(*st);
	for (f = TAILQ_FIRST(&(*st)->files); f; f = next) {
		next = TAILQ_NEXT(f, link);
		spool_stream_remove_file(*st, f);
	}
	free_stream(*st);
	*st = NULL;
}

enum lane_id spool_stream_lane(const struct spool_stream *st)
{
	return (enum lane_id)st->stamp.lane;
}

uint64_t spool_stream_epoch(const struct spool_stream *st)
{
	return st->stamp.epoch;
}

const struct segment_head *spool_stream_stamp(const struct spool_stream *st)
{
	return &st->stamp;
}

uint64_t spool_stream_first(const struct spool_stream *st)
{
	return st->first_seq;
}

uint64_t spool_stream_last(const struct spool_stream *st)
{
	return st->last_seq;
}
