/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_print.h - what 'tracemalloc' found, for people and as JSON members ', "sites": [...]'.
 */
#ifndef MEMHERD_AGENT_ACT_TRACE_PRINT_H
#define MEMHERD_AGENT_ACT_TRACE_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "common/buf.h"

void trace_print(FILE *out, const struct buf *answer, bool json);

#endif
