/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sdjournal.h - the few functions of libsystemd.so.0 that read the journal, loaded while they are
 * needed: the gathering process is small, most hosts have no other killer than the kernel, and some
 * have no systemd. Nothing is linked and no header of systemd is needed to build.
 *
 * The prototypes are those of sd-journal(3), there since systemd 187 to 209; the library's version
 * .0 has never broken them: symbols are versioned LIBSYSTEMD_209. Whoever loads unloads.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_SDJOURNAL_H
#define MEMHERD_AGENT_SENSE_OOM_SDJOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sd_journal; /* the library's own */

/* clang-format off: it takes the pointers for products. */
/* X(name, arguments): 'int sd_journal_<name>(arguments)'; 0, positive or -errno. */
#define SDJOURNAL_LIST(X)                                                                        \
	X(open_files, (struct sd_journal * *ret, const char **paths, int flags))                 \
	X(set_data_threshold, (struct sd_journal * j, size_t size))                              \
	X(add_match, (struct sd_journal * j, const void *data, size_t size))                     \
	X(add_disjunction, (struct sd_journal * j))                                              \
	X(seek_cursor, (struct sd_journal * j, const char *cursor))                              \
	X(test_cursor, (struct sd_journal * j, const char *cursor))                              \
	X(get_cursor, (struct sd_journal * j, char **ret))                                       \
	X(seek_realtime_usec, (struct sd_journal * j, uint64_t usec))                            \
	X(next, (struct sd_journal * j))                                                         \
	X(get_data, (struct sd_journal * j, const char *field, const void **data, size_t *size)) \
	X(get_realtime_usec, (struct sd_journal * j, uint64_t * ret))
/* clang-format on */

struct sdjournal {
	void *handle; /* NULL = not loaded */
#define X(name, args) int(*name) args;
	SDJOURNAL_LIST(X)
#undef X
	void (*close)(struct sd_journal *j);
};

#define SDJOURNAL_LIBRARY "libsystemd.so.0"

/* -ENOENT: no such library; -ENOSYS: it lacks a function. On failure *ret is not written. */
int sdjournal_load(const char *library, struct sdjournal *ret, struct error *err) must_use;
/*
 * Calls fn(arg), which may use the library. -EIO when a page of a mapped file was not there
 * (SIGBUS: the file was cut, or the disk fails): fn was left in the middle, and what it used may
 * only be closed, guarded again. Not for two threads at once; SIGBUS is the caller's again
 * afterwards.
 */
int sdjournal_guard(int (*fn)(void *arg), void *arg) must_use;
/* Everything that was opened must be closed. */
void sdjournal_unload(struct sdjournal *lib);

#endif
