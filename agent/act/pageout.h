/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pageout.h - 'reclaim' of a process that has no cgroup of its own: parts of its anonymous memory
 * that it has not touched for some seconds go into swap, by process_madvise(MADV_PAGEOUT) (Linux
 * 5.10). What is touched is told by the kernel's Referenced of smaps after clear_refs.
 */
#ifndef MEMHERD_AGENT_ACT_PAGEOUT_H
#define MEMHERD_AGENT_ACT_PAGEOUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "agent/act/action.h"

/* Mappings of a text as /proc/PID/smaps has it that were not touched and are neither files, shared
 * nor locked, until they hold bytes of anonymous memory: their number, at most max; *ret_bytes is
 * what they hold. Pure. */
size_t pageout_cold(const char *smaps, int64_t bytes, struct iovec *ret, size_t max,
		    int64_t *ret_bytes);
/* why: the reason that its cgroup is left alone. Fills the result but for what was before. */
void pageout_process(const struct process *p, const struct action_order *o, const char *why,
		     struct command_result *r);

#endif
