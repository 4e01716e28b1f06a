/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmsg.h - the records of a file under tests/fixtures/kmsg: as /dev/kmsg gives them, one after the
 * other. A record goes to the end of its line and takes the lines behind it that begin with a
 * space.
 */
#ifndef MEMHERD_TESTS_SUPPORT_KMSG_H
#define MEMHERD_TESTS_SUPPORT_KMSG_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/oom/kmsg.h"

struct kmsg_file {
	char bytes[65536];
	size_t len;
	size_t at;
};

static inline bool kmsg_file_load(struct kmsg_file *f, const char *name)
{
	char path[256];
	FILE *in;

	snprintf(path, sizeof(path), "tests/fixtures/kmsg/%s", name);
	in = fopen(path, "rb");
	if (!in)
		return false;
	f->len = fread(f->bytes, 1, sizeof(f->bytes), in);
	f->at = 0;
	fclose(in);
	return f->len > 0 && f->len < sizeof(f->bytes);
}

/* The next record's bytes; NULL at the end. */
static inline const char *kmsg_file_next(struct kmsg_file *f, size_t *ret_len)
{
	size_t from = f->at;

	if (from >= f->len)
		return NULL;
	do {
		const char *eol = memchr(f->bytes + f->at, '\n', f->len - f->at);

		f->at = eol ? (size_t)(eol + 1 - f->bytes) : f->len;
	} while (f->at < f->len && f->bytes[f->at] == ' ');
	*ret_len = f->at - from;
	return f->bytes + from;
}

#endif
