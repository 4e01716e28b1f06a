/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - runs a function in a child of its own with a deadline, so that neither a hostile
 * file nor a hung target can hurt or hold the caller. ptrace ties a tracee to one thread: the child
 * is it, and when the child ends the kernel lets the target go.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_WORKER_H
#define MEMHERD_AGENT_ACT_INJECT_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Fills result, at most 2 KiB and aligned for anything. */
typedef int (*worker_fn)(const void *arg, void *result, struct error *err);

/* What fn returned, with its result and message; -ETIMEDOUT after deadline_us, -ECHILD when the
 * child ended without an answer. */
int worker_run(worker_fn fn, const void *arg, void *result, size_t result_size, int64_t deadline_us,
	       struct error *err) must_use;

/*
 * In a worker: while it holds threads of the target it goes before everything else, or they stand
 * still for as long as others use the processor. on = false when they are let go.
 */
void worker_hurry(bool on);

#endif
