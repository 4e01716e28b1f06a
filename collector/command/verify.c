/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/command/ledger.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define VERIFY_MAGIC 0x76657269u
#define DUE_MAX      1000
/* A successor may have been seen before the answer that told of its predecessor's end came. */
#define SUCCESSOR_SLACK_US (60 * USEC_PER_SEC)
/* No process is there, or no sample of it comes: then the stage is given up. */
#define PATIENCE_US (90 * USEC_PER_SEC)

struct verify {
	unsigned magic;
	struct verify_config config;
	bool asking;
	unsigned writing;
};

/* ---- where to measure ---- */

static bool is_heir(const struct process *p, const struct verify_due *d)
{
	bool same =
		*d->service ? strcmp(p->service, d->service) == 0 : strcmp(p->comm, d->comm) == 0;

	return same && p->proc_id != d->proc_id &&
	       p->first_seen_us >= d->done_us - SUCCESSOR_SLACK_US &&
	       strcmp(wire_role_word(p->role), d->role) == 0 &&
	       (!d->slot || p->slot == (uint32_t)d->slot);
}

/* The process; after a restart the largest of those that came in its place. */
static const struct process *find(struct host *h, const struct verify_due *d)
{
	const struct process *best = registry_find_process(h, d->proc_id);

	if (best || (!*d->service && !*d->comm))
		return best;
	for (const struct process *p = h->processes; p; p = p->hh.next)
		if (is_heir(p, d) && (!best || p->v[METRIC_RSS] > best->v[METRIC_RSS]))
			best = p;
	return best;
}

static int64_t bytes(int64_t kib)
{
	return kib == METRIC_ABSENT ? -1 : kib * 1024;
}

/* False: there is no sample of after due_us yet. Samples bear the host's clock. */
static bool measure(struct verify *v, const struct verify_due *d, int64_t due_us,
		    struct effect *ret)
{
	struct host *h = registry_find_host(v->config.registry, d->host_id);
	const struct process *p = h ? find(h, d) : NULL;

	if (!p || p->last_seen_us - h->skew_us < due_us || p->v[METRIC_RSS] == METRIC_ABSENT)
		return false;
	*ret = (struct effect){.t_us = p->last_seen_us - h->skew_us,
			       .proc_id = p->proc_id,
			       .pid = p->pid,
			       .rss = bytes(p->v[METRIC_RSS]),
			       .pss = bytes(p->v[METRIC_PSS])};
	return true;
}

/* ---- writing it down ---- */

static void on_written(void *arg, int rc, const struct action_row *row,
		       const struct command_request *body unused_arg, const struct error *err)
{
	struct verify *v = arg;
	char id[UUID_TEXT_SIZE];

	MAGIC_CHECK(v, VERIFY_MAGIC);
	v->writing--;
	if (rc < 0 && rc != -ENOENT)
		log_warn("command event=effect_not_stored error=\"%s\"", err ? err->msg : "");
	if (rc != 0 || !*row->verdict)
		return;
	uuid_text(id, row->cmd_id);
	log_info("command=%s host=%d event=verified verdict=%s", id, row->host_id, row->verdict);
	if (v->config.verified)
		v->config.verified(v->config.arg, row);
}

/* One due row: measured, waited for, or given up. */
static int take(struct verify *v, const struct verify_due *d, int64_t now_us)
{
	const int64_t *stages = v->config.stages_s;
	int stage = effect_stage(stages, (now_us - d->done_us) / USEC_PER_SEC);
	struct action_row row = {.host_id = d->host_id};
	struct effect one = {.after_s = 0};
	struct effects all;
	int64_t due_us;
	int rc;

	if (stage < 0)
		return 0;
	due_us = d->done_us + stages[stage] * USEC_PER_SEC;
	if (effects_parse(d->effects, &all) < 0)
		log_warn("command event=effects_unreadable");
	if (all.n < EFFECT_STAGES && measure(v, d, due_us, &one)) {
		one.after_s = stages[stage];
		all.at[all.n++] = one;
	} else if (now_us < due_us + PATIENCE_US) {
		return 0;
	}
	memcpy(row.cmd_id, d->cmd_id, sizeof(row.cmd_id));
	if (stage + 1 < EFFECT_STAGES)
		row.verify_next_us = d->done_us + stages[stage + 1] * USEC_PER_SEC;
	else
		(void)str_copy(row.verdict, sizeof(row.verdict),
			       effect_verdict_word(
				       effects_judge(d->rss_before, d->rss_after, &all)));
	rc = effects_format(&all, row.effects);
	if (!rc)
		rc = ledger_effect(v->config.ledger, &row, d->due_us, on_written, v);
	if (!rc)
		v->writing++;
	return rc;
}

static void on_due(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct verify *v = arg;
	int64_t now_us = clock_wall_us();

	MAGIC_CHECK(v, VERIFY_MAGIC);
	v->asking = false;
	if (rc < 0) {
		log_debug("command error=\"cannot look for what is to be verified: %s\"",
			  err ? err->msg : "");
		return;
	}
	for (size_t i = 0; i < db_rows(r); i++) {
		struct verify_due d;

		if (store_command_due(r, i, &d) == 0 && take(v, &d, now_us) < 0)
			return;
	}
}

void verify_turn(struct verify *v)
{
	MAGIC_CHECK(v, VERIFY_MAGIC);
	if (!v->asking && !v->writing &&
	    store_command_verify_due(v->config.db, clock_wall_us(), DUE_MAX, on_due, v) == 0)
		v->asking = true;
}

int verify_new(const struct verify_config *c, struct verify **ret)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->magic = VERIFY_MAGIC;
	v->config = *c;
	*ret = v;
	return 0;
}

void verify_free(struct verify **slot)
{
	struct verify *v = take_ptr(*slot);

	if (!v)
		return;
	v->magic = 0;
	free(v);
}
