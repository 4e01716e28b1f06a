/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objfile.h - the file of a mapped object, for the builds whose dynamic symbols do not tell: one
 * section's or one symbol's place. Only what is needed is read, with pread(2): a mapping of it
 * would fault when the file is cut meanwhile. The file is the target's, so hostile: each table has
 * a bound and is checked against what was read.
 */
#ifndef MEMHERD_AGENT_PYTHON_OBJFILE_H
#define MEMHERD_AGENT_PYTHON_OBJFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/python/maps.h"
#include "common/check.h"

/*
 * The very file that is mapped there, read only: by /proc/PID/exe when it is the program, by
 * map_files, else by the path under the process's root; a regular file of the mapping's inode, or
 * none. A descriptor, or -errno (-EACCES mostly: both need more than CAP_SYS_PTRACE, or a
 * file that all may read).
 */
int objfile_open(pid_t pid, const struct map *map, bool is_program) must_use;

/* The address and size of a section that is loaded, of x86-64 ELF; -ENOENT, -EBADMSG, -errno. */
int objfile_section(int fd, const char *name, uint64_t *ret_vaddr, uint64_t *ret_size) must_use;
/* The same of a data symbol in .symtab, which a stripped file has not. */
int objfile_symbol(int fd, const char *name, uint64_t *ret_vaddr, uint64_t *ret_size) must_use;

#endif
