/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_idle.h - whether a child of celery's prefork pool waits for its next task. No signal has it
 * finish the task at hand and end, so it is told to end between two.
 *
 * It waits when its main thread sleeps in read() on a pipe that the main process has too, or on a
 * semaphore (billiard's, in /dev/shm) that guards it and that the main process has mapped too, and
 * has not run since the look before. A task that reads or waits for something else does not look
 * like that.
 */
#ifndef MEMHERD_AGENT_ACT_POOL_IDLE_H
#define MEMHERD_AGENT_ACT_POOL_IDLE_H

#include "agent/act/process.h"

/* Looks until it waits: 0; -EBUSY when it has not by until_us (clock_boot_us()), -ESRCH when it
 * ended, or another -errno when it cannot be read. */
int pool_idle_wait(const struct process *worker, const struct process *master,
		   int64_t until_us) must_use;

/* Pure: the number and the first argument of the system call in /proc/PID/syscall; -ENODATA while
 * it runs. */
int pool_idle_parse(const char *text, long *ret_call, uint64_t *ret_argument) must_use;

#endif
