/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - link as a process of its own: its loop, its signals, its supervisor.
 */
#ifndef MEMHERD_AGENT_LINK_PROCESS_H
#define MEMHERD_AGENT_LINK_PROCESS_H

#include "agent/link/link.h"

/*
 * Runs until SIGTERM (then flushes, see link_stop) or until the supervisor's end of control closes.
 * control is a SOCK_SEQPACKET socket on which the supervisor passes, one a message and as
 * SCM_RIGHTS, the socket to each new sense. The exit code.
 */
int link_run(const struct agent_options *o, const struct link_start *start, int control) must_use;

#endif
