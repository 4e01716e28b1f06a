/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h - why a process grows, from what the registry remembers of it: its figures of the last
 * hour and its censuses become the evidence of proto/leak.h. No I/O; reads no clock.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_VERDICT_H
#define MEMHERD_COLLECTOR_FLEET_VERDICT_H

#include "collector/fleet/registry.h"
#include "proto/leak.h"

/* False when no interpreter was told of in it: then nothing is said. Names of types in *ret point
 * into the process. */
bool verdict_evidence(const struct host *h, const struct process *p,
		      struct leak_evidence *ret) must_use;
/* As above, and judged. */
bool verdict_of(const struct host *h, const struct process *p, struct leak_verdict *ret) must_use;

#endif
