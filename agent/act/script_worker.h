/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script_worker.h - the part of script.c that runs in the worker: everything that touches the
 * target.
 */
#ifndef MEMHERD_AGENT_ACT_SCRIPT_WORKER_H
#define MEMHERD_AGENT_ACT_SCRIPT_WORKER_H

#include "agent/act/page.h"
#include "agent/act/script.h"

/* Both sides of the worker see it. */
struct script_shared {
	struct page page; /* address 0: nothing was armed */
	uint32_t answer_len;
	char answer[SCRIPT_ANSWER];
};

struct script_job {
	const struct process *process;
	const struct script *script;
	struct script_shared *shared;
};

/* For worker_run(): arg is a struct script_job, result a struct script_report. */
int script_work(const void *arg, void *result, struct error *err) must_use;

#endif
