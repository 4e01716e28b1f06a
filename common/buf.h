/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a growing byte buffer with a maximum that is fixed when it is made.
 *
 * Writers append without checking each call: the first append that would pass the maximum, or
 * that finds no memory, sets 'failed' and is dropped whole, as is every later one. The owner
 * asks once, at the end. data is NUL-terminated whenever it is not NULL.
 */
#ifndef MEMHERD_COMMON_BUF_H
#define MEMHERD_COMMON_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max; /* bytes of content */
	bool failed;
};

#define BUF_INIT(limit) ((struct buf){.max = (limit)})

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empties the buffer and clears 'failed'; the memory is kept for the next use. */
void buf_reset(struct buf *b);
/* Room for n more bytes at data + len, or NULL (then 'failed' is set). Does not move len. */
uint8_t *buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_u8(struct buf *b, uint8_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_be16(struct buf *b, uint16_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
/* LEB128, as protobuf's varint: 1 to 10 bytes. */
void buf_varint(struct buf *b, uint64_t v);
/* Zig-zag then varint: small magnitudes of either sign stay short. */
void buf_zigzag(struct buf *b, int64_t v);

/* -ENOBUFS when an append was dropped, else 0. */
int buf_status(const struct buf *b) must_use;

static inline void auto_buf_(struct buf *b)
{
	buf_fini(b);
}
#define auto_buf __attribute__((cleanup(auto_buf_)))

#endif
