/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_file.h - a journal as it is kept, for journal_file.c, which reads and writes it, and
 * journal.c, which answers from it. Nobody else includes it.
 */
#ifndef MEMHERD_AGENT_ACT_JOURNAL_FILE_H
#define MEMHERD_AGENT_ACT_JOURNAL_FILE_H

#include <sys/types.h>

#include "agent/act/journal.h"
#include "agent/act/journal_record.h"

struct journal {
	char *path;
	int lock_fd;
	int fd;
	ino_t inode;
	off_t size;             /* of whole records that were read */
	size_t records;         /* in the file, the anchor too */
	struct journal_link at; /* the last of them */
	uint64_t base;          /* number before the file's first record */
	bool anchored;
	uint64_t counter;
	uint64_t fence;
	struct journal_entry *entries; /* JOURNAL_KEEP, oldest first */
	size_t n;
};

/* The one with that id, NULL for none. */
struct journal_entry *journal_entry_of(const struct journal *j, const uint8_t id[16]);
/* Where the chain tells of it: with the record that said it had started, where that is the one
 * before. */
void journal_span(struct command_span *s, const struct journal_record *r,
		  const struct journal_entry *started);
/* One of its records, by number. */
int journal_read_at(const struct journal *j, uint64_t number, struct journal_record *r,
		    struct error *err) must_use;

#endif
