/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsg.h - one record of the kernel's log, as one read(2) of /dev/kmsg gives it. Pure: the caller
 * reads, with a buffer of at least KMSG_READ_SIZE (the kernel refuses a short one with EINVAL and
 * the record is lost). Format: 'prefix,seq,usec,flags[,more];text\n[ KEY=value\n]...', described in
 * the kernel's Documentation/ABI/testing/dev-kmsg; control bytes, '\' and bytes >= 0x7f are \xNN.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_KMSG_H
#define MEMHERD_AGENT_SENSE_OOM_KMSG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define KMSG_READ_SIZE 8192

struct kmsg_record {
	uint32_t
		facility; /* 0 = said by the kernel itself; anybody with write access may be >= 1 */
	uint32_t level;   /* 0 emergency .. 7 debug */
	uint64_t seq;     /* since boot: with the boot id the identity of the record */
	uint64_t usec;    /* the kernel's own clock: stands still while the host sleeps */
	char flag;        /* '-' whole line; 'c' or '+' a fragment (which of them: by version) */
	char caller[16];  /* 'T123' or 'C1' where the kernel prints it, else "" */
	size_t len;
	char text[KMSG_READ_SIZE]; /* unescaped: may hold newlines and NULs; ends with a NUL at len
				    */
};

static inline bool kmsg_is_fragment(const struct kmsg_record *r)
{
	return r->flag == 'c' || r->flag == '+';
}

/* 0, or -EBADMSG for bytes that are no such record (then *ret is not written). */
int kmsg_parse(const void *data, size_t len, struct kmsg_record *ret) must_use;
/* How many records were lost before one with seq 'got' when 'last' was the last one read. */
uint64_t kmsg_lost(uint64_t last, uint64_t got);

#endif
