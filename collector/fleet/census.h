/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census.h - a census as the database keeps it: its types, its parts and its event as JSON texts,
 * who it is of. Pure; the shape is in docs/API.md.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_CENSUS_H
#define MEMHERD_COLLECTOR_FLEET_CENSUS_H

#include "collector/fleet/registry.h"

struct census_doc {
	int64_t census_id;
	int64_t proc_id;
	const struct process *process; /* NULL = not known (yet); good until control returns */
	char *types;                   /* JSON text, as store_census has it */
	char *parts;
	char *event; /* JSON text: what the event of kind 'census' tells */
};

/* -ENOMEM. */
int census_doc_init(struct census_doc *c, struct host *h, const struct wire_census *w) must_use;
void census_doc_fini(struct census_doc *c);

#define auto_census_doc __attribute__((cleanup(census_doc_fini)))

#endif
