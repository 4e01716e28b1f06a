/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ending.h - which workers were told to end and had not yet when their action was over, so that no
 * second one of the same master is asked meanwhile. A small file beside the journal (root's, 0600),
 * read and written under the journal's lock; who has ended counts no more.
 */
#ifndef MEMHERD_AGENT_ACT_ENDING_H
#define MEMHERD_AGENT_ACT_ENDING_H

#include "agent/act/process.h"
#include "common/error.h"

#define ENDING_MAX 64 /* workers; the oldest are forgotten first */

/* -EBUSY: one of this master's still ends (err names it). A file that cannot be read is -errno. */
int ending_check(const char *journal, pid_t master, struct error *err) must_use;
/* Notes the worker. */
int ending_note(const char *journal, const struct process *worker, struct error *err) must_use;

#endif
