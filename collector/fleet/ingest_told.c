/* SPDX-License-Identifier: Apache-2.0 */
/* What is told apart from samples: events, ends of processes, kills, the host's posture,
 * censuses, snapshots. */
#include "collector/fleet/census.h"
#include "collector/fleet/death.h"
#include "collector/fleet/dossier.h"
#include "collector/fleet/ingest_inner.h"
#include "collector/fleet/snapshot.h"
#include "proto/identity.h"

/* How a process ended: told to its row. */
static void take_death(struct taking *k, const struct wire_event *e, const uint8_t boot_id[16],
		       const struct death *d, int64_t t_us)
{
	const struct ingest *in = k->in;

	if (!k->pack)
		return;
	pack_death(k->pack, boot_id, e, d, t_us);
	if (!k->again && in->ops->on_death)
		in->ops->on_death(in->arg, k->host, e, d, t_us);
}

/* Most processes end in peace: their row says so, and their exit is an event already. */
static bool is_news(const struct wire_event *e, const struct death *d)
{
	return e->kind != WIRE_EVENT_DEATH || d->cause != KILL_CAUSE_CLEAN_EXIT;
}

int ingest_take_event(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const uint8_t *boot_id;
	struct wire_event e;
	struct death d = {0};
	int64_t t_us;
	int rc = wire_unpack_event(k->arena, r->body, r->len, &e, err);

	if (rc < 0)
		return rc;
	/* A stream without ticks knows no boot but the one that its events tell. */
	boot_id = e.has_boot_id ? e.boot_id : k->stream->delta.boot_id;
	t_us = ingest_time(k->stream, e.t_wall_us);
	if (death_of(&e, boot_id, &d))
		take_death(k, &e, boot_id, &d, t_us);
	if (k->pack && e.kind == WIRE_EVENT_ACTION && k->in->ops->on_action)
		k->in->ops->on_action(k->in->arg, k->host, &e);
	if (k->pack && is_news(&e, &d))
		pack_event(k->pack, e.pid ? identity_process(boot_id, e.pid, e.start_ticks) : 0, &e,
			   t_us);
	return 0;
}

/* Stored by its id whatever is known here: the store may lack what memory has. */
static void store_kill(struct taking *k, const struct wire_kill *kill, int64_t t_us)
{
	auto_dossier struct dossier d = {0};

	if (dossier_init(&d, k->host, kill, t_us) < 0)
		pack_fail(k->pack);
	else
		pack_kill(k->pack, kill, &d, t_us);
}

int ingest_take_kill(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const struct ingest *in = k->in;
	struct wire_kill kill;
	int64_t id;
	int64_t t_us;
	int rc = wire_unpack_kill(k->arena, r->body, r->len, &kill, err);

	if (rc < 0)
		return rc;
	t_us = ingest_time(k->stream, kill.t_wall_us);
	id = identity_kill(kill.boot_id, kill.seq);
	if (k->pack)
		store_kill(k, &kill, t_us);
	if (!registry_kill_is_new(k->host, id) || (!k->pack && !k->followed))
		return 0;
	k->host->kills.scopes[dossier_scope(kill.cause)] += kill_cause_is_oom(kill.cause);
	k->in->stats.kills++;
	if (in->ops->on_kill)
		in->ops->on_kill(in->arg, k->host, &kill, id, t_us);
	return 0;
}

int ingest_take_posture(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const struct ingest *in = k->in;
	auto_free char *findings = NULL;
	struct wire_posture posture;
	int64_t t_us;
	int rc = wire_unpack_posture(k->arena, r->body, r->len, &posture, err);

	if (rc < 0)
		return rc;
	t_us = ingest_time(k->stream, posture.t_wall_us);
	findings = dossier_findings(&posture);
	if (!findings) {
		if (k->pack)
			pack_fail(k->pack);
		return 0;
	}
	registry_posture(k->host, findings, t_us);
	if (k->pack)
		pack_posture(k->pack, findings, t_us);
	if (k->pack && !k->again && in->ops->on_posture)
		in->ops->on_posture(in->arg, k->host, &posture, t_us);
	return 0;
}

/* The process may be told later, or by a stream that is behind: the rows meet by its id. */
int ingest_take_census(struct taking *k, const struct wire_rec *r, struct error *err)
{
	const struct ingest *in = k->in;
	auto_census_doc struct census_doc c = {0};
	struct wire_census census;
	struct process *p;
	int64_t t_us;
	int rc = wire_unpack_census(k->arena, r->body, r->len, &census, err);

	if (rc < 0)
		return rc;
	t_us = ingest_time(k->stream, census.t_wall_us);
	if (census_doc_init(&c, k->host, &census) < 0) {
		if (k->pack)
			pack_fail(k->pack);
		return 0;
	}
	p = registry_find_process(k->host, c.proc_id);
	if (p)
		registry_census(p, &census, c.census_id, t_us);
	if (!k->pack)
		return 0;
	pack_census(k->pack, &census, &c, t_us);
	if (k->again)
		return 0;
	k->in->stats.censuses++;
	if (in->ops->on_census)
		in->ops->on_census(in->arg, k->host, p, &census, c.census_id, t_us);
	return 0;
}

int ingest_take_snapshot(struct taking *k, const struct wire_rec *r, struct error *err)
{
	auto_snapshot_doc struct snapshot_doc doc = {0};
	struct wire_snapshot snapshot;
	int rc = wire_unpack_snapshot(k->arena, r->body, r->len, &snapshot, err);

	if (rc < 0 || !k->pack)
		return rc;
	if (snapshot_doc_init(&doc, k->host, &snapshot) < 0)
		pack_fail(k->pack);
	else
		pack_snapshot(k->pack, &snapshot, &doc, ingest_time(k->stream, snapshot.t_wall_us));
	return 0;
}
