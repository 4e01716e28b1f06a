/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - whole files: read with a bound, written so that a crash leaves the old or the new.
 */
#ifndef MEMHERD_COMMON_FS_H
#define MEMHERD_COMMON_FS_H

#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

/* Appends the file to b; -EFBIG when it is larger than b may grow. */
int fs_read(const char *path, struct buf *b, struct error *err) must_use;
/* Reads a small text file into out as a string; the number of bytes, -EFBIG when cut. For
 * /proc and /sys, where the size is not known before. No error text: callers try and go on. */
int fs_read_small(int dirfd, const char *path, char *out, size_t size) must_use;
/* Writes beside the target, fsyncs, renames over it, fsyncs the folder. */
int fs_write(const char *path, mode_t mode, const void *data, size_t len,
	     struct error *err) must_use;
/* mkdir -p of the last component with that mode; an existing folder is fine. */
int fs_mkdir(const char *path, mode_t mode, struct error *err) must_use;
/* -EPERM unless path is a regular file without access for group or others, owned by the
 * effective user or root: the rule for every file that holds a secret. */
int fs_check_private(const char *path, struct error *err) must_use;
/* -EPERM unless path, every folder on the way to it and every link are root's and nobody else can
 * write or replace them. */
int fs_check_root_owned(const char *path, struct error *err) must_use;

/* All of it, whatever the kernel takes at a time; 0 or -errno. */
int fs_write_all(int fd, const void *data, size_t len) must_use;

#endif
