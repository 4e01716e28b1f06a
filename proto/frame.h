/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - how messages lie in the byte stream: u32 length of the payload (big endian),
 * u8 type, u8 flags (0), then the payload. Pure: no sockets, no allocation.
 */
#ifndef MEMHERD_PROTO_FRAME_H
#define MEMHERD_PROTO_FRAME_H

#include "common/buf.h"
#include "common/error.h"

#define FRAME_HEADER_SIZE 6
#define FRAME_MAX_PAYLOAD (256u * 1024)
/* Before Hello a peer has not said who it is: it gets less. */
#define FRAME_MAX_GREETING (4u * 1024)

/* X(NAME, number): the number is on the wire. */
#define FRAME_LIST(X)        \
	X(HELLO, 1)          \
	X(HELLO_ACK, 2)      \
	X(BATCH, 3)          \
	X(ACK, 4)            \
	X(HEARTBEAT, 5)      \
	X(COMMAND, 6)        \
	X(COMMAND_RESULT, 7) \
	X(GO_AWAY, 8)        \
	X(ENROLL, 9)         \
	X(ENROLL_REPLY, 10)

enum frame_type {
#define X(NAME, number) FRAME_##NAME = (number),
	FRAME_LIST(X)
#undef X
};

struct frame {
	enum frame_type type;
	const uint8_t *payload; /* inside the caller's bytes */
	size_t len;
};

/* 'BATCH', or NULL for a number that is not a type. */
const char *frame_name(unsigned type);
/*
 * Looks at the first have bytes of a stream. The number of bytes that the frame takes, 0 when
 * more bytes are needed, -EMSGSIZE for a payload above max, -EPROTO for an unknown type or
 * flags; err says which. The length is judged before the payload has come.
 */
int frame_parse(const uint8_t *data, size_t have, size_t max, struct frame *ret,
		struct error *err) must_use;
/* The bytes, header included, of the frame whose header this is. */
size_t frame_size(const uint8_t header[FRAME_HEADER_SIZE]);
/* Writes the header into out. */
void frame_header(uint8_t out[FRAME_HEADER_SIZE], enum frame_type type, size_t len);

#endif
