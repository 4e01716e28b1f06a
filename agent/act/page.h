/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - a piece of memory of our own in the target, by which a script gets in and its answer
 * out: no file, no descriptor. Made once a process and kept: 128 KiB, of which a few pages are
 * touched. probe/boot.py is the other side.
 *
 *	     0  magic, the page's own address, the process's pid as it has it
 *	    24  token: of the command; 0 = nothing is to be run
 *	    32  state: enum page_state
 *	    40  the script's length, 48 the answer's
 *	    56  the number of a signal whose handler ended the script by an exception, 0 = none
 *	    64  a mask of the signals that were pending for the main thread when it was over
 *	  4096  boot.py, NUL-ended: what the interpreter is told to run. Never written again, so
 *that a call that waits somewhere never meets half of it 8192  the script 32768  the answer
 *
 * Giving up: we clear the token, then read the state; the target sets the state, then reads the
 * token. One of the two sees the other, so a script that was told of as not run never runs.
 */
#ifndef MEMHERD_AGENT_ACT_PAGE_H
#define MEMHERD_AGENT_ACT_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/python/maps.h"
#include "common/buf.h"
#include "common/error.h"

#define PAGE_BYTES      (128u << 10)
#define PAGE_BOOT       4096u
#define PAGE_SCRIPT     8192u
#define PAGE_ANSWER     32768u
#define PAGE_SCRIPT_MAX (PAGE_ANSWER - PAGE_SCRIPT)
#define PAGE_ANSWER_MAX (PAGE_BYTES - PAGE_ANSWER)

enum page_state { PAGE_IDLE, PAGE_ARMED, PAGE_RUNS, PAGE_DONE, PAGE_LEFT };

struct page {
	pid_t pid;
	uint64_t address;
};

/* One that was made before; -ENOENT. */
int page_find(pid_t pid, const struct maps *m, struct page *ret) must_use;
/* Where one may be made: in the middle of a wide gap, so that it never grows together with other
 * memory; -ENOSPC. Pure. */
int page_place(const struct maps *m, uint64_t *ret) must_use;
/* Is plain memory of that size there now? */
int page_is_there(pid_t pid, uint64_t address) must_use;
/* Writes magic and boot.py into fresh memory. */
int page_write(const struct page *p, struct error *err) must_use;
/* -EBUSY: a script of before still runs. there: the process's pid in its own namespace; token is
 * not 0. */
int page_arm(const struct page *p, pid_t there, uint64_t token, const char *script, size_t len,
	     struct error *err) must_use;
/* An enum page_state, or -errno. */
int page_state(const struct page *p) must_use;
/* Clears the token and tells the state after that. */
int page_disarm(const struct page *p) must_use;
int page_signals(const struct page *p, uint64_t *ret_again, uint64_t *ret_pending) must_use;
int page_answer(const struct page *p, char ret[PAGE_ANSWER_MAX], size_t *ret_len) must_use;

#endif
