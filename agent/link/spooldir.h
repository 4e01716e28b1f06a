/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spooldir.h - the folder of the disk spool: which streams are there, in which files.
 *
 * A file is a segment (segment.h) named <lane>-<epoch>-<first number>.seg, so that its name alone
 * says what its head says. The files are all there is: no list of them is kept that could say
 * something else. Streams of former starts are only read, and go when they are stored. What is no
 * segment of ours, or of another version, is renamed *.bad; of these the newest two stay.
 *
 * Bounded: urgent records have an eighth of the bytes, samples the rest, and neither takes room
 * from the other. When a lane's are full its oldest file goes; files of samples begin with a
 * keyframe, so that what is left decodes.
 *
 * Writing is to the page cache; only spool_stream_sync waits for the disk. Every function that can
 * fail returns -errno and leaves what is on the disk as it was; the owner (disk.c) decides what
 * then. One owner, one thread.
 */
#ifndef MEMHERD_AGENT_LINK_SPOOLDIR_H
#define MEMHERD_AGENT_LINK_SPOOLDIR_H

#include "agent/link/lane.h"
#include "agent/link/segment.h"
#include "common/error.h"

struct spooldir;
struct spool_stream;

#define SPOOLDIR_MIN_BYTES ((size_t)1024 * 1024)
#define SPOOLDIR_MAX_BAD   2

/* Makes the folder (0700) if it is not there, takes its lock, and looks what former starts left. A
 * stream of which nothing is left to send is kept as long as spooldir_find must know it. -EBUSY:
 * another agent has the folder. */
int spooldir_open(const char *path, size_t max_bytes, struct spooldir **ret,
		  struct error *err) must_use;
/* Files stay. */
void spooldir_free(struct spooldir **sd);
/* Is the folder still where it was, and is there room? 1 = it had been removed and was made anew.
 */
int spooldir_check(struct spooldir *sd, struct error *err) must_use;
/* The bytes of a lane's files. */
size_t spooldir_bytes(const struct spooldir *sd, enum lane_id lane);

/* The stream of that epoch, NULL when the folder has none. */
struct spool_stream *spooldir_find(const struct spooldir *sd, uint64_t epoch);
/* The oldest stream of a former start that has no spool yet; NULL. */
struct spool_stream *spooldir_oldest(const struct spooldir *sd);
/* A new stream, without a file yet; stamp says who and when. */
int spooldir_begin(struct spooldir *sd, const struct segment_head *stamp,
		   struct spool_stream **ret) must_use;
/* Removes the stream and its files: all of it is stored. */
void spooldir_end(struct spooldir *sd, struct spool_stream **st);

enum lane_id spool_stream_lane(const struct spool_stream *st);
uint64_t spool_stream_epoch(const struct spool_stream *st);
/* The head of its oldest file. */
const struct segment_head *spool_stream_stamp(const struct spool_stream *st);
/* The first number that is not known to be stored, and the last; first > last: nothing is left. */
uint64_t spool_stream_first(const struct spool_stream *st);
uint64_t spool_stream_last(const struct spool_stream *st);
/* Whom to tell of what had to be dropped, and who reads (spool_use_disk). */
void spool_stream_attach(struct spool_stream *st, struct spool *spool);

/* Appends to the stream's newest file, or to a new one with a fresh time in its head. */
int spool_stream_append(struct spool_stream *st, const struct segment_record *r, int64_t t_wall_us,
			uint64_t t_boot_us) must_use;
/* Samples have filled a file: the next one begins with the next keyframe. */
bool spool_stream_wants_keyframe(const struct spool_stream *st);
/* What was appended is on the disk when this returns 0. */
int spool_stream_sync(struct spool_stream *st) must_use;
size_t spool_stream_unsynced(const struct spool_stream *st);
/* Appends no more to the file that it has: it, or its disk, failed. */
void spool_stream_close(struct spool_stream *st);
/* Everything up to seq is stored: files go. */
void spool_stream_acked(struct spool_stream *st, uint64_t seq);

#endif
