/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - reads the memory of another process by process_vm_readv(2): no ptrace attach, no stop.
 * What comes back was written by the target, and while it is read the target goes on writing.
 *
 * Tests that need a made-up target define process_vm_readv() themselves: the linker takes theirs.
 */
#ifndef MEMHERD_AGENT_PYTHON_MEMORY_H
#define MEMHERD_AGENT_PYTHON_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/check.h"

#define MEMORY_MAX_SPANS 8u

struct memory_span {
	uint64_t address;
	void *buf;
	size_t n;
};

/* All n bytes, or -EFAULT (not mapped, or only in part), -ESRCH (ended), -EPERM. */
int memory_read(pid_t pid, uint64_t address, void *buf, size_t n) must_use;
/* As many of n bytes as are mapped from address on; 0 < the count <= n, or negative as above. */
ssize_t memory_read_some(pid_t pid, uint64_t address, void *buf, size_t n) must_use;
/* Up to MEMORY_MAX_SPANS places in one call, all of them or as memory_read(). */
int memory_read_spans(pid_t pid, const struct memory_span *spans, unsigned n) must_use;
/* One little-endian word. */
int memory_read_u64(pid_t pid, uint64_t address, uint64_t *ret) must_use;

/* A field in bytes that were read: little-endian, at any alignment. */
static inline uint64_t memory_u64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}
static inline int32_t memory_i32(const uint8_t *p)
{
	int32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

#endif
