/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/memory.h"

#include <errno.h>
#include <sys/uio.h>

static void *to_pointer(uint64_t address)
{
	return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr): never followed */
}

ssize_t memory_read_some(pid_t pid, uint64_t address, void *buf, size_t n)
{
	struct iovec here = {.iov_base = buf, .iov_len = n};
	struct iovec there = {.iov_base = to_pointer(address), .iov_len = n};
	ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);

	if (got < 0)
		return errno == EACCES ? -EPERM : -errno;
	return got == 0 && n ? -EFAULT : got;
}

int memory_read(pid_t pid, uint64_t address, void *buf, size_t n)
{
	ssize_t got = memory_read_some(pid, address, buf, n);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EFAULT;
}

int memory_read_spans(pid_t pid, const struct memory_span *spans, unsigned n)
{
	struct iovec here[MEMORY_MAX_SPANS];
	struct iovec there[MEMORY_MAX_SPANS];
	size_t total = 0;
	ssize_t got;

	if (n > MEMORY_MAX_SPANS)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		here[i] = (struct iovec){.iov_base = spans[i].buf, .iov_len = spans[i].n};
		there[i] = (struct iovec){.iov_base = to_pointer(spans[i].address),
					  .iov_len = spans[i].n};
		total += spans[i].n;
	}
	got = process_vm_readv(pid, here, n, there, n, 0);
	if (got < 0)
		return errno == EACCES ? -EPERM : -errno;
	return (size_t)got == total ? 0 : -EFAULT;
}

int memory_read_u64(pid_t pid, uint64_t address, uint64_t *ret)
{
	return memory_read(pid, address, ret, sizeof(*ret));
}
