/* SPDX-License-Identifier: Apache-2.0 */
/* smaps: the kernel's text with paths that the target chose. The first byte picks the version. */
#include <stdlib.h>
#include <string.h>

#include "agent/python/heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int64_t parts[HEAP_PART_COUNT] = {0};
	char *text = malloc(len + 1);

	if (!text || !len) {
		free(text);
		return 0;
	}
	memcpy(text, data, len);
	text[len] = '\0';
	heap_parse(text, 8 + data[0] % 8u, parts);
	free(text);
	return 0;
}
