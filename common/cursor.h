/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor.h - reads bytes that may be hostile: never past the end, and the first read that does
 * not fit marks the cursor bad, after which every read gives 0. The caller asks once, at the end.
 */
#ifndef MEMHERD_COMMON_CURSOR_H
#define MEMHERD_COMMON_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

struct cursor {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct cursor cursor_of(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct cursor){.p = p, .end = p ? p + len : p};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

/* The next n bytes, or NULL. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_le16(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
uint64_t cursor_le64(struct cursor *c);
uint32_t cursor_be32(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
int64_t cursor_zigzag(struct cursor *c);

#endif
