/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunks.h - another process's memory through a cache of 64 KiB chunks: a walk of its objects reads
 * some hundred bytes a system call would be wasted on, again and again from the same few chunks.
 *
 * The memory is bounded. When it is full the oldest unused chunk makes room, and while that does
 * not pay (objects scattered over a heap far larger than the cache) single reads are made instead,
 * so that the worst case is one system call a read. A chunk that spans a hole holds what is there;
 * outside of it the read goes to the process. A cached chunk is as old as its first read: the owner
 * clears the cache when it looks again.
 */
#ifndef MEMHERD_AGENT_PYTHON_CHUNKS_H
#define MEMHERD_AGENT_PYTHON_CHUNKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/check.h"

#define CHUNK_SIZE (64u << 10)

/* Where the bytes come from: as memory_read_some(), 0 < the count <= n or -errno. */
struct chunk_source {
	ssize_t (*read)(void *arg, uint64_t address, void *buf, size_t n);
	void *arg;
};

/* The memory of a process; pid must live as long as the source. */
struct chunk_source chunk_source_of(const pid_t *pid);

struct chunks;

struct chunk_stats {
	uint64_t loads;  /* chunks read */
	uint64_t single; /* reads past the cache */
};

/* max_bytes: of cached memory, at least one chunk. */
int chunks_new(const struct chunk_source *source, size_t max_bytes, struct chunks **ret) must_use;
void chunks_free(struct chunks **c);
void chunks_clear(struct chunks *c);
/* All n bytes (at most CHUNK_SIZE), or the source's -errno; -EFAULT also for a wrapped address. */
int chunks_read(struct chunks *c, uint64_t address, void *buf, size_t n) must_use;
struct chunk_stats chunks_stats(const struct chunks *c);

static inline void auto_chunks_(struct chunks **c)
{
	chunks_free(c);
}
#define auto_chunks __attribute__((cleanup(auto_chunks_)))

#endif
