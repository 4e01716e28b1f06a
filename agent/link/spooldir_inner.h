/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spooldir_inner.h - what spooldir.c (the folder), spooldir_scan.c (what is found in it) and
 * spool_stream.c (one stream's files) share; nobody else includes it.
 */
#ifndef MEMHERD_AGENT_LINK_SPOOLDIR_INNER_H
#define MEMHERD_AGENT_LINK_SPOOLDIR_INNER_H

#include <sys/queue.h>

#include "agent/link/spooldir.h"

#define SEGMENT_SOFT      ((size_t)256 * 1024)  /* from here a keyframe begins a new file */
#define SEGMENT_HARD      ((size_t)2048 * 1024) /* from here anything does */
#define SEGMENT_MAX       ((size_t)4096 * 1024) /* no file of ours is larger */
#define FILE_COST         ((size_t)16 * 1024) /* of a file at least: a bound for their number, too */
#define SEGMENT_NAME_SIZE 48

struct segment_file {
	TAILQ_ENTRY(segment_file) link;
	uint64_t name_seq; /* in its name: the first number when it was made */
	uint64_t first_seq;
	size_t bytes;
	bool damaged;
};
TAILQ_HEAD(segment_files, segment_file);

struct spool_stream {
	TAILQ_ENTRY(spool_stream) link;
	struct spooldir *dir;
	struct segment_head stamp;
	struct segment_files files; /* by first_seq */
	uint64_t first_seq;
	uint64_t last_seq;
	uint64_t hole_end; /* the last number of the last hole that reading found */
	bool old;
	struct spool *spool;
	int fd; /* of the newest file, while it is appended to */
	size_t unsynced;
	bool name_unsynced;
};

TAILQ_HEAD(spool_streams, spool_stream);

/* One file as it was read, and where reading is. */
struct segment_image {
	struct spool_stream *stream; /* NULL = none */
	uint64_t name_seq;
	uint8_t *data;
	size_t len;
	struct segment_reader reader;
	struct segment_record at; /* what the reader gave last */
	bool has_at;
	bool broken; /* a sample before it is missing: deltas are no use until a keyframe comes */
};

struct spooldir {
	char *path;
	int fd;
	int lock;
	size_t max_bytes[LANE_COUNT];
	size_t bytes[LANE_COUNT];
	struct spool_streams streams; /* the oldest first */
	struct segment_image image;
};

static inline size_t segment_cost(size_t bytes)
{
	return MAX_OF(bytes, FILE_COST);
}

void segment_name(const struct spool_stream *st, const struct segment_file *f,
		  char out[SEGMENT_NAME_SIZE]);
/* Renames it *.bad, and removes the oldest of those when there are too many. */
void spooldir_set_aside(struct spooldir *sd, const char *name);
/* -ENOSPC when so little is left that it is for others, -EROFS. */
int spooldir_room(const struct spooldir *sd, struct error *err) must_use;
/* Fills sd->streams from the folder. */
int spooldir_scan(struct spooldir *sd, struct error *err) must_use;
struct spool_stream *spooldir_add_stream(struct spooldir *sd, const struct segment_head *stamp);
/* Out of the list, and out of the folder; a damaged one is set aside. */
void spool_stream_remove_file(struct spool_stream *st, struct segment_file *f);
/* Whole files only, up to SEGMENT_MAX bytes; data is to be freed. */
int segment_load(int fd, uint8_t **ret_data, size_t *ret_len) must_use;
void segment_image_free(struct segment_image *im);
/* The last number that can stand in f; 0 = not known. */
uint64_t spool_stream_last_of(const struct spool_stream *st, const struct segment_file *f);
/* What spool_use_disk wants: arg is the stream. */
void spool_stream_load(void *arg, uint64_t seq, uint64_t to, struct spool_view *ret);

#endif
