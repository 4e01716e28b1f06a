/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - an ELF object as a process has it mapped: its dynamic symbols, read from the process's
 * memory. No file is opened, so it works for a binary that was deleted, replaced, or lies in a
 * container or in a folder that we may not enter.
 *
 * All that is read is the target's to forge. Each table has a bound, a lookup takes at most
 * IMAGE_MAX_STEPS reads, and an address that leads nowhere is an -EFAULT of the kernel's. System V
 * ABI, chapter 5; the GNU hash table as glibc's and musl's dynamic linkers read it.
 */
#ifndef MEMHERD_AGENT_PYTHON_IMAGE_H
#define MEMHERD_AGENT_PYTHON_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/check.h"

#define IMAGE_MAX_STEPS 512u

struct image {
	pid_t pid;
	uint64_t start;   /* where file offset 0 is mapped */
	uint64_t bias;    /* to add to the object's own addresses */
	uint64_t low;     /* of its loaded segments, in the process */
	uint64_t high;    /* the end */
	uint64_t dynamic; /* PT_DYNAMIC, in the process */
	uint64_t dynamic_size;
	uint64_t symbols;
	uint64_t strings;
	uint64_t gnu_hash; /* 0 = has none */
	uint64_t sysv_hash;
};

/*
 * The object whose file offset 0 is mapped at start. -ENOEXEC: no ELF file; -EBADMSG: its headers
 * are not well formed; -EXDEV: of 32 bits or for another machine; else as memory_read(). An object
 * without dynamic symbols (a static program) is one in which nothing is found.
 */
int image_open(pid_t pid, uint64_t start, struct image *ret) must_use;
/* The address and the size of a data object or function it defines; -ENOENT; as memory_read(). */
int image_find(const struct image *im, const char *name, uint64_t *ret_address,
	       uint64_t *ret_size) must_use;
/* Whether it is linked with a library whose name begins so. */
bool image_needs(const struct image *im, const char *prefix);

#endif
