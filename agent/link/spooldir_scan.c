/* SPDX-License-Identifier: Apache-2.0 */
/* What former starts left in the folder. Whatever is found there, the agent goes on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/link/spooldir_inner.h"

#define SUFFIX ".seg"

/* u-<16 hex digits>-<16 hex digits>.seg */
static bool parse_name(const char *name, struct segment_head *ret)
{
	char again[SEGMENT_NAME_SIZE];
	char lane;
	uint64_t epoch, seq;

	if (strlen(name) >= sizeof(again) ||
	    sscanf(name, "%c-%16" SCNx64 "-%16" SCNx64, &lane, &epoch, &seq) != 3)
		return false;
	snprintf(again, sizeof(again), "%c-%016" PRIx64 "-%016" PRIx64 SUFFIX, lane, epoch, seq);
	if (strcmp(name, again) != 0 || epoch == 0 || epoch > INT64_MAX || seq == 0 ||
	    seq > WIRE_SEQ_MAX)
		return false;
	*ret = (struct segment_head){.epoch = epoch, .first_seq = seq};
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		ret->lane = (uint16_t)id;
		if (lane_name(id)[0] == lane)
			return true;
	}
	return false;
}

static bool ends_as_ours(const char *name)
{
	size_t len = strlen(name);

	return len >= sizeof(SUFFIX) - 1 && strcmp(name + len - (sizeof(SUFFIX) - 1), SUFFIX) == 0;
}

int segment_load(int fd, uint8_t **ret_data, size_t *ret_len)
{
	struct stat st;
	uint8_t *data;
	size_t have = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)SEGMENT_MAX)
		return -EFBIG;
	data = malloc(MAX_OF((size_t)st.st_size, (size_t)1));
	if (!data)
		return -ENOMEM;
	while (n > 0 && have < (size_t)st.st_size) {
		n = pread(fd, data + have, (size_t)st.st_size - have, (off_t)have);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			have += (size_t)n;
	}
	if (n < 0) {
		n = -errno;
		free(data);
		return (int)n;
	}
	*ret_data = data;
	*ret_len = have;
	return 0;
}

/* Without its head a file is ours only if one of its records is. */
static bool holds_a_record(int fd, const struct segment_head *name)
{
	auto_free uint8_t *data = NULL;
	struct segment_reader r;
	struct segment_record rec;
	size_t len;

	if (segment_load(fd, &data, &len) < 0)
		return false;
	segment_read(&r, data, len, name->epoch, name->first_seq, 0);
	while (segment_next(&r, &rec))
		if (rec.body || rec.gap.reason != WIRE_GAP_CORRUPT)
			return true;
	return false;
}

/* Its head, or what its name says of it. -errno: it is none of ours. */
static int judge(int fd, const struct segment_head *name, struct segment_head *ret,
		 bool *ret_damaged)
{
	uint8_t bytes[SEGMENT_HEAD];
	struct stat st;
	ssize_t n = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -1
							       : pread(fd, bytes, sizeof(bytes), 0);
	int rc = n < 0 ? -EBADMSG : segment_unpack_head(bytes, (size_t)n, ret);

	*ret_damaged = false;
	if (n < 0 || st.st_size > (off_t)SEGMENT_MAX)
		return -EBADMSG;
	if (rc == 0 && ret->epoch == name->epoch && ret->lane == name->lane &&
	    ret->first_seq >= name->first_seq)
		return 0;
	if (rc != -EBADMSG || !holds_a_record(fd, name))
		return -EBADMSG;
	*ret = *name;
	ret->t_wall_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
	*ret_damaged = true;
	return 0;
}

static void add_file(struct spool_stream *st, struct segment_file *f)
{
	struct segment_file *after = TAILQ_LAST(&st->files, segment_files);

	while (after && after->first_seq > f->first_seq)
		after = TAILQ_PREV(after, segment_files, link);
	if (after)
		TAILQ_INSERT_AFTER(&st->files, after, f, link);
	else
		TAILQ_INSERT_HEAD(&st->files, f, link);
	st->dir->bytes[st->stamp.lane] += segment_cost(f->bytes);
}

/* 1 = taken, 0 = none of ours, -ENOMEM. */
static int take_file(struct spooldir *sd, const char *name)
{
	auto_close int fd = openat(sd->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct segment_head by_name, head;
	struct spool_stream *st;
	struct segment_file *f;
	struct stat size;
	bool damaged;

	if (fd < 0 || !parse_name(name, &by_name) || judge(fd, &by_name, &head, &damaged) < 0 ||
	    fstat(fd, &size) < 0)
		return 0;
	st = spooldir_find(sd, head.epoch);
	if (!st)
		st = spooldir_add_stream(sd, &head);
	f = calloc(1, sizeof(*f));
	if (!f || !st) {
		free(f);
		return -ENOMEM;
	}
	st->old = true;
	f->name_seq = by_name.first_seq;
	f->first_seq = head.first_seq;
	f->bytes = (size_t)size.st_size;
	f->damaged = damaged;
	if (head.first_seq < st->first_seq) {
		st->first_seq = head.first_seq;
		st->stamp = head;
	}
	add_file(st, f);
	return 1;
}

/* The number of the last record of the newest file, or of what is left of one. */
static int find_last(struct spool_stream *st)
{
	struct segment_file *f = TAILQ_LAST(&st->files, segment_files);
	struct segment_reader r;
	struct segment_record rec;
	char name[SEGMENT_NAME_SIZE];
	auto_free uint8_t *data = NULL;
	auto_close int fd = -1;
	size_t len;
	int rc;

	segment_name(st, f, name);
	st->last_seq = f->first_seq - 1;
	fd = openat(st->dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 ? -errno : segment_load(fd, &data, &len);
	if (rc < 0) {
		f->damaged = true;
		return rc == -ENOMEM ? rc : 0;
	}
	segment_read(&r, data, len, st->stamp.epoch, f->first_seq, 0);
	while (segment_next(&r, &rec))
		st->last_seq = rec.to_seq;
	f->damaged = f->damaged || r.damaged;
	return 0;
}

static bool older(const struct spool_stream *a, const struct spool_stream *b)
{
	if (a->stamp.t_wall_us != b->stamp.t_wall_us)
		return a->stamp.t_wall_us < b->stamp.t_wall_us;
	return a->stamp.lane < b->stamp.lane;
}

/* The oldest first, what is urgent before samples of the same time. */
static void sort_streams(struct spooldir *sd)
{
	struct spool_streams in = TAILQ_HEAD_INITIALIZER(in);
	struct spool_stream *st, *least, *next;

	TAILQ_CONCAT(&in, &sd->streams, link);
	for (least = TAILQ_FIRST(&in); least; least = next) {
		TAILQ_FOREACH (st, &in, link)
			if (older(st, least))
				least = st;
		TAILQ_REMOVE(&in, least, link);
		TAILQ_INSERT_TAIL(&sd->streams, least, link);
		next = TAILQ_FIRST(&in);
	}
}

int spooldir_scan(struct spooldir *sd, struct error *err)
{
	int copy = openat(sd->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct spool_stream *st;
	const struct dirent *e;
	int rc = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return error_sys(err, -errno, "cannot list '%s'", sd->path);
	}
	while (rc >= 0 && (e = readdir(d))) {
		if (!ends_as_ours(e->d_name))
			continue;
		rc = take_file(sd, e->d_name);
		if (rc == 0)
			spooldir_set_aside(sd, e->d_name);
	}
	closedir(d);
	for (st = TAILQ_FIRST(&sd->streams); st && rc >= 0; st = TAILQ_NEXT(st, link))
		rc = find_last(st);
	if (rc < 0)
		return error_set(err, rc, "no memory for what '%s' holds", sd->path);
	sort_streams(sd);
	return 0;
}
