/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.h - 'memherd-agent top': the processes by memory and by how fast they grow, without collector
 * or configuration. On a terminal it repaints; into a pipe it prints plain tables.
 */
#ifndef MEMHERD_AGENT_TOP_H
#define MEMHERD_AGENT_TOP_H

/* argv[0] is 'top'. Exit codes: 0, 1 failed, 2 usage. */
int top_main(int argc, char **argv);

#endif
