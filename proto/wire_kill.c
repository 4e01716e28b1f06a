/* SPDX-License-Identifier: Apache-2.0 */
/* Kills and postures: what an agent tells at once, apart from its samples. */
#include <errno.h>
#include <string.h>

#include "proto/wire.h"
#include "proto/wire_rules.h"

/* Growth is negative at times; nothing is larger than an address space in KiB. */
#define FIGURE_MAX (INT64_C(1) << 53)

static void figures_of(struct rules *r, const uint32_t *ids, size_t n_ids, const int64_t *values,
		       size_t n_values, int64_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = KILL_ABSENT;
	rules_demand(r, n_ids == n_values, "%zu figures but %zu values", n_ids, n_values);
	for (size_t i = 0; i < n_ids && !r->code; i++) {
		rules_demand(r, values[i] >= -FIGURE_MAX && values[i] <= FIGURE_MAX,
			     "figure %u is out of range", ids[i]);
		/* A newer agent may know more. */
		if (ids[i] < n)
			v[ids[i]] = values[i];
	}
}

static struct wire_party party_of(struct rules *r, const Memherd__KillParty *m)
{
	struct wire_party p = {.uid = -1, .comm = "", .service = "", .container = ""};

	figures_of(r, m ? m->figure : NULL, m ? m->n_figure : 0, m ? m->value : NULL,
		   m ? m->n_value : 0, p.v, KILL_FIGURE_COUNT);
	if (!m)
		return p;
	rules_demand(r, m->pid <= INT32_MAX, "'pid' of %u is out of range", m->pid);
	rules_demand(r, m->uid >= -1 && m->uid <= UINT32_MAX, "'uid' is out of range");
	p.pid = m->pid;
	p.start_ticks = rules_counter(r, m->start_ticks, "start_ticks");
	p.uid = m->uid;
	p.comm = rules_text(r, m->comm, WIRE_COMM_MAX, "comm");
	p.service = rules_text(r, m->service, WIRE_NAME_MAX, "service");
	p.container = rules_text(r, m->container, WIRE_NAME_MAX, "container");
	return p;
}

static struct wire_party *parties_of(struct rules *r, struct arena *a, Memherd__KillParty **from,
				     size_t n, const char *field)
{
	struct wire_party *to;

	rules_demand(r, n <= WIRE_MAX_PARTIES, "%zu '%s', %d are allowed", n, field,
		     WIRE_MAX_PARTIES);
	if (r->code)
		return NULL;
	to = arena_calloc(a, n, sizeof(*to));
	rules_memory(r, to);
	for (size_t i = 0; i < n && !r->code; i++)
		to[i] = party_of(r, from[i]);
	return to;
}

static const char **lines_of(struct rules *r, struct arena *a, char **from, size_t n,
			     const char *field)
{
	rules_demand(r, n <= WIRE_MAX_LINES, "%zu '%s', %d are allowed", n, field, WIRE_MAX_LINES);
	return rules_texts(r, a, from, n, WIRE_TEXT_MAX, field);
}

int wire_unpack_kill(struct arena *a, const uint8_t *data, size_t len, struct wire_kill *ret,
		     struct error *err)
{
	struct rules r = {"kill", err, 0};
	Memherd__Kill *m;

	r.code = rules_unpack(&memherd__kill__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_kill){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.seq = rules_counter(&r, m->seq, "seq"),
		.cause = (enum kill_cause)m->cause,
		.confidence = (enum kill_confidence)m->confidence,
		.complete = m->complete,
		.replayed = m->replayed,
		.victim = party_of(&r, m->victim),
		.trigger = party_of(&r, m->trigger),
		.victim_cgroup = rules_text(&r, m->victim_cgroup, WIRE_PATH_MAX, "victim_cgroup"),
		.limit_cgroup = rules_text(&r, m->limit_cgroup, WIRE_PATH_MAX, "limit_cgroup"),
		.limit_owner = rules_text(&r, m->limit_owner, WIRE_NAME_MAX, "limit_owner"),
		.tasks = parties_of(&r, a, m->tasks, m->n_tasks, "tasks"),
		.n_tasks = m->n_tasks,
		.tasks_total = m->tasks_total,
		.growers = parties_of(&r, a, m->growers, m->n_growers, "growers"),
		.n_growers = m->n_growers,
		.verdict = rules_text(&r, m->verdict, WIRE_TEXT_MAX, "verdict"),
		.advice = lines_of(&r, a, m->advice, m->n_advice, "advice"),
		.n_advice = m->n_advice,
		.evidence = lines_of(&r, a, m->evidence, m->n_evidence, "evidence"),
		.n_evidence = m->n_evidence,
		.ring_seconds = m->ring_seconds,
	};
	figures_of(&r, m->figure, m->n_figure, m->value, m->n_value, ret->v, KILL_TOTAL_COUNT);
	rules_blob(&r, m->boot_id, UUID_SIZE, UUID_SIZE, "boot_id");
	rules_demand(&r, kill_cause_word(m->cause), "unknown cause %u", m->cause);
	rules_demand(&r, kill_confidence_word(m->confidence), "unknown confidence %u",
		     m->confidence);
	if (!r.code)
		memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	return r.code;
}

static struct wire_finding finding_of(struct rules *r, const Memherd__Finding *m)
{
	rules_demand(r, wire_severity_word(m->severity), "unknown severity %u", m->severity);
	rules_demand(r, *m->code, "a finding without code");
	return (struct wire_finding){
		.code = rules_text(r, m->code, WIRE_CODE_MAX, "code"),
		.severity = (enum wire_severity)m->severity,
		.text = rules_text(r, m->text, WIRE_TEXT_MAX, "text"),
		.fix = rules_text(r, m->fix, WIRE_TEXT_MAX, "fix"),
	};
}

int wire_unpack_posture(struct arena *a, const uint8_t *data, size_t len, struct wire_posture *ret,
			struct error *err)
{
	struct rules r = {"posture", err, 0};
	Memherd__Posture *m;

	r.code = rules_unpack(&memherd__posture__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	rules_demand(&r, m->n_findings <= WIRE_MAX_FINDINGS, "%zu findings, %d are allowed",
		     m->n_findings, WIRE_MAX_FINDINGS);
	if (r.code)
		return r.code;
	*ret = (struct wire_posture){.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
				     .findings =
					     arena_calloc(a, m->n_findings, sizeof(*ret->findings)),
				     .n = m->n_findings};
	rules_memory(&r, ret->findings);
	for (size_t i = 0; i < m->n_findings && !r.code; i++)
		ret->findings[i] = finding_of(&r, m->findings[i]);
	return r.code;
}
