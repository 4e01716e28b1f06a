/* SPDX-License-Identifier: Apache-2.0 */
/* The files of one stream: appended to, synced, emptied when stored, read back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/link/spooldir_inner.h"
#include "common/failpoint.h"

#define RECORD_ROOM ((size_t)512 * 1024) /* a record, with its head */

/* ---- writing ---- */

static int write_all(int fd, const void *data, size_t len, size_t at)
{
	ssize_t n;

	do {
		n = pwrite(fd, data, len, (off_t)at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC; /* pwrite(2): so a full disk begins */
}

static void grow(struct spool_stream *st, struct segment_file *f, size_t bytes)
{
	st->dir->bytes[st->stamp.lane] += segment_cost(bytes) - segment_cost(f->bytes);
	f->bytes = bytes;
}

void spool_stream_remove_file(struct spool_stream *st, struct segment_file *f)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(st, f, name);
	FAILPOINT("spool.remove");
	if (f->damaged)
		spooldir_set_aside(st->dir, name);
	else
		unlinkat(st->dir->fd, name, 0);
	FAILPOINT("spool.removed");
	if (st->dir->image.stream == st && st->dir->image.name_seq == f->name_seq)
		segment_image_free(&st->dir->image);
	st->dir->bytes[st->stamp.lane] -= segment_cost(f->bytes);
	TAILQ_REMOVE(&st->files, f, link);
	free(f);
}

void spool_stream_close(struct spool_stream *st)
{
	if (st->fd >= 0)
		close(st->fd);
	st->fd = -1;
	st->unsynced = 0;
}

int spool_stream_sync(struct spool_stream *st)
{
	struct stat s;

	if (st->fd < 0 || st->unsynced == 0)
		return 0;
	FAILPOINT("spool.sync");
	if (fdatasync(st->fd) < 0 || fstat(st->fd, &s) < 0)
		return -errno;
	if (s.st_nlink == 0)
		return -ENOENT; /* somebody removed it */
	if (st->name_unsynced && fsync(st->dir->fd) < 0)
		return -errno;
	FAILPOINT("spool.synced");
	st->name_unsynced = false;
	st->unsynced = 0;
	return 0;
}

size_t spool_stream_unsynced(const struct spool_stream *st)
{
	return st->unsynced;
}

static struct segment_file *newest(const struct spool_stream *st)
{
	return TAILQ_LAST(&st->files, segment_files);
}

static int begin_file(struct spool_stream *st, uint64_t seq, int64_t t_wall_us, uint64_t t_boot_us)
{
	struct segment_file *f;
	struct segment_head head = st->stamp;
	uint8_t bytes[SEGMENT_HEAD];
	char name[SEGMENT_NAME_SIZE];
	int rc = st->stamp.lane == LANE_SAMPLES ? spooldir_room(st->dir, NULL) : 0;

	if (rc < 0)
		return rc;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	/* What is written again, because its file failed. */
	while (newest(st) && newest(st)->first_seq >= seq)
		spool_stream_remove_file(st, newest(st));
	f->name_seq = f->first_seq = head.first_seq = seq;
	head.t_wall_us = t_wall_us;
	head.t_boot_us = t_boot_us;
	segment_pack_head(bytes, &head);
	segment_name(st, f, name);
	st->fd = openat(st->dir->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	FAILPOINT("spool.created");
	rc = st->fd < 0 ? -errno : write_all(st->fd, bytes, sizeof(bytes), 0);
	if (rc < 0) {
		if (st->fd >= 0)
			unlinkat(st->dir->fd, name, 0);
		spool_stream_close(st);
		free(f);
		return rc;
	}
	FAILPOINT("spool.headed");
	f->bytes = sizeof(bytes);
	TAILQ_INSERT_TAIL(&st->files, f, link);
	st->dir->bytes[st->stamp.lane] += segment_cost(f->bytes);
	st->name_unsynced = true;
	return 0;
}

/* The oldest file of the lane goes; what it held is lost. */
static bool drop_oldest(struct spooldir *sd, enum lane_id lane)
{
	struct spool_stream *st = TAILQ_FIRST(&sd->streams);
	struct segment_file *f;
	struct wire_gap gap = {.reason = WIRE_GAP_SPOOL_FULL};
	uint64_t from;

	while (st && (st->stamp.lane != lane || TAILQ_EMPTY(&st->files)))
		st = TAILQ_NEXT(st, link);
	if (!st)
		return false;
	f = TAILQ_FIRST(&st->files);
	from = f->first_seq;
	gap.to_seq = TAILQ_NEXT(f, link) ? TAILQ_NEXT(f, link)->first_seq - 1 : st->last_seq;
	gap.bytes = f->bytes - MIN_OF(f->bytes, (size_t)SEGMENT_HEAD);
	gap.t_first_us = gap.t_last_us = st->stamp.t_wall_us;
	if (f == newest(st))
		spool_stream_close(st);
	spool_stream_remove_file(st, f);
	if (gap.to_seq < from)
		return true;
	st->hole_end = gap.to_seq;
	if (st->spool)
		spool_lost(st->spool, from, &gap);
	return true;
}

static bool begins_new(const struct spool_stream *st, const struct segment_record *r)
{
	size_t bytes = newest(st)->bytes;

	return bytes >= SEGMENT_HARD ||
	       (bytes >= SEGMENT_SOFT && (r->keyframe || st->stamp.lane != LANE_SAMPLES));
}

bool spool_stream_wants_keyframe(const struct spool_stream *st)
{
	return st->fd >= 0 && st->stamp.lane == LANE_SAMPLES &&
	       newest(st)->bytes >= 2 * SEGMENT_SOFT;
}

int spool_stream_append(struct spool_stream *st, const struct segment_record *r, int64_t t_wall_us,
			uint64_t t_boot_us)
{
	auto_buf struct buf b = BUF_INIT(RECORD_ROOM);
	struct spooldir *sd = st->dir;
	enum lane_id lane = (enum lane_id)st->stamp.lane;
	int rc;

	segment_pack_record(&b, st->stamp.epoch, r);
	if (buf_status(&b) < 0)
		return -ENOMEM;
	if (st->fd >= 0 && begins_new(st, r)) {
		rc = spool_stream_sync(st);
		if (rc < 0)
			return rc;
		spool_stream_close(st);
	}
	while (sd->bytes[lane] + b.len + (st->fd < 0 ? FILE_COST : 0) > sd->max_bytes[lane])
		if (!drop_oldest(sd, lane))
			break;
	FAILPOINT("spool.append");
	rc = st->fd < 0 ? begin_file(st, r->seq, t_wall_us, t_boot_us) : 0;
	if (rc == 0)
		rc = write_all(st->fd, b.data, b.len, newest(st)->bytes);
	if (rc < 0) {
		/* what was written of it is cut off, or skipped by who reads */
		if (st->fd >= 0 && ftruncate(st->fd, (off_t)newest(st)->bytes) < 0)
			newest(st)->damaged = true;
		return rc;
	}
	FAILPOINT("spool.appended");
	grow(st, newest(st), newest(st)->bytes + b.len);
	st->unsynced += b.len;
	st->last_seq = r->to_seq;
	return 0;
}

/* All of it is stored: the head says so first, then its records go. */
static int empty_file(struct spool_stream *st, struct segment_file *f, uint64_t first_seq)
{
	struct segment_head head = st->stamp;
	uint8_t bytes[SEGMENT_HEAD];
	int rc;

	head.first_seq = first_seq;
	segment_pack_head(bytes, &head);
	rc = write_all(st->fd, bytes, sizeof(bytes), 0);
	FAILPOINT("spool.cut");
	if (rc == 0 && ftruncate(st->fd, SEGMENT_HEAD) < 0)
		rc = -errno;
	if (rc < 0)
		return rc;
	FAILPOINT("spool.was_cut");
	if (st->dir->image.stream == st)
		segment_image_free(&st->dir->image);
	f->first_seq = first_seq;
	grow(st, f, SEGMENT_HEAD);
	st->unsynced = 0;
	return 0;
}

void spool_stream_acked(struct spool_stream *st, uint64_t seq)
{
	struct segment_file *f = TAILQ_FIRST(&st->files);
	struct segment_file *next;

	if (seq < st->first_seq)
		return;
	st->first_seq = seq + 1;
	while (f && (next = TAILQ_NEXT(f, link)) && next->first_seq <= seq + 1) {
		spool_stream_remove_file(st, f);
		f = next;
	}
	if (!f || seq < st->last_seq || TAILQ_NEXT(f, link))
		return;
	/* One that cannot be emptied only costs that its records are sent again. */
	if (st->fd < 0)
		spool_stream_remove_file(st, f);
	else if (f->bytes > SEGMENT_HEAD && empty_file(st, f, seq + 1) < 0)
		spool_stream_close(st);
}

/* ---- reading ---- */

uint64_t spool_stream_last_of(const struct spool_stream *st, const struct segment_file *f)
{
	const struct segment_file *next = TAILQ_NEXT(f, link);

	return next ? next->first_seq - 1 : st->last_seq;
}

void segment_image_free(struct segment_image *im)
{
	free(im->data);
	*im = (struct segment_image){0};
}

/* A gap has no samples in it; one written in a lane of samples is a hole, too. */
static bool is_hole(const struct segment_record *r)
{
	return r->kind == WIRE_GAP;
}

/* Samples behind a hole are no use until a keyframe: they become part of it. */
static void advance(struct segment_image *im)
{
	struct spool_stream *st = im->stream;
	struct segment_record *r = &im->at;

	im->has_at = segment_next(&im->reader, r);
	if (!im->has_at)
		return;
	if (is_hole(r)) {
		im->broken = st->stamp.lane == LANE_SAMPLES;
	} else if (r->kind == WIRE_TICK && r->keyframe) {
		im->broken = false;
	} else if (im->broken && r->kind == WIRE_TICK) {
		*r = (struct segment_record){.seq = r->seq,
					     .to_seq = r->to_seq,
					     .kind = WIRE_GAP,
					     .t_us = r->t_us,
					     .gap = {.to_seq = r->to_seq,
						     .records = 1,
						     .bytes = r->len,
						     .reason = WIRE_GAP_CORRUPT,
						     .t_first_us = r->t_us,
						     .t_last_us = r->t_us}};
	}
	if (is_hole(r))
		st->hole_end = MAX_OF(st->hole_end, r->to_seq);
}

static void restart(struct segment_image *im, const struct segment_file *f)
{
	struct spool_stream *st = im->stream;

	segment_read(&im->reader, im->data, im->len, st->stamp.epoch, f->first_seq,
		     spool_stream_last_of(st, f));
	im->broken =
		st->stamp.lane == LANE_SAMPLES && st->hole_end && st->hole_end == f->first_seq - 1;
	advance(im);
}

static int read_file(struct spool_stream *st, const struct segment_file *f, uint8_t **ret_data,
		     size_t *ret_len)
{
	auto_close int own = -1;
	char name[SEGMENT_NAME_SIZE];

	if (st->fd >= 0 && f == newest(st))
		return segment_load(st->fd, ret_data, ret_len);
	segment_name(st, f, name);
	own = openat(st->dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return own < 0 ? -errno : segment_load(own, ret_data, ret_len);
}

/* The image of f, with its reader not behind seq. */
static struct segment_image *image_of(struct spool_stream *st, struct segment_file *f, uint64_t seq)
{
	struct segment_image *im = &st->dir->image;
	uint8_t *data;
	size_t len;

	if (im->stream == st && im->name_seq == f->name_seq && im->len >= f->bytes) {
		if (im->has_at && im->at.seq <= seq)
			return im;
		restart(im, f);
		return im;
	}
	segment_image_free(im);
	if (read_file(st, f, &data, &len) < 0)
		return NULL;
	*im = (struct segment_image){.stream = st,
				     .name_seq = f->name_seq,
				     .data = data,
				     .len = len};
	restart(im, f);
	return im;
}

static struct segment_file *file_of(const struct spool_stream *st, uint64_t seq)
{
	struct segment_file *f = newest(st);

	while (f && f->first_seq > seq)
		f = TAILQ_PREV(f, segment_files, link);
	return f;
}

static void show_lost(struct spool_view *ret, uint64_t seq, uint64_t to, unsigned reason)
{
	*ret = (struct spool_view){.seq = seq,
				   .kind = WIRE_GAP,
				   .gap = {.to_seq = to,
					   .records = (uint32_t)MIN_OF(to - seq + 1,
								       (uint64_t)UINT32_MAX),
					   .reason = (enum wire_gap_reason)reason}};
}

/* The gap at hand, and those behind it that are none but its continuation. */
static void show_hole(struct segment_image *im, uint64_t seq, uint64_t to, struct spool_view *ret)
{
	struct wire_gap gap = im->at.gap;

	advance(im);
	while (im->has_at && is_hole(&im->at) && im->at.gap.reason == gap.reason &&
	       gap.to_seq < to) {
		gap.to_seq = im->at.to_seq;
		gap.bytes += im->at.gap.bytes;
		if (!gap.t_first_us)
			gap.t_first_us = im->at.gap.t_first_us;
		gap.t_last_us = MAX_OF(gap.t_last_us, im->at.gap.t_last_us);
		advance(im);
	}
	gap.to_seq = MIN_OF(gap.to_seq, to);
	gap.records = gap.reason == WIRE_GAP_UNCLEAN_END
			      ? 0
			      : (uint32_t)MIN_OF(gap.to_seq - seq + 1, (uint64_t)UINT32_MAX);
	*ret = (struct spool_view){.seq = seq, .kind = WIRE_GAP, .gap = gap};
}

void spool_stream_load(void *arg, uint64_t seq, uint64_t to, struct spool_view *ret)
{
	struct spool_stream *st = arg;
	struct segment_file *f = file_of(st, seq);
	struct segment_image *im;
	uint64_t last;

	if (!f) {
		f = TAILQ_FIRST(&st->files);
		show_lost(ret, seq, f ? MIN_OF(to, f->first_seq - 1) : to, WIRE_GAP_SPOOL_FULL);
		return;
	}
	last = MIN_OF(to, spool_stream_last_of(st, f));
	im = image_of(st, f, seq);
	while (im && im->has_at && im->at.to_seq < seq)
		advance(im);
	if (!im || !im->has_at) {
		f->damaged = true;
		show_lost(ret, seq, MAX_OF(seq, last), WIRE_GAP_CORRUPT);
		return;
	}
	f->damaged = f->damaged || im->reader.damaged;
	if (is_hole(&im->at))
		show_hole(im, seq, last, ret);
	else
		*ret = (struct spool_view){.seq = im->at.seq,
					   .kind = im->at.kind,
					   .body = im->at.body,
					   .len = im->at.len};
}

void spool_stream_attach(struct spool_stream *st, struct spool *spool)
{
	const struct spool_disk disk = {.load = spool_stream_load, .arg = st};

	st->spool = spool;
	spool_use_disk(spool, &disk);
}
