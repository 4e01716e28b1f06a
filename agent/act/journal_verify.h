/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_verify.h - reads a journal as it lies there, without its lock and without changing it:
 * whether the chain of its records holds, and what they say. One that is written to meanwhile may
 * look torn at its end.
 */
#ifndef MEMHERD_AGENT_ACT_JOURNAL_VERIFY_H
#define MEMHERD_AGENT_ACT_JOURNAL_VERIFY_H

#include <stdio.h>

#include "agent/act/journal_record.h"

struct journal_check {
	uint64_t first; /* numbers; 0 = the file is empty */
	uint64_t last;
	uint64_t records; /* that were read, the anchor not counted */
	uint8_t head[SHA256_SIZE];
	bool old;  /* of a memherd before 0.2, without a chain */
	bool torn; /* the last record was cut off, as by a power cut */
};

typedef void journal_each(void *arg, const struct journal_record *r);

/* -EBADMSG: err says which record breaks the chain. each may be NULL; it gets the whole ones up to
 * there. */
int journal_verify(const char *path, journal_each *each, void *arg, struct journal_check *ret,
		   struct error *err) must_use;

/* What 'memherd-actd journal' prints: the records, or with verify whether the chain holds. */
int journal_print(FILE *out, const char *path, bool verify, bool json, struct error *err) must_use;

#endif
