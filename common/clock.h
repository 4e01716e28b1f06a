/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the three clocks. Pure code takes a time as a parameter and never calls these.
 */
#ifndef MEMHERD_COMMON_CLOCK_H
#define MEMHERD_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define USEC_PER_SEC 1000000LL
#define MSEC_PER_SEC 1000LL

static inline int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* Microseconds since 1970-01-01 UTC; may step. */
static inline int64_t clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* Microseconds since boot, suspend included; never steps. */
static inline int64_t clock_boot_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

/* Microseconds of CPU time that this process has used. */
static inline int64_t clock_cpu_us(void)
{
	return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

#endif
