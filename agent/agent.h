/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the supervisor: starts sense and link as processes of their own, watches them, and
 * starts again what died.
 *
 * Each gets the user and the capabilities that it needs and no descriptor but its socket; both die
 * with the supervisor. A new sense reaches the link that runs (its socket is passed over), so what
 * link has spooled survives. A new link gets a new stream, in which every process must be announced
 * again, so sense is started anew with it. Names, which few hosts have, comes and goes alone: its
 * socket pair with sense lives as long as the supervisor. Only main.c and tests call this; the
 * supervisor itself reads nothing from anyone.
 */
#ifndef MEMHERD_AGENT_AGENT_H
#define MEMHERD_AGENT_AGENT_H

#include "agent/inherit.h"
#include "agent/link/link.h"
#include "agent/options.h"

#define AGENT_BACKOFF_MIN_US (1 * INT64_C(1000000))
#define AGENT_BACKOFF_MAX_US (30 * INT64_C(1000000))
#define AGENT_STABLE_US      (60 * INT64_C(1000000)) /* lived this long: the back-off starts anew */

/* What the processes run, each until told to end; the exit code. */
struct agent_parts {
	int (*sense)(const struct agent_options *o, const struct sense_fds *fds);
	int (*link)(const struct agent_options *o, const struct link_start *start, int control);
	int (*names)(const struct agent_options *o, int fd); /* where container_engine is not off */
};

/* Runs until SIGTERM or SIGINT; then sense ends first and link sends what is left. 0, or -errno
 * when it could not start. */
int agent_run(const struct agent_options *o, const struct agent_parts *parts,
	      struct error *err) must_use;

/* Pure: how long to wait before starting again what lived for lived_us; *backoff_us is the state,
 * 0 at first. */
int64_t agent_backoff(int64_t *backoff_us, int64_t lived_us);

#endif
