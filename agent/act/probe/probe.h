/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - the Python programs of this folder, compiled in by tools/embed-text. boot.py is what
 * the target calls (page.h); the others run inside of it: ARGS is a tuple of numbers, what they put
 * into lines comes back, one 'name<TAB>value' a line.
 */
#ifndef MEMHERD_AGENT_ACT_PROBE_PROBE_H
#define MEMHERD_AGENT_ACT_PROBE_PROBE_H

extern const char probe_boot[];
extern const char probe_gc[];
extern const char probe_paths[]; /* put before the two below */
extern const char probe_referrers[];
extern const char probe_sizes[];
extern const char probe_trace_start[];
extern const char probe_trace_stop[];
extern const char probe_gc_threshold[];
extern const char probe_gc_freeze[];

#endif
