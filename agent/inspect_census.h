/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect_census.h - 'memherd-agent inspect --census': the objects of a Python process by type.
 *
 * As root of a copy-on-write snapshot, as memherd-actd does it; anybody else counts what he may
 * read, while it runs.
 */
#ifndef MEMHERD_AGENT_INSPECT_CENSUS_H
#define MEMHERD_AGENT_INSPECT_CENSUS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define INSPECT_CENSUS_TOP 20

/* Fills body with an encoded census (agent/act/census_print.h shows it), or says why there is none.
 */
int inspect_census(uint32_t pid, struct buf *body, struct error *err) must_use;

#endif
