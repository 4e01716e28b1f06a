/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h - 'memherd-agent gc PID': every garbage collection of one CPython process for some seconds,
 * with its pause. Needs no collector and no configuration.
 */
#ifndef MEMHERD_AGENT_GC_H
#define MEMHERD_AGENT_GC_H

/* 0; 1 = failed; 2 = usage; 3 = no right to; 4 = no such process; 5 = it would cost too much. */
int gc_main(int argc, char **argv);

#endif
