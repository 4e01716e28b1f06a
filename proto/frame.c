/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>

static const char *const names[] = {
#define X(NAME, number) [number] = #NAME,
	FRAME_LIST(X)
#undef X
};

const char *frame_name(unsigned type)
{
	return type < ARRAY_SIZE(names) ? names[type] : NULL;
}

static size_t payload_length(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

size_t frame_size(const uint8_t header[FRAME_HEADER_SIZE])
{
	return FRAME_HEADER_SIZE + payload_length(header);
}

int frame_parse(const uint8_t *data, size_t have, size_t max, struct frame *ret, struct error *err)
{
	size_t len;

	if (have < FRAME_HEADER_SIZE)
		return 0;
	if (!frame_name(data[4]))
		return error_set(err, -EPROTO, "frame: unknown type %u", data[4]);
	if (data[5])
		return error_set(err, -EPROTO, "frame: unknown flags 0x%02x", data[5]);
	len = payload_length(data);
	if (len > MIN_OF(max, (size_t)FRAME_MAX_PAYLOAD))
		return error_set(err, -EMSGSIZE, "frame: %s payload of %zu bytes exceeds %zu",
				 frame_name(data[4]), len, MIN_OF(max, (size_t)FRAME_MAX_PAYLOAD));
	if (have - FRAME_HEADER_SIZE < len)
		return 0;
	*ret = (struct frame){
		.type = (enum frame_type)data[4],
		.payload = data + FRAME_HEADER_SIZE,
		.len = len,
	};
	return (int)(FRAME_HEADER_SIZE + len);
}

void frame_header(uint8_t out[FRAME_HEADER_SIZE], enum frame_type type, size_t len)
{
	assert(len <= FRAME_MAX_PAYLOAD);
	out[0] = (uint8_t)(len >> 24);
	out[1] = (uint8_t)(len >> 16);
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	out[4] = (uint8_t)type;
	out[5] = 0;
}
