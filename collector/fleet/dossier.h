/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dossier.h - a kill as the database keeps it and REST tells it: what the agent said, joined with
 * what the registry knows of the processes it names (command line, service, container, last figures
 * of the Python collector). Pure; the shape is in docs/API.md.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_DOSSIER_H
#define MEMHERD_COLLECTOR_FLEET_DOSSIER_H

#include "collector/fleet/registry.h"

struct dossier {
	int64_t kill_id;
	int64_t proc_id;     /* of the victim; 0 = not known */
	const char *service; /* of the victim; as the container, good until control returns */
	const char *container;
	int64_t rss_bytes;   /* of the victim; -1 = not known */
	int64_t limit_bytes; /* -1 = not known */
	char *doc;           /* JSON text: everything */
	char *event;         /* JSON text: verdict, cause, victim, limit, the kill's id */
};

/* -ENOMEM. t_us: of the kill, on our clock. */
int dossier_init(struct dossier *d, struct host *h, const struct wire_kill *k,
		 int64_t t_us) must_use;
void dossier_fini(struct dossier *d);
enum kill_scope dossier_scope(enum kill_cause cause);
/* What an agent found of its host's posture, as a JSON array; NULL without memory. free() it. */
char *dossier_findings(const struct wire_posture *p) must_use;

#define auto_dossier __attribute__((cleanup(dossier_fini)))

#endif
