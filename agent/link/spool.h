/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - what was produced and is not yet known to be stored: a bounded list in memory, and
 * what of it lies on a disk.
 *
 * The spool numbers records from 1 without holes and keeps them until they are acked. When it is
 * full the oldest ticks go first, and always a whole group of them (a keyframe and the deltas that
 * need it), so that what is left still decodes; then the oldest events and postures; kills stay
 * until there is nothing else to drop. What goes is replaced in its place by a gap with the same
 * numbers, so at any time
 *
 *	produced = acked + held + gapped        (counted in sequence numbers)
 *
 * Being without memory is handled the same way: the record becomes part of a gap and nothing is
 * ever lost without trace.
 *
 * What its owner has put on a disk (spool_on_disk) is not dropped but leaves memory: its numbers
 * stay held, and spool_peek has it read back when it is due. A stream that an agent before this one
 * left behind is on a disk whole (spool_restore).
 *
 * Pure: no clock, no descriptors, no logging. One owner (lane.c).
 */
#ifndef MEMHERD_AGENT_LINK_SPOOL_H
#define MEMHERD_AGENT_LINK_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "proto/wire.h"

struct spool;

/* One record, or a gap that takes the place of several. body points into the spool and lives until
 * the next call that changes it. */
struct spool_view {
	uint64_t seq;
	enum wire_record kind;
	const uint8_t *body; /* NULL for a gap */
	size_t len;
	struct wire_gap gap; /* kind == WIRE_GAP; to_seq is the last number it covers */
};

/* Reads one record back: the one that begins at seq; or a gap for it and, up to the number 'to',
 * for what else cannot be had. ret's body lives until the next call. */
struct spool_disk {
	void (*load)(void *arg, uint64_t seq, uint64_t to, struct spool_view *ret);
	void *arg;
};

struct spool_stats {
	uint64_t produced;     /* numbers given out */
	uint64_t acked;        /* numbers known to be stored, gaps included */
	uint64_t held_records; /* that wait, without gaps, wherever they are */
	uint64_t held_on_disk; /* those of them that have left memory */
	uint64_t held_gapped;  /* numbers in gaps that wait */
	uint64_t dropped;      /* numbers that ever became part of a gap */
	size_t bytes;          /* of memory in use */
};

/* What spool_add found out; of no meaning for a spool that gets no ticks. */
enum spool_result {
	SPOOL_KEPT,
	SPOOL_WANTS_KEYFRAME, /* ticks were dropped and what comes next cannot be decoded */
};

int spool_new(size_t max_bytes, struct spool **ret) must_use;
void spool_free(struct spool **s);

/* Numbers the record and copies its body. Never fails: see above. */
enum spool_result spool_add(struct spool *s, enum wire_record kind, bool keyframe, int64_t t_us,
			    const void *body, size_t len) must_use;

/* The first record not sent on this connection; false when there is none. */
bool spool_peek(struct spool *s, struct spool_view *ret);
/* The same without looking at it. */
bool spool_waits(const struct spool *s);
/* Marks what spool_peek showed as sent. */
void spool_sent(struct spool *s);
/* Frees everything up to seq. -ERANGE for a number that was not sent on this connection. */
int spool_ack(struct spool *s, uint64_t seq) must_use;
/* A new connection: everything after last_seq (what the collector has) will be sent again. What was
 * acked before and is missing now becomes a gap. -ERANGE for a number that was never produced,
 * -ENOMEM (nothing changed). */
int spool_rewind(struct spool *s, uint64_t last_seq) must_use;

/* From where to read back; before the first record is on a disk. */
void spool_use_disk(struct spool *s, const struct spool_disk *d);
/* Everything up to seq that is held is on the disk, and may leave memory for it. */
void spool_on_disk(struct spool *s, uint64_t seq);
/* What of from..to is only on the disk is lost there. Without memory for a gap it stays, and is
 * found to be lost when it is read. */
void spool_lost(struct spool *s, uint64_t from, const struct wire_gap *gap);
/* The last number that is only on the disk; 0 = none is. */
uint64_t spool_disk_end(const struct spool *s);
/* Of a new spool: the stream first..last of a former start, all of it on the disk. */
int spool_restore(struct spool *s, uint64_t first, uint64_t last) must_use;
/* After spool_restore: nobody knows whether anything came after it. */
int spool_end_unclean(struct spool *s, int64_t t_first_us, int64_t t_last_us) must_use;
/* Calls each for all numbers after seq, in their order, gaps included, until it does not return 0;
 * what it returned. -ENOMEM when the last numbers cannot be told yet. */
int spool_walk(struct spool *s, uint64_t seq,
	       int (*each)(void *arg, const struct spool_view *v, bool keyframe, int64_t t_us),
	       void *arg) must_use;

/* Numbers that are still held, as Hello tells them; min > max when empty. */
uint64_t spool_seq_min(const struct spool *s);
uint64_t spool_seq_max(const struct spool *s);
void spool_stats(const struct spool *s, struct spool_stats *ret);

#endif
