/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	size_t cap;
	uint8_t *p;

	if (b->failed)
		return NULL;
	if (n > b->max || b->len > b->max - n) {
		b->failed = true;
		return NULL;
	}
	if (b->len + n < b->cap)
		return b->data + b->len;
	cap = MAX_OF(b->cap * 2, (size_t)64);
	cap = MAX_OF(cap, b->len + n + 1);
	cap = MIN_OF(cap, b->max + 1);
	p = realloc(b->data, cap);
	if (!p) {
		b->failed = true;
		return NULL;
	}
	b->data = p;
	b->cap = cap;
	return b->data + b->len;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = buf_reserve(b, n);

	if (!to)
		return;
	if (n)
		memcpy(to, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	to = buf_reserve(b, (size_t)n);
	if (!to)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

/* The low 'bytes' bytes of v, least significant first, or the other way round. */
static void put_int(struct buf *b, uint64_t v, unsigned bytes, bool big_endian)
{
	uint8_t raw[8];

	for (unsigned i = 0; i < bytes; i++)
		raw[big_endian ? bytes - 1 - i : i] = (uint8_t)(v >> (8 * i));
	buf_put(b, raw, bytes);
}

void buf_u8(struct buf *b, uint8_t v)
{
	put_int(b, v, 1, false);
}

void buf_le16(struct buf *b, uint16_t v)
{
	put_int(b, v, 2, false);
}

void buf_le32(struct buf *b, uint32_t v)
{
	put_int(b, v, 4, false);
}

void buf_le64(struct buf *b, uint64_t v)
{
	put_int(b, v, 8, false);
}

void buf_be16(struct buf *b, uint16_t v)
{
	put_int(b, v, 2, true);
}

void buf_be32(struct buf *b, uint32_t v)
{
	put_int(b, v, 4, true);
}

void buf_be64(struct buf *b, uint64_t v)
{
	put_int(b, v, 8, true);
}

void buf_varint(struct buf *b, uint64_t v)
{
	uint8_t raw[10];
	size_t n = 0;

	while (v >= 0x80) {
		raw[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	raw[n++] = (uint8_t)v;
	buf_put(b, raw, n);
}

void buf_zigzag(struct buf *b, int64_t v)
{
	buf_varint(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

int buf_status(const struct buf *b)
{
	return b->failed ? -ENOBUFS : 0;
}
