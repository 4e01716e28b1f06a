/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_print.h - what an action by hand came to, as a line or as JSON, with what it made.
 */
#ifndef MEMHERD_AGENT_ACT_RESULT_PRINT_H
#define MEMHERD_AGENT_ACT_RESULT_PRINT_H

#include "agent/act/arguments.h"
#include "common/buf.h"

/* pid 0: the whole host. -errno: what it made cannot be shown. */
int result_print(const struct action *a, pid_t pid, const struct command_result *r,
		 const struct buf *body, const struct arguments *args, struct error *err) must_use;

#endif
