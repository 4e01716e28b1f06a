/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	struct frame f;
	size_t at = 0;
	int n;

	while ((n = frame_parse(data + at, size - at, FRAME_MAX_GREETING, &f, &err)) > 0) {
		if (f.len > FRAME_MAX_GREETING || f.payload + f.len > data + size ||
		    !frame_name(f.type) || (size_t)n != frame_size(data + at))
			abort();
		at += (size_t)n;
	}
	return 0;
}
