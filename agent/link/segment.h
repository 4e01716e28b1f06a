/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - the bytes of one file of the disk spool: a head, then records of one stream in the
 * order of their numbers. Pure: images in memory, no descriptors, no clock.
 *
 *	head    magic 8 | version u16 | lane u16 | crc u32 | epoch u64 | first_seq u64 |
 *	        t_wall_us i64 | t_boot_us u64 | boot_id 16                           (64 bytes)
 *	record  magic u32 | crc u32 | len u32 | kind u8 | flags u8 | 0 u16 | seq u64 | to_seq u64 |
 *	        t_us i64 | body | zeros up to a multiple of 8                        (40 + len
 *bytes) gap     a record of kind gap, its body: bytes u64 | t_last_us i64 | records u32 | reason
 *u32
 *
 * Little-endian. The head's crc is of the other 60 bytes, a record's of the stream's epoch, its own
 * head behind the crc and its body: what belongs to another stream never passes for a record of
 * this one. Whoever reads trusts nothing: damage is skipped up to the next record that holds, and
 * the numbers that are missing are told exactly.
 *
 * first_seq is where what is not stored begins: the file of a stream that is all stored is emptied
 * by writing that number and cutting the records off, in this order; records below it are old.
 */
#ifndef MEMHERD_AGENT_LINK_SEGMENT_H
#define MEMHERD_AGENT_LINK_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/wire.h"

#define SEGMENT_VERSION 1u
#define SEGMENT_HEAD    64u
#define SEGMENT_RECORD  40u /* before the body */
#define SEGMENT_GAP     24u /* the body of a gap */

struct segment_head {
	uint16_t lane;
	uint64_t epoch;
	uint64_t first_seq;
	int64_t t_wall_us; /* of its making */
	uint64_t t_boot_us;
	uint8_t boot_id[16];
};

/* A record; or a gap (kind == WIRE_GAP, body NULL), one that was written or one that reading found.
 */
struct segment_record {
	uint64_t seq;
	uint64_t to_seq; /* == seq but for gaps */
	enum wire_record kind;
	bool keyframe;
	int64_t t_us; /* of a gap: of its first record; 0 = not known */
	const uint8_t *body;
	size_t len;
	struct wire_gap gap;
};

void segment_pack_head(uint8_t out[SEGMENT_HEAD], const struct segment_head *h);
/* -EBADMSG for what is no head or a damaged one, -EPROTONOSUPPORT for another version's. */
int segment_unpack_head(const uint8_t *data, size_t len, struct segment_head *ret) must_use;

/* Appends the record; fails as the buf does. */
void segment_pack_record(struct buf *b, uint64_t epoch, const struct segment_record *r);

struct segment_reader {
	const uint8_t *data;
	size_t len;
	size_t at;
	uint32_t seed;
	uint64_t next; /* the number that is due */
	uint64_t last; /* the largest that can stand here; 0 = not known */
	bool damaged;  /* something did not hold */
	bool rest;     /* bytes at the end that are no record */
};

/* Of a whole file, whatever its head is. first: the number that is due first; last: one less than
 * the next file begins with, 0 for the newest file of a stream. */
void segment_read(struct segment_reader *r, const void *data, size_t len, uint64_t epoch,
		  uint64_t first, uint64_t last);
/*
 * The next record, or a gap for numbers that are missing: what it returns has no holes, from first
 * to last. Where the last number is not known, what is left of a record at the end is a gap of one.
 * False at the end. ret->body points into data.
 */
bool segment_next(struct segment_reader *r, struct segment_record *ret);

#endif
