/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a process's objects: every byte of its memory is the target's to choose. The first
 * byte picks the version, the rest is written over a small heap that is in order. */
#include "tests/support/fakeheap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct heap heap;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct chunk_source source = {.read = heap_read, .arg = &heap};
	struct census_order o = {.source = &source,
				 .collectors = &heap.collector,
				 .n_collectors = 1,
				 .max_objects = 4096,
				 .cache_bytes = 4 * CHUNK_SIZE};
	struct census c;
	uint64_t kinds[4];

	if (len < 2)
		return 0;
	heap_init(&heap, 8 + data[0] % 8u);
	o.layout = heap.layout;
	o.tolerate = data[1] & 1;
	kinds[0] = heap_type(&heap, "dict", TYPE_FLAG_DICT, 48, 0);
	kinds[1] = heap_type(&heap, "list", TYPE_FLAG_LIST, 40, 0);
	kinds[2] = heap_type(&heap, "A", TYPE_FLAG_HEAP | TYPE_FLAG_MANAGED_DICT, 32, 8);
	kinds[3] = heap_type(&heap, "set", 0, 200, 0);
	for (unsigned i = 0; i < 32; i++)
		heap_object(&heap, i % 4, kinds[i / 4 % 4], 208, i);
	/* Runs of bytes: where (of 64 KiB, in words), how many, what. */
	for (data += 2, len -= 2; len > 3;) {
		size_t at = ((size_t)data[0] | (size_t)data[1] << 8) * 8 % HEAP_SIZE;
		size_t n = MIN_OF((size_t)data[2], len - 3);

		n = MIN_OF(n, HEAP_SIZE - at);
		memcpy(heap.bytes + at, data + 3, n);
		data += 3 + n;
		len -= 3 + n;
	}
	if (census_walk(&o, &c, NULL) == 0)
		census_fini(&c);
	return 0;
}
