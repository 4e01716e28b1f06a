/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsg_reader.h - /dev/kmsg, record by record, from the oldest that the kernel still has. One
 * read(2) is one record; reading never waits. Semantics: Documentation/ABI/testing/dev-kmsg.
 *
 * What was written over before it was read (EPIPE) is counted as lost; a record that the kernel
 * does not hand out (EINVAL, it consumes it) and bytes that are no record are passed over.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_KMSG_READER_H
#define MEMHERD_AGENT_SENSE_OOM_KMSG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/kmsg.h"
#include "common/check.h"
#include "common/error.h"

struct kmsg_reader {
	int fd;           /* -1 = not open */
	bool any;         /* a record was read */
	bool caught_up;   /* the end of the log was seen: what comes now is new */
	uint64_t seq;     /* of the last record, when there was one */
	uint64_t refused; /* records that were passed over since */
	char data[KMSG_READ_SIZE];
	struct kmsg_record record;
};

enum kmsg_result {
	KMSG_END = 0,    /* no more for now */
	KMSG_RECORD = 1, /* in ->record */
	KMSG_SKIPPED = 2 /* go on */
};

/* -EPERM without CAP_SYSLOG where dmesg_restrict is 1, -ENOENT in many containers. */
int kmsg_reader_open(struct kmsg_reader *r, const char *path, struct error *err) must_use;
void kmsg_reader_close(struct kmsg_reader *r);
/* ret_lost: records that went unread before this one, else 0. -errno: the log is of no more use. */
int kmsg_reader_next(struct kmsg_reader *r, uint64_t *ret_lost) must_use;

#endif
