/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.h - the stored form of the batches that wait for their window's seal (table inbox). Pure.
 *
 *	codec 1   a Batch as it came (proto/memherd.proto), or several one after the other, which
 *	          protobuf reads as one: their records in order
 *	codec 2   the same as one zstd frame (RFC 8878) that tells its size and has a checksum
 *
 * A row of codec 2 that was damaged is found by its checksum. What it unpacks to is bounded before
 * memory is taken for it. One owner, one call at a time.
 */
#ifndef MEMHERD_COLLECTOR_STORE_INBOX_H
#define MEMHERD_COLLECTOR_STORE_INBOX_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "proto/frame.h"

#define INBOX_PLAIN 1
#define INBOX_ZSTD  2
/* Bytes that a row may unpack to: the largest frame, and what was waiting when it came. */
#define INBOX_MAX ((size_t)2 * FRAME_MAX_PAYLOAD)

struct inbox;

int inbox_new(struct inbox **ret) must_use;
void inbox_free(struct inbox **in);

struct inbox_row {
	int codec;
	const uint8_t *d; /* the caller's bytes, or those of 'in' until its next call */
	size_t len;
};

/* The shorter form of a batch; without memory for the other that is the plain one. */
void inbox_pack(struct inbox *in, const uint8_t *batch, size_t len, struct inbox_row *ret);
/* A row's Batch. -EBADMSG for what is damaged, -EMSGSIZE for what would be too large,
 * -EPROTONOSUPPORT for a codec of a later version, -ENOMEM. *ret points into the row or into 'in',
 * until its next call. */
int inbox_unpack(struct inbox *in, const struct inbox_row *row, const uint8_t **ret,
		 size_t *ret_len, struct error *err) must_use;

#endif
