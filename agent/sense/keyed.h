/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyed.h - the two shapes in which the kernel tells several figures in one file, as pure functions
 * on bytes: 'key number' lines (memory.stat, memory.events, vmstat) and the lines of a pressure
 * file. A line whose end was not seen was cut and is not believed; nor is a number above 2^53.
 */
#ifndef MEMHERD_AGENT_SENSE_KEYED_H
#define MEMHERD_AGENT_SENSE_KEYED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"
#include "proto/metric.h"

/* One wanted line. Several rows may have one index: their numbers are added. */
struct keyed_row {
	const char *key;
	uint8_t len;    /* of key */
	uint16_t index; /* in the caller's figures */
};
#define KEYED_ROW(name, i)                                           \
	{                                                            \
		.key = (name), .len = sizeof(name) - 1, .index = (i) \
	}

/* Adds what the lines say to v, where METRIC_ABSENT counts as nothing yet: the caller clears it.
 * The first row that takes a key has it. Keys may end with ':', numbers may be followed by ' kB'.
 */
void keyed_parse(const char *s, size_t len, const struct keyed_row *rows, size_t n, int64_t *v);

/* Of /proc/pressure/memory and a cgroup's memory.pressure (PSI, Documentation/accounting/psi.rst).
 * The averages in 1/100 of a percent of the last 10 s, the totals in microseconds. */
struct pressure {
	int64_t some_avg10;
	int64_t some_total;
	int64_t full_avg10;
	int64_t full_total;
};
/* What is not there (PSI compiled in but off gives an empty file, or an error) is METRIC_ABSENT. */
void pressure_parse(const char *s, size_t len, struct pressure *ret);

#endif
