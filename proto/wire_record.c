/* SPDX-License-Identifier: Apache-2.0 */
/* What agents sample: a batch of records, each a tick, an event or a gap. Kills and postures are
 * wire_kill.c's. */
#include <errno.h>
#include <string.h>

#include "proto/wire.h"
#include "proto/wire_rules.h"

static uint32_t pid_of(struct rules *r, uint32_t pid, uint32_t min, const char *field)
{
	rules_demand(r, pid >= min && pid <= INT32_MAX, "'%s' of %u is out of range", field, pid);
	return pid;
}

static uint32_t id_of(struct rules *r, uint32_t id, const char *field)
{
	rules_demand(r, id < WIRE_MAX_PROCESSES, "'%s' of %u is not below %u", field, id,
		     WIRE_MAX_PROCESSES);
	return id;
}

static struct wire_rec record_of(struct rules *r, const Memherd__Record *m, uint64_t before)
{
	rules_demand(r, m->seq >= 1 && m->seq <= WIRE_SEQ_MAX, "'seq' of %llu is out of range",
		     (unsigned long long)m->seq);
	rules_demand(r, m->seq > before, "'seq' of %llu does not follow %llu",
		     (unsigned long long)m->seq, (unsigned long long)before);
	rules_demand(r, m->kind >= WIRE_TICK && m->kind <= WIRE_SNAPSHOT, "unknown record kind %u",
		     m->kind);
	return (struct wire_rec){
		.seq = m->seq,
		.kind = (enum wire_record)m->kind,
		.body = m->body.data,
		.len = m->body.len,
	};
}

int wire_unpack_batch(struct arena *a, const uint8_t *data, size_t len, struct wire_batch *ret,
		      struct error *err)
{
	struct rules r = {"batch", err, 0};
	Memherd__Batch *m;

	r.code = rules_unpack(&memherd__batch__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	rules_demand(&r, m->epoch, "epoch 0");
	rules_demand(&r, m->n_records >= 1 && m->n_records <= WIRE_MAX_RECORDS,
		     "%zu records, 1 to %d are allowed", m->n_records, WIRE_MAX_RECORDS);
	if (r.code)
		return r.code;
	*ret = (struct wire_batch){.epoch = m->epoch, .n = m->n_records};
	ret->records = arena_calloc(a, ret->n, sizeof(*ret->records));
	rules_memory(&r, ret->records);
	for (size_t i = 0; i < ret->n && !r.code; i++)
		ret->records[i] = record_of(&r, m->records[i], i ? ret->records[i - 1].seq : 0);
	return r.code;
}

static struct wire_process process_of(struct rules *r, const Memherd__ProcessInfo *m)
{
	struct wire_process p = {
		.id = id_of(r, m->id, "id"),
		.pid = pid_of(r, m->pid, 1, "pid"),
		.start_ticks = rules_counter(r, m->start_ticks, "start_ticks"),
		.ppid = pid_of(r, m->ppid, 0, "ppid"),
		.uid = m->uid,
		.fresh = m->fresh,
		.known = m->known,
		.role = (enum wire_role)m->role,
		.slot = m->slot,
		.cgroup_id = m->cgroup_id,
		.comm = rules_text(r, m->comm, WIRE_COMM_MAX, "comm"),
		.cmdline = rules_text(r, m->cmdline, WIRE_CMDLINE_MAX, "cmdline"),
		.exe = rules_text(r, m->exe, WIRE_PATH_MAX, "exe"),
		.cgroup = rules_text(r, m->cgroup, WIRE_PATH_MAX, "cgroup"),
		.service = rules_text(r, m->service, WIRE_NAME_MAX, "service"),
		.container = rules_text(r, m->container, WIRE_NAME_MAX, "container"),
	};

	rules_demand(r, wire_role_word(m->role), "unknown role %u", m->role);
	rules_demand(r, m->slot < WIRE_MAX_PROCESSES, "'slot' of %u is out of range", m->slot);
	rules_demand(r, m->cgroup_id <= WIRE_MAX_CGROUPS, "'cgroup_id' of %u is out of range",
		     m->cgroup_id);
	rules_demand(r,
		     !p.known || !(*p.comm || *p.cmdline || *p.exe || *p.cgroup || *p.service ||
				   *p.container),
		     "process %u is known and yet described", p.pid);
	return p;
}

static struct wire_cgroup cgroup_of(struct rules *r, const Memherd__CgroupInfo *m)
{
	rules_demand(r, m->id < WIRE_MAX_CGROUPS, "cgroup id %u is not below %d", m->id,
		     WIRE_MAX_CGROUPS);
	rules_demand(r, m->version == 1 || m->version == 2, "cgroup version %u", m->version);
	rules_demand(r, *m->path == '/', "a cgroup's path begins with '/'");
	return (struct wire_cgroup){
		.id = m->id,
		.version = m->version,
		.path = rules_text(r, m->path, WIRE_PATH_MAX, "path"),
		.name = rules_text(r, m->name, WIRE_NAME_MAX, "name"),
		.runtime = rules_text(r, m->runtime, WIRE_CODE_MAX, "runtime"),
		.image = rules_text(r, m->image, WIRE_NAME_MAX, "image"),
		.limited_by = rules_text(r, m->limited_by, WIRE_PATH_MAX, "limited_by"),
	};
}

static void cgroups_of(struct rules *r, struct arena *a, const Memherd__Tick *m,
		       struct wire_tick *ret)
{
	rules_demand(r, m->n_cgroups <= WIRE_MAX_CGROUPS, "%zu cgroups, %d are allowed",
		     m->n_cgroups, WIRE_MAX_CGROUPS);
	if (r->code)
		return;
	ret->cgroups = arena_calloc(a, m->n_cgroups, sizeof(*ret->cgroups));
	rules_memory(r, ret->cgroups);
	for (size_t i = 0; i < m->n_cgroups && !r->code; i++)
		ret->cgroups[i] = cgroup_of(r, m->cgroups[i]);
	for (size_t i = 0; i < m->n_cgroups_gone; i++)
		rules_demand(r, m->cgroups_gone[i] < WIRE_MAX_CGROUPS,
			     "cgroup id %u is not below %d", m->cgroups_gone[i], WIRE_MAX_CGROUPS);
	ret->n_cgroups = m->n_cgroups;
	ret->cgroups_gone = m->cgroups_gone;
	ret->n_cgroups_gone = m->n_cgroups_gone;
}

static struct wire_interpreter interpreter_of(struct rules *r, const Memherd__InterpreterInfo *m)
{
	rules_demand(r, m->id < WIRE_MAX_INTERPRETERS, "interpreter id %u is not below %d", m->id,
		     WIRE_MAX_INTERPRETERS);
	return (struct wire_interpreter){
		.id = m->id,
		.process = id_of(r, m->process, "process"),
		.number = rules_counter(r, m->number, "number"),
	};
}

static void interpreters_of(struct rules *r, struct arena *a, const Memherd__Tick *m,
			    struct wire_tick *ret)
{
	rules_demand(r, m->n_interpreters <= WIRE_MAX_INTERPRETERS,
		     "%zu interpreters, %d are allowed", m->n_interpreters, WIRE_MAX_INTERPRETERS);
	if (r->code)
		return;
	ret->interpreters = arena_calloc(a, m->n_interpreters, sizeof(*ret->interpreters));
	rules_memory(r, ret->interpreters);
	for (size_t i = 0; i < m->n_interpreters && !r->code; i++)
		ret->interpreters[i] = interpreter_of(r, m->interpreters[i]);
	for (size_t i = 0; i < m->n_interpreters_gone; i++)
		rules_demand(r, m->interpreters_gone[i] < WIRE_MAX_INTERPRETERS,
			     "interpreter id %u is not below %d", m->interpreters_gone[i],
			     WIRE_MAX_INTERPRETERS);
	ret->n_interpreters = m->n_interpreters;
	ret->interpreters_gone = m->interpreters_gone;
	ret->n_interpreters_gone = m->n_interpreters_gone;
}

static void born_of(struct rules *r, struct arena *a, const Memherd__Tick *m, struct wire_tick *ret)
{
	ret->born = arena_calloc(a, m->n_born, sizeof(*ret->born));
	rules_memory(r, ret->born);
	for (size_t i = 0; i < m->n_born && !r->code; i++)
		ret->born[i] = process_of(r, m->born[i]);
	ret->n_born = m->n_born;
}

/* Turns gaps into ids where they lie. */
static void ids_from_gaps(struct rules *r, uint32_t *v, size_t n)
{
	uint64_t id = 0;

	for (size_t i = 0; i < n && !r->code; i++) {
		rules_demand(r, i == 0 || v[i], "ids do not ascend");
		id += v[i];
		rules_demand(r, id < WIRE_MAX_PROCESSES, "id %llu is not below %u",
			     (unsigned long long)id, WIRE_MAX_PROCESSES);
		v[i] = (uint32_t)id;
	}
}

static void ids_ascend(struct rules *r, const uint32_t *v, size_t n, const char *field)
{
	for (size_t i = 0; i < n && !r->code; i++) {
		id_of(r, v[i], field);
		rules_demand(r, i == 0 || v[i] > v[i - 1], "'%s' does not ascend", field);
	}
}

/* Columns of one kind of object: metrics 0 .. n_metrics - 1. */
struct column_rules {
	unsigned n_metrics;
	const char *what;
};

static struct wire_column column_of(struct rules *r, Memherd__Column *c, const char *what)
{
	rules_demand(r, c->n_gap == c->n_delta, "%s metric %u: %zu ids but %zu values", what,
		     c->metric, c->n_gap, c->n_delta);
	ids_from_gaps(r, c->gap, c->n_gap);
	ids_ascend(r, c->lost, c->n_lost, "lost");
	return (struct wire_column){
		.metric = c->metric,
		.n = c->n_gap,
		.ids = c->gap,
		.deltas = c->delta,
		.n_lost = c->n_lost,
		.lost = c->lost,
	};
}

static struct wire_column *columns_of(struct rules *r, struct arena *a,
				      const struct column_rules *kind, Memherd__Column **from,
				      size_t n, size_t *ret_n)
{
	bool seen[METRIC_COUNT] = {false}; /* the longest list */
	struct wire_column *to = arena_calloc(a, MIN_OF(n, (size_t)kind->n_metrics), sizeof(*to));

	rules_memory(r, to);
	for (size_t i = 0; i < n && !r->code; i++) {
		unsigned metric = from[i]->metric;

		/* A newer agent may know more metrics than we do. */
		if (metric >= kind->n_metrics)
			continue;
		rules_demand(r, !seen[metric], "%s metric %u twice", kind->what, metric);
		if (r->code)
			break;
		seen[metric] = true;
		to[(*ret_n)++] = column_of(r, from[i], kind->what);
	}
	return to;
}

static void host_of(struct rules *r, Memherd__Tick *m, struct wire_tick *ret)
{
	bool seen[HOST_METRIC_COUNT] = {false};
	size_t n = 0;

	rules_demand(r, m->n_host_metric == m->n_host_delta, "%zu host metrics but %zu values",
		     m->n_host_metric, m->n_host_delta);
	for (size_t i = 0; i < m->n_host_metric && !r->code; i++) {
		uint32_t metric = m->host_metric[i];

		if (metric >= HOST_METRIC_COUNT)
			continue;
		rules_demand(r, !seen[metric], "host metric %u twice", metric);
		seen[metric] = true;
		m->host_metric[n] = metric;
		m->host_delta[n++] = m->host_delta[i];
	}
	ret->host_metrics = m->host_metric;
	ret->host_deltas = m->host_delta;
	ret->n_host = n;
}

int wire_unpack_tick(struct arena *a, const uint8_t *data, size_t len, struct wire_tick *ret,
		     struct error *err)
{
	static const struct column_rules processes = {METRIC_COUNT, "process"};
	static const struct column_rules cgroups = {CGROUP_METRIC_COUNT, "cgroup"};
	static const struct column_rules interpreters = {INTERPRETER_METRIC_COUNT, "interpreter"};
	struct rules r = {"tick", err, 0};
	Memherd__Tick *m;

	r.code = rules_unpack(&memherd__tick__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_tick){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.t_boot_us = (uint64_t)rules_wall(&r, (int64_t)m->t_boot_us, "t_boot_us"),
		.interval_ms = m->interval_ms,
		.keyframe = m->keyframe,
		.skipped = m->skipped,
		.exited = m->exited,
		.n_exited = m->n_exited,
	};
	rules_blob(&r, m->boot_id, m->keyframe ? UUID_SIZE : 0, m->keyframe ? UUID_SIZE : 0,
		   "boot_id");
	if (!r.code && m->keyframe)
		memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	for (size_t i = 0; i < m->n_exited; i++)
		id_of(&r, m->exited[i], "exited");
	born_of(&r, a, m, ret);
	cgroups_of(&r, a, m, ret);
	interpreters_of(&r, a, m, ret);
	if (r.code)
		return r.code;
	ret->columns = columns_of(&r, a, &processes, m->columns, m->n_columns, &ret->n_columns);
	ret->cgroup_columns = columns_of(&r, a, &cgroups, m->cgroup_columns, m->n_cgroup_columns,
					 &ret->n_cgroup_columns);
	ret->interpreter_columns =
		columns_of(&r, a, &interpreters, m->interpreter_columns, m->n_interpreter_columns,
			   &ret->n_interpreter_columns);
	host_of(&r, m, ret);
	return r.code;
}

int wire_unpack_event(struct arena *a, const uint8_t *data, size_t len, struct wire_event *ret,
		      struct error *err)
{
	struct rules r = {"event", err, 0};
	Memherd__Event *m;

	r.code = rules_unpack(&memherd__event__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_event){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.kind = (enum wire_event_kind)m->kind,
		.pid = pid_of(&r, m->pid, 0, "pid"),
		.start_ticks = rules_counter(&r, m->start_ticks, "start_ticks"),
		.text = rules_text(&r, m->text, WIRE_TEXT_MAX, "text"),
		.n_details = m->n_key,
	};
	rules_demand(&r, wire_event_word(m->kind), "unknown kind %u", m->kind);
	rules_demand(&r, m->n_key == m->n_value, "%zu keys but %zu values", m->n_key, m->n_value);
	rules_demand(&r, m->n_key <= WIRE_MAX_DETAILS, "%zu details, %d are allowed", m->n_key,
		     WIRE_MAX_DETAILS);
	ret->keys = rules_texts(&r, a, m->key, m->n_key, WIRE_NAME_MAX, "key");
	ret->values = rules_texts(&r, a, m->value, m->n_key, WIRE_TEXT_MAX, "value");
	rules_blob(&r, m->boot_id, m->boot_id.len ? UUID_SIZE : 0, UUID_SIZE, "boot_id");
	ret->has_boot_id = m->boot_id.len == UUID_SIZE;
	if (ret->has_boot_id)
		memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	return r.code;
}

int wire_unpack_gap(struct arena *a, const uint8_t *data, size_t len, struct wire_gap *ret,
		    struct error *err)
{
	struct rules r = {"gap", err, 0};
	Memherd__Gap *m;

	r.code = rules_unpack(&memherd__gap__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_gap){
		.to_seq = rules_counter(&r, m->to_seq, "to_seq"),
		.records = m->records,
		.bytes = rules_counter(&r, m->bytes, "bytes"),
		.reason = (enum wire_gap_reason)m->reason,
		.t_first_us = rules_wall(&r, m->t_first_us, "t_first_us"),
		.t_last_us = rules_wall(&r, m->t_last_us, "t_last_us"),
	};
	rules_demand(&r, m->to_seq, "'to_seq' is 0");
	rules_demand(&r, m->reason >= WIRE_GAP_SPOOL_FULL && m->reason <= WIRE_GAP_CORRUPT,
		     "unknown reason %u", m->reason);
	return r.code;
}
