/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cursor.h"
#include "common/str.h"
#include "gen/memherd.pb-c.h"

/* 9999-12-31: what PostgreSQL, RFC 3339 and people can still read. */
#define WALL_MAX_US      253402300799999999LL
#define SECRET_MAX       64
#define CSR_MAX          4096
#define PEM_MAX          16384
#define COMMAND_BODY_MAX 1024
#define UUID_SIZE        16
#define KEY_SIZE         32
#define SIGNATURE_SIZE   64

const char *wire_event_word(unsigned kind)
{
	static const char *const words[] = {
#define X(NAME, number, word) [number] = #word,
		WIRE_EVENT_LIST(X)
#undef X
	};

	return kind < ARRAY_SIZE(words) ? words[kind] : NULL;
}

/* ---- from bytes to protobuf-c's structs, inside the budget ---- */

struct heap {
	struct arena *arena;
	bool over_budget;
	bool out_of_memory;
};

static void *on_alloc(void *arg, size_t size)
{
	struct heap *h = arg;
	void *p = arena_alloc(h->arena, size);

	if (p)
		return p;
	if (size > h->arena->budget || h->arena->used > h->arena->budget - size)
		h->over_budget = true;
	else
		h->out_of_memory = true;
	return NULL;
}

static void on_free(void *arg unused_arg, void *p unused_arg)
{
	/* the arena goes as a whole */
}

/* The bytes of one field after its tag; the four wire types that proto3 has. */
static struct cursor field_bytes(struct cursor *c, unsigned wire_type)
{
	size_t len = 0;

	if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
		cursor_varint(c);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
		len = sizeof(uint64_t);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		len = cursor_varint(c);
	else
		len = sizeof(uint32_t);
	return cursor_of(cursor_bytes(c, len), c->bad ? 0 : len);
}

/* protobuf-c ends a string at its first NUL and forgets how long it was: what a peer hides behind
 * one would pass unseen. The bytes are known to be well-formed. */
static bool has_nul(const ProtobufCMessageDescriptor *type, struct cursor c)
{
	while (cursor_left(&c) && !c.bad) {
		uint64_t tag = cursor_varint(&c);
		struct cursor in = field_bytes(&c, tag & 7);
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));

		if (!f || !cursor_left(&in))
			continue;
		if (f->type == PROTOBUF_C_TYPE_STRING && memchr(in.p, '\0', cursor_left(&in)))
			return true;
		/* No message contains itself, so this ends. */
		if (f->type == PROTOBUF_C_TYPE_MESSAGE && has_nul(f->descriptor, in))
			return true;
	}
	return false;
}

/* what names the message in errors. */
static int unpack(const ProtobufCMessageDescriptor *type, const char *what, struct arena *a,
		  const uint8_t *data, size_t len, void *ret, struct error *err)
{
	struct heap heap = {.arena = a};
	ProtobufCAllocator alloc = {.alloc = on_alloc, .free = on_free, .allocator_data = &heap};
	ProtobufCMessage *m = protobuf_c_message_unpack(type, &alloc, len, data);

	if (m) {
		memcpy(ret, &m, sizeof(m));
		if (has_nul(type, cursor_of(data, len)))
			return error_set(err, -EBADMSG, "%s: a string holds a NUL", what);
		return 0;
	}
	if (heap.out_of_memory)
		return error_set(err, -ENOMEM, "%s: out of memory", what);
	if (heap.over_budget)
		return error_set(err, -EBADMSG, "%s: %zu bytes unpack to more than %zu", what, len,
				 a->budget);
	return error_set(err, -EBADMSG, "%s: not well-formed protobuf", what);
}

/* ---- validation: the first rule that is broken is the one that is told ---- */

struct rules {
	const char *what;
	struct error *err;
	int code;
};

static void demand(struct rules *r, bool holds, const char *fmt, ...) printf_like(3, 4);
static void demand(struct rules *r, bool holds, const char *fmt, ...)
{
	char why[200];
	va_list ap;

	if (holds || r->code)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r->code = error_set(r->err, -EBADMSG, "%s: %s", r->what, why);
}

static void demand_memory(struct rules *r, const void *p)
{
	if (!p && !r->code)
		r->code = error_set(r->err, -ENOMEM, "%s: out of memory", r->what);
}

static const char *text(struct rules *r, const char *s, size_t max, const char *field)
{
	size_t len = strlen(s);

	demand(r, len <= max, "'%s' has %zu bytes, %zu are allowed", field, len, max);
	if (len <= max)
		demand(r, str_is_safe(s, len), "'%s' is not printable UTF-8", field);
	return s;
}

static struct wire_blob blob(struct rules *r, ProtobufCBinaryData d, size_t min, size_t max,
			     const char *field)
{
	demand(r, d.len >= min && d.len <= max, "'%s' has %zu bytes, expected %zu to %zu", field,
	       d.len, min, max);
	return (struct wire_blob){.data = d.data, .len = d.len};
}

static int64_t wall(struct rules *r, int64_t us, const char *field)
{
	demand(r, us >= 0 && us <= WALL_MAX_US, "'%s' of %lld is no time", field, (long long)us);
	return us;
}

/* Counters end up in signed 64 bit columns. */
static uint64_t counter(struct rules *r, uint64_t v, const char *field)
{
	demand(r, v <= INT64_MAX, "'%s' of %llu is out of range", field, (unsigned long long)v);
	return v;
}

static uint32_t pid_of(struct rules *r, uint32_t pid, uint32_t min, const char *field)
{
	demand(r, pid >= min && pid <= INT32_MAX, "'%s' of %u is out of range", field, pid);
	return pid;
}

static uint32_t id_of(struct rules *r, uint32_t id, const char *field)
{
	demand(r, id < WIRE_MAX_PROCESSES, "'%s' of %u is not below %u", field, id,
	       WIRE_MAX_PROCESSES);
	return id;
}

/* ---- greetings ---- */

static struct wire_epoch *epochs_of(struct rules *r, struct arena *a, size_t n,
				    const uint64_t *epoch, const uint64_t *seq_min,
				    const uint64_t *seq_max)
{
	struct wire_epoch *e;

	demand(r, n <= WIRE_MAX_EPOCHS, "%zu epochs, %d are allowed", n, WIRE_MAX_EPOCHS);
	if (r->code)
		return NULL;
	e = arena_calloc(a, n, sizeof(*e));
	demand_memory(r, e);
	for (size_t i = 0; i < n && !r->code; i++) {
		e[i] = (struct wire_epoch){epoch[i], seq_min ? seq_min[i] : 0, seq_max[i]};
		demand(r, e[i].epoch, "epoch 0");
		counter(r, e[i].seq_max, "seq_max");
		demand(r, e[i].seq_min <= e[i].seq_max + 1, "'seq_min' is above 'seq_max'");
		for (size_t k = 0; k < i; k++)
			demand(r, e[k].epoch != e[i].epoch, "the same epoch twice");
	}
	return e;
}

int wire_unpack_hello(struct arena *a, const uint8_t *data, size_t len, struct wire_hello *ret,
		      struct error *err)
{
	struct rules r = {"hello", err, 0};
	Memherd__Hello *m;

	r.code = unpack(&memherd__hello__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_hello){
		.proto_min = m->proto_min,
		.proto_max = m->proto_max,
		.features = m->features,
		.version = text(&r, m->version, WIRE_NAME_MAX, "version"),
		.host_name = text(&r, m->host_name, WIRE_NAME_MAX, "host_name"),
		.kernel = text(&r, m->kernel, WIRE_NAME_MAX, "kernel"),
		.page_size = m->page_size,
		.clock_ticks = m->clock_ticks,
		.interval_ms = m->interval_ms,
		.cpus = m->cpus,
		.act = m->act,
		.t_wall_us = wall(&r, m->t_wall_us, "t_wall_us"),
		.t_boot_us = counter(&r, m->t_boot_us, "t_boot_us"),
		.n_epochs = m->n_epoch,
		.prev_epoch = m->prev_epoch,
		.prev_clean = m->prev_clean,
	};
	demand(&r, m->proto_min >= 1 && m->proto_min <= m->proto_max,
	       "protocols %u to %u are no range", m->proto_min, m->proto_max);
	demand(&r, m->page_size && m->clock_ticks && m->interval_ms,
	       "'page_size', 'clock_ticks' or 'interval_ms' is 0");
	blob(&r, m->boot_id, UUID_SIZE, UUID_SIZE, "boot_id");
	demand(&r, m->n_epoch >= 1, "no epoch");
	demand(&r, m->n_seq_min == m->n_epoch && m->n_seq_max == m->n_epoch,
	       "'epoch', 'seq_min' and 'seq_max' differ in number");
	ret->epochs = epochs_of(&r, a, m->n_epoch, m->epoch, m->seq_min, m->seq_max);
	if (!r.code)
		memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	return r.code;
}

int wire_unpack_hello_ack(struct arena *a, const uint8_t *data, size_t len,
			  struct wire_hello_ack *ret, struct error *err)
{
	struct rules r = {"hello_ack", err, 0};
	Memherd__HelloAck *m;

	r.code = unpack(&memherd__hello_ack__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_hello_ack){
		.proto = m->proto,
		.t_wall_us = wall(&r, m->t_wall_us, "t_wall_us"),
		.heartbeat_ms = m->heartbeat_ms,
		.max_frame = m->max_frame,
		.max_unacked_bytes = m->max_unacked_bytes,
		.max_unacked_batches = m->max_unacked_batches,
		.n_epochs = m->n_epoch,
	};
	demand(&r, m->proto && m->heartbeat_ms && m->max_frame,
	       "'proto', 'heartbeat_ms' or 'max_frame' is 0");
	demand(&r, m->n_last_seq == m->n_epoch, "'epoch' and 'last_seq' differ in number");
	ret->epochs = epochs_of(&r, a, m->n_epoch, m->epoch, NULL, m->last_seq);
	return r.code;
}

/* ---- records ---- */

static struct wire_rec record_of(struct rules *r, const Memherd__Record *m, uint64_t before)
{
	demand(r, m->seq >= 1 && m->seq <= WIRE_SEQ_MAX, "'seq' of %llu is out of range",
	       (unsigned long long)m->seq);
	demand(r, m->seq > before, "'seq' of %llu does not follow %llu", (unsigned long long)m->seq,
	       (unsigned long long)before);
	demand(r, m->kind >= WIRE_TICK && m->kind <= WIRE_GAP, "unknown record kind %u", m->kind);
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

	r.code = unpack(&memherd__batch__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	demand(&r, m->epoch, "epoch 0");
	demand(&r, m->n_records >= 1 && m->n_records <= WIRE_MAX_RECORDS,
	       "%zu records, 1 to %d are allowed", m->n_records, WIRE_MAX_RECORDS);
	if (r.code)
		return r.code;
	*ret = (struct wire_batch){.epoch = m->epoch, .n = m->n_records};
	ret->records = arena_calloc(a, ret->n, sizeof(*ret->records));
	demand_memory(&r, ret->records);
	for (size_t i = 0; i < ret->n && !r.code; i++)
		ret->records[i] = record_of(&r, m->records[i], i ? ret->records[i - 1].seq : 0);
	return r.code;
}

static struct wire_process process_of(struct rules *r, const Memherd__ProcessInfo *m)
{
	struct wire_process p = {
		.id = id_of(r, m->id, "id"),
		.pid = pid_of(r, m->pid, 1, "pid"),
		.start_ticks = counter(r, m->start_ticks, "start_ticks"),
		.ppid = pid_of(r, m->ppid, 0, "ppid"),
		.uid = m->uid,
		.fresh = m->fresh,
		.known = m->known,
		.comm = text(r, m->comm, WIRE_COMM_MAX, "comm"),
		.cmdline = text(r, m->cmdline, WIRE_CMDLINE_MAX, "cmdline"),
		.exe = text(r, m->exe, WIRE_PATH_MAX, "exe"),
		.cgroup = text(r, m->cgroup, WIRE_PATH_MAX, "cgroup"),
		.service = text(r, m->service, WIRE_NAME_MAX, "service"),
	};

	demand(r, !p.known || !(*p.comm || *p.cmdline || *p.exe || *p.cgroup || *p.service),
	       "process %u is known and yet described", p.pid);
	return p;
}

static void born_of(struct rules *r, struct arena *a, const Memherd__Tick *m, struct wire_tick *ret)
{
	ret->born = arena_calloc(a, m->n_born, sizeof(*ret->born));
	demand_memory(r, ret->born);
	for (size_t i = 0; i < m->n_born && !r->code; i++)
		ret->born[i] = process_of(r, m->born[i]);
	ret->n_born = m->n_born;
}

/* Turns gaps into ids where they lie. */
static void ids_from_gaps(struct rules *r, uint32_t *v, size_t n)
{
	uint64_t id = 0;

	for (size_t i = 0; i < n && !r->code; i++) {
		demand(r, i == 0 || v[i], "ids do not ascend");
		id += v[i];
		demand(r, id < WIRE_MAX_PROCESSES, "id %llu is not below %u",
		       (unsigned long long)id, WIRE_MAX_PROCESSES);
		v[i] = (uint32_t)id;
	}
}

static void ids_ascend(struct rules *r, const uint32_t *v, size_t n, const char *field)
{
	for (size_t i = 0; i < n && !r->code; i++) {
		id_of(r, v[i], field);
		demand(r, i == 0 || v[i] > v[i - 1], "'%s' does not ascend", field);
	}
}

static void columns_of(struct rules *r, struct arena *a, const Memherd__Tick *m,
		       struct wire_tick *ret)
{
	bool seen[METRIC_COUNT] = {false};

	ret->columns =
		arena_calloc(a, MIN_OF(m->n_columns, (size_t)METRIC_COUNT), sizeof(*ret->columns));
	demand_memory(r, ret->columns);
	for (size_t i = 0; i < m->n_columns && !r->code; i++) {
		const Memherd__Column *c = m->columns[i];

		/* A newer agent may know more metrics than we do. */
		if (c->metric >= METRIC_COUNT)
			continue;
		demand(r, !seen[c->metric], "metric %u twice", c->metric);
		demand(r, c->n_gap == c->n_delta, "metric %u: %zu ids but %zu values", c->metric,
		       c->n_gap, c->n_delta);
		ids_from_gaps(r, c->gap, c->n_gap);
		ids_ascend(r, c->lost, c->n_lost, "lost");
		if (r->code)
			return;
		seen[c->metric] = true;
		ret->columns[ret->n_columns++] = (struct wire_column){
			.metric = (enum metric)c->metric,
			.n = c->n_gap,
			.ids = c->gap,
			.deltas = c->delta,
			.n_lost = c->n_lost,
			.lost = c->lost,
		};
	}
}

static void host_of(struct rules *r, Memherd__Tick *m, struct wire_tick *ret)
{
	bool seen[HOST_METRIC_COUNT] = {false};
	size_t n = 0;

	demand(r, m->n_host_metric == m->n_host_delta, "%zu host metrics but %zu values",
	       m->n_host_metric, m->n_host_delta);
	for (size_t i = 0; i < m->n_host_metric && !r->code; i++) {
		uint32_t metric = m->host_metric[i];

		if (metric >= HOST_METRIC_COUNT)
			continue;
		demand(r, !seen[metric], "host metric %u twice", metric);
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
	struct rules r = {"tick", err, 0};
	Memherd__Tick *m;

	r.code = unpack(&memherd__tick__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_tick){
		.t_wall_us = wall(&r, m->t_wall_us, "t_wall_us"),
		.t_boot_us = counter(&r, m->t_boot_us, "t_boot_us"),
		.interval_ms = m->interval_ms,
		.keyframe = m->keyframe,
		.skipped = m->skipped,
		.exited = m->exited,
		.n_exited = m->n_exited,
	};
	blob(&r, m->boot_id, m->keyframe ? UUID_SIZE : 0, m->keyframe ? UUID_SIZE : 0, "boot_id");
	if (!r.code && m->keyframe)
		memcpy(ret->boot_id, m->boot_id.data, UUID_SIZE);
	for (size_t i = 0; i < m->n_exited; i++)
		id_of(&r, m->exited[i], "exited");
	born_of(&r, a, m, ret);
	columns_of(&r, a, m, ret);
	host_of(&r, m, ret);
	return r.code;
}

static const char **texts(struct rules *r, struct arena *a, char **from, size_t n, size_t max,
			  const char *field)
{
	const char **to;

	if (r->code)
		return NULL;
	to = arena_calloc(a, n, sizeof(*to));
	demand_memory(r, to);
	for (size_t i = 0; i < n && !r->code; i++)
		to[i] = text(r, from[i], max, field);
	return to;
}

int wire_unpack_event(struct arena *a, const uint8_t *data, size_t len, struct wire_event *ret,
		      struct error *err)
{
	struct rules r = {"event", err, 0};
	Memherd__Event *m;

	r.code = unpack(&memherd__event__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_event){
		.t_wall_us = wall(&r, m->t_wall_us, "t_wall_us"),
		.kind = (enum wire_event_kind)m->kind,
		.pid = pid_of(&r, m->pid, 0, "pid"),
		.start_ticks = counter(&r, m->start_ticks, "start_ticks"),
		.text = text(&r, m->text, WIRE_TEXT_MAX, "text"),
		.n_details = m->n_key,
	};
	demand(&r, wire_event_word(m->kind), "unknown kind %u", m->kind);
	demand(&r, m->n_key == m->n_value, "%zu keys but %zu values", m->n_key, m->n_value);
	demand(&r, m->n_key <= WIRE_MAX_DETAILS, "%zu details, %d are allowed", m->n_key,
	       WIRE_MAX_DETAILS);
	ret->keys = texts(&r, a, m->key, m->n_key, WIRE_NAME_MAX, "key");
	ret->values = texts(&r, a, m->value, m->n_key, WIRE_TEXT_MAX, "value");
	return r.code;
}

int wire_unpack_gap(struct arena *a, const uint8_t *data, size_t len, struct wire_gap *ret,
		    struct error *err)
{
	struct rules r = {"gap", err, 0};
	Memherd__Gap *m;

	r.code = unpack(&memherd__gap__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_gap){
		.to_seq = counter(&r, m->to_seq, "to_seq"),
		.records = m->records,
		.bytes = counter(&r, m->bytes, "bytes"),
		.reason = (enum wire_gap_reason)m->reason,
		.t_first_us = wall(&r, m->t_first_us, "t_first_us"),
		.t_last_us = wall(&r, m->t_last_us, "t_last_us"),
	};
	demand(&r, m->to_seq, "'to_seq' is 0");
	demand(&r, m->reason >= WIRE_GAP_SPOOL_FULL && m->reason <= WIRE_GAP_UNDECODABLE,
	       "unknown reason %u", m->reason);
	return r.code;
}

/* ---- the rest ---- */

int wire_unpack_ack(struct arena *a, const uint8_t *data, size_t len, struct wire_ack *ret,
		    struct error *err)
{
	struct rules r = {"ack", err, 0};
	Memherd__Ack *m;

	r.code = unpack(&memherd__ack__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_ack){.epoch = m->epoch, .seq = counter(&r, m->seq, "seq")};
	demand(&r, m->epoch, "epoch 0");
	return r.code;
}

int wire_unpack_heartbeat(struct arena *a, const uint8_t *data, size_t len,
			  struct wire_heartbeat *ret, struct error *err)
{
	struct rules r = {"heartbeat", err, 0};
	Memherd__Heartbeat *m;

	r.code = unpack(&memherd__heartbeat__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_heartbeat){
		.t_wall_us = wall(&r, m->t_wall_us, "t_wall_us"),
		.spool_records = m->spool_records,
		.spool_bytes = counter(&r, m->spool_bytes, "spool_bytes"),
		.rss_bytes = counter(&r, m->rss_bytes, "rss_bytes"),
		.cpu_us = counter(&r, m->cpu_us, "cpu_us"),
		.act = m->act,
	};
	return r.code;
}

int wire_unpack_command(struct arena *a, const uint8_t *data, size_t len, struct wire_command *ret,
			struct error *err)
{
	struct rules r = {"command", err, 0};
	Memherd__Command *m;

	r.code = unpack(&memherd__command__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_command){
		.body = blob(&r, m->body, 1, COMMAND_BODY_MAX, "body"),
		.signature = blob(&r, m->signature, 0, SIGNATURE_SIZE, "signature"),
	};
	demand(&r, !m->signature.len || m->signature.len == SIGNATURE_SIZE,
	       "'signature' has %zu bytes, expected %d", m->signature.len, SIGNATURE_SIZE);
	return r.code;
}

int wire_unpack_goaway(struct arena *a, const uint8_t *data, size_t len, struct wire_goaway *ret,
		       struct error *err)
{
	struct rules r = {"goaway", err, 0};
	Memherd__GoAway *m;

	r.code = unpack(&memherd__go_away__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_goaway){
		.reason = (enum wire_goaway_reason)m->reason,
		.retry_min_ms = m->retry_min_ms,
		.retry_max_ms = m->retry_max_ms,
		.text = text(&r, m->text, WIRE_TEXT_MAX, "text"),
	};
	demand(&r, m->reason >= WIRE_GOAWAY_SHUTDOWN && m->reason <= WIRE_GOAWAY_DUPLICATE,
	       "unknown reason %u", m->reason);
	demand(&r, m->retry_min_ms <= m->retry_max_ms, "'retry_min_ms' is above 'retry_max_ms'");
	return r.code;
}

int wire_unpack_enroll(struct arena *a, const uint8_t *data, size_t len, struct wire_enroll *ret,
		       struct error *err)
{
	struct rules r = {"enroll", err, 0};
	Memherd__Enroll *m;

	r.code = unpack(&memherd__enroll__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_enroll){
		.secret = blob(&r, m->secret, 1, SECRET_MAX, "secret"),
		.csr = blob(&r, m->csr, 1, CSR_MAX, "csr"),
		.host_name = text(&r, m->host_name, WIRE_NAME_MAX, "host_name"),
		.version = text(&r, m->version, WIRE_NAME_MAX, "version"),
	};
	return r.code;
}

int wire_unpack_enroll_reply(struct arena *a, const uint8_t *data, size_t len,
			     struct wire_enroll_reply *ret, struct error *err)
{
	struct rules r = {"enroll_reply", err, 0};
	Memherd__EnrollReply *m;
	bool given;

	r.code = unpack(&memherd__enroll_reply__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	/* A refusal carries its reason and nothing else. */
	given = !*m->error;
	*ret = (struct wire_enroll_reply){
		.error = text(&r, m->error, WIRE_TEXT_MAX, "error"),
		.host_uuid = blob(&r, m->host_uuid, given ? UUID_SIZE : 0, UUID_SIZE, "host_uuid"),
		.certificate = blob(&r, m->certificate, given, PEM_MAX, "certificate"),
		.ca = blob(&r, m->ca, given, PEM_MAX, "ca"),
		.command_key =
			blob(&r, m->command_key, given ? KEY_SIZE : 0, KEY_SIZE, "command_key"),
		.stream_port = m->stream_port,
	};
	demand(&r, m->stream_port <= UINT16_MAX, "'stream_port' of %u is out of range",
	       m->stream_port);
	return r.code;
}
