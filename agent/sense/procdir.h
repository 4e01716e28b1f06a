/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procdir.h - a /proc (or a folder that looks like one) held open, and its files read with the
 * fewest system calls: openat, one read, close. No descriptor is kept per process: a held one costs
 * 4-5 KiB of kernel memory each.
 */
#ifndef MEMHERD_AGENT_SENSE_PROCDIR_H
#define MEMHERD_AGENT_SENSE_PROCDIR_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* A whole getdents64 round of some 1,300 processes. */
#define PROCDIR_DENTS_SIZE (32u * 1024)
#define PROCDIR_NO_PID     0u /* the file lies beside the processes */

struct procdir {
	int fd;
	uint8_t *dents;
	size_t pos;
	size_t have;
};

int procdir_open(struct procdir *d, const char *path, struct error *err) must_use;
void procdir_close(struct procdir *d);

/* Starts a round over all processes. */
int procdir_rewind(struct procdir *d) must_use;
/* 1 with the next process, 0 at the end, -errno. ino is what tells a reused pid for free: it stays
 * while a process lives and changes with its successor (it may also change under memory pressure:
 * a reason to look, not proof). */
int procdir_next(struct procdir *d, uint32_t *ret_pid, uint64_t *ret_ino) must_use;

/* Does this failure say that the process has ended? */
static inline bool procdir_gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

/* One read of PID/file; the length (NUL-terminated, at most size - 1), or -errno: -ENOENT and
 * -ESRCH when the process is gone. */
int procdir_read(const struct procdir *d, uint32_t pid, const char *file, char *buf,
		 size_t size) must_use;
/* The same with as many reads as it takes; what lies beyond size is left. */
int procdir_read_all(const struct procdir *d, uint32_t pid, const char *file, char *buf,
		     size_t size) must_use;
int procdir_readlink(const struct procdir *d, uint32_t pid, const char *file, char *buf,
		     size_t size) must_use;
/* Entries of PID/fd, or -errno. */
int procdir_count_fds(const struct procdir *d, uint32_t pid) must_use;

#endif
