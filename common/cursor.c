/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cursor.h"

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || n > cursor_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t get_le(struct cursor *c, size_t bytes)
{
	const uint8_t *p = cursor_bytes(c, bytes);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)get_le(c, 1);
}

uint16_t cursor_le16(struct cursor *c)
{
	return (uint16_t)get_le(c, 2);
}

uint32_t cursor_le32(struct cursor *c)
{
	return (uint32_t)get_le(c, 4);
}

uint64_t cursor_le64(struct cursor *c)
{
	return get_le(c, 8);
}

uint32_t cursor_be32(struct cursor *c)
{
	return __builtin_bswap32(cursor_le32(c));
}

uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;
	unsigned shift = 0;

	for (const uint8_t *p = c->p; !c->bad && p < c->end && shift < 70; shift += 7) {
		uint8_t byte = *p++;

		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			c->p = p;
			return v;
		}
	}
	c->bad = true;
	return 0;
}

int64_t cursor_zigzag(struct cursor *c)
{
	uint64_t v = cursor_varint(c);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
