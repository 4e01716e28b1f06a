/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pools.h"

#include <errno.h>
#include <stdbool.h>

#include "agent/python/memory.h"

#define SMALLEST     16u /* blocks of 16, 32 ... 512 bytes */
#define SIZE_CLASSES 32u
#define LARGE_POOLS  10u /* the minor version from which pools have 16 KiB */
#define BATCH        MEMORY_MAX_SPANS

uint32_t pools_size_of(unsigned minor)
{
	return minor < LARGE_POOLS ? 4096 : 16384;
}

bool pools_judge(const uint8_t header[POOLS_HEADER_SIZE], uint32_t pool_size, struct pools *ret)
{
	uint32_t used = (uint32_t)memory_i32(header);
	uint32_t size_class = (uint32_t)memory_i32(header + 36);
	uint32_t next = (uint32_t)memory_i32(header + 40);
	uint32_t last = (uint32_t)memory_i32(header + 44);
	uint32_t size = (size_class + 1) * SMALLEST;
	uint32_t carved;

	if (size_class >= SIZE_CLASSES || last != pool_size - size || next < POOLS_HEADER_SIZE ||
	    next > pool_size || (next - POOLS_HEADER_SIZE) % size != 0)
		return false;
	carved = (next - POOLS_HEADER_SIZE) / size;
	if (used > carved)
		return false;
	ret->count++;
	ret->bytes += pool_size;
	ret->used_bytes += (uint64_t)used * size;
	ret->free_bytes += (uint64_t)(carved - used) * size;
	ret->fresh_bytes += pool_size - next;
	return true;
}

static int scan_batch(pid_t pid, const struct memory_span *spans, unsigned n, uint32_t pool_size,
		      struct pools *ret)
{
	int r = memory_read_spans(pid, spans, n);

	if (r == 0) {
		for (unsigned i = 0; i < n; i++)
			pools_judge(spans[i].buf, pool_size, ret);
		return 0;
	}
	if (r != -EFAULT)
		return r;
	/* a hole among them */
	for (unsigned i = 0; i < n; i++) {
		r = memory_read(pid, spans[i].address, spans[i].buf, spans[i].n);
		if (r == 0)
			pools_judge(spans[i].buf, pool_size, ret);
		else if (r != -EFAULT)
			return r;
	}
	return 0;
}

int pools_scan(pid_t pid, uint64_t start, uint64_t end, uint32_t pool_size, struct pools *ret)
{
	uint64_t at = (start + pool_size - 1) & ~(uint64_t)(pool_size - 1);
	uint8_t headers[BATCH][POOLS_HEADER_SIZE] = {{0}};
	int r = 0;

	if (at < start)
		return 0;
	while (r == 0 && at < end && end - at >= pool_size) {
		struct memory_span spans[BATCH];
		unsigned n = 0;

		for (; n < BATCH && at < end && end - at >= pool_size; at += pool_size)
			spans[n] = (struct memory_span){at, headers[n], POOLS_HEADER_SIZE}, n++;
		r = scan_batch(pid, spans, n, pool_size, ret);
	}
	return r;
}
