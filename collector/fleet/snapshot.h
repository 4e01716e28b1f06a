/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - a snapshot as the database keeps it: its rows and totals as JSON texts, by the names
 * of proto/snapshot.h, and who it is of. Pure; the shape is in docs/API.md.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_SNAPSHOT_H
#define MEMHERD_COLLECTOR_FLEET_SNAPSHOT_H

#include "collector/fleet/registry.h"

struct snapshot_doc {
	int64_t snapshot_id;
	int64_t proc_id;
	const struct process *process; /* NULL = not known (yet); good until control returns */
	char *totals;                  /* JSON text: an object */
	char *rows;                    /* JSON text: an array of objects */
};

/* -ENOMEM. */
int snapshot_doc_init(struct snapshot_doc *d, struct host *h,
		      const struct wire_snapshot *w) must_use;
void snapshot_doc_fini(struct snapshot_doc *d);

#define auto_snapshot_doc __attribute__((cleanup(snapshot_doc_fini)))

#endif
