/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - gathers what one batch of an agent means to the store: its fresh records as bytes, and
 * the processes, exits, cgroups, events, deaths, kills, censuses and gaps found in them. Lives
 * within one call of ingest_batch(). An addition that finds no memory marks the pack, and
 * pack_put() fails.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_PACK_H
#define MEMHERD_COLLECTOR_FLEET_PACK_H

#include "collector/fleet/census.h"
#include "collector/fleet/death.h"
#include "collector/fleet/dossier.h"
#include "collector/fleet/registry.h"
#include "collector/fleet/snapshot.h"
#include "collector/store/store.h"

struct pack;

/* head says host, epoch, connection, receive time and skew; before is the number before the first.
 */
int pack_new(const struct store_batch *head, uint64_t before, struct pack **ret) must_use;
void pack_free(struct pack **p);
/* fresh: it started while the agent watched, which is an event. */
void pack_birth(struct pack *p, const uint8_t boot_id[16], const struct process *proc, int64_t t_us,
		bool fresh);
/* seen: the agent saw it go; else a keyframe showed that it had gone before. */
void pack_exit(struct pack *p, const struct process *proc, int64_t t_us, bool seen);
void pack_event(struct pack *p, int64_t proc_id, const struct wire_event *e, int64_t t_us);
/* boot_id: in which the event's pid is meant. */
void pack_death(struct pack *p, const uint8_t boot_id[16], const struct wire_event *e,
		const struct death *d, int64_t t_us);
void pack_cgroup(struct pack *p, const struct cgroup *g, int64_t t_us);
void pack_cgroup_gone(struct pack *p, const struct cgroup *g, int64_t t_us);
void pack_kill(struct pack *p, const struct wire_kill *k, const struct dossier *d, int64_t t_us);
void pack_posture(struct pack *p, const char *findings, int64_t t_us);
/* With an event that tells of it. */
void pack_census(struct pack *p, const struct wire_census *w, const struct census_doc *c,
		 int64_t t_us);
void pack_snapshot(struct pack *p, const struct wire_snapshot *w, const struct snapshot_doc *d,
		   int64_t t_us);
/* Something of the batch found no memory: it is not put, so that the agent sends it again. */
void pack_fail(struct pack *p);
void pack_gap(struct pack *p, uint64_t from, const struct wire_gap *g);
/* The record could not be decoded: a gap of one, and an event that says why. */
void pack_undecodable(struct pack *p, const struct wire_rec *r, const char *why);
/* The record goes into the stored bytes. */
void pack_record(struct pack *p, const struct wire_rec *r);
/* Sets the number up to which the batch now goes; what is packed next belongs to the one after. */
void pack_last(struct pack *p, uint64_t seq);
void pack_time(struct pack *p, int64_t t_us);
/* Of its first tick, 0 when it has none. */
int64_t pack_t_us(const struct pack *p);
bool pack_empty(const struct pack *p);
int pack_put(struct pack *p, struct store *store) must_use;

#endif
