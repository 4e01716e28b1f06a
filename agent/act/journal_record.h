/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_record.h - one record of the journal as bytes. Pure.
 *
 *	'MHJ2', kind u32, action u32, dry run u32, command id [16], wall clock us i64, pid u32,
 *	subject u32, start ticks u64, counter u64, fence u64, result [512] (proto/command.h; zeroes
 *	while it has none), number u64, hash of the record before [32], SHA-256 of all that [32]
 *
 * Little endian, JOURNAL_RECORD_SIZE bytes. Numbers rise by one from 1; the first record of all
 * follows 32 zero bytes. So a record that is changed, taken out or put in shows in all after it.
 *
 * A file that was shortened begins with an anchor: number and hash of the last record that it has
 * no more, and the highest counter and fence. A journal of memherd before 0.2 ('MHJ1', 600 bytes a
 * record, no chain) is continued behind an anchor of number 0 whose hash is SHA-256 of that file.
 */
#ifndef MEMHERD_AGENT_ACT_JOURNAL_RECORD_H
#define MEMHERD_AGENT_ACT_JOURNAL_RECORD_H

#include "agent/act/journal.h"
#include "common/buf.h"
#include "common/sign.h"

#define JOURNAL_RECORD_SIZE 656
#define JOURNAL_OLD_SIZE    600
#define JOURNAL_OLD_MAGIC   "MHJ1"

enum journal_kind {
	JOURNAL_STARTED = 1,
	JOURNAL_DONE = 2,
	JOURNAL_ANCHOR = 3,
	JOURNAL_NOTE = 4, /* what became of it later: result.detail says */
};

/* A place in the chain. */
struct journal_link {
	uint64_t number;
	uint8_t hash[SHA256_SIZE];
};

struct journal_record {
	enum journal_kind kind;
	struct journal_entry entry;
	uint64_t number; /* of an anchor: of the last record that is gone */
	uint8_t before[SHA256_SIZE];
	uint8_t hash[SHA256_SIZE]; /* set by packing and by unpacking */
};

/* Appends it, and sets its hash. */
void journal_record_pack(struct buf *b, struct journal_record *r);
/* -EBADMSG: not these bytes were written, or a kind that is not known. */
int journal_record_unpack(const uint8_t p[JOURNAL_RECORD_SIZE], struct journal_record *ret,
			  struct error *err) must_use;
/* A record without a chain, of before; number and hashes stay zero. */
int journal_record_unpack_old(const uint8_t p[JOURNAL_OLD_SIZE], struct journal_record *ret,
			      struct error *err) must_use;
/* Does it follow there? -EBADMSG says what is wrong. Moves the place on to it. */
int journal_link_follow(struct journal_link *at, const struct journal_record *r,
			struct error *err) must_use;

#endif
