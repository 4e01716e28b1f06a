/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - how a process that lives for months uses glibc's heap, so that what a burst took (a
 * keyframe, a thousand births) is not kept for ever. Called by a process's entry point alone.
 */
#ifndef MEMHERD_COMMON_HEAP_H
#define MEMHERD_COMMON_HEAP_H

/* Large blocks get mappings of their own, which end when they are freed. Left alone, glibc raises
 * its limit to the largest block freed so far, and keeps the next ones. mallopt(3). */
void heap_tune(void);
/* Gives back what is free; some 10 us. For after a burst. */
void heap_trim(void);

#endif
