/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - 'memherd-agent inspect PID': all that is known of one process, now, without collector
 * or configuration. What cannot be had is shown as unknown with the reason.
 */
#ifndef MEMHERD_AGENT_INSPECT_H
#define MEMHERD_AGENT_INSPECT_H

/* argv[0] is 'inspect'. Exit codes: 0, 1 failed, 2 usage, 3 not allowed, 4 no such process. */
int inspect_main(int argc, char **argv);

#endif
