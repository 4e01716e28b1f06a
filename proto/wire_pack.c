/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing is by hand, straight into the buf: protobuf-c would want every tick copied into a
 * tree of its own structs first. Fields go out in ascending order and defaults are left out, so
 * the bytes are those that protobuf-c would write; proto/golden holds them to that.
 */
#include <string.h>

#include "proto/wire.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2 };

static void put_tag(struct buf *b, unsigned field, unsigned type)
{
	buf_varint(b, field << 3 | type);
}

static size_t varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void put_uint(struct buf *b, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_tag(b, field, VARINT);
	buf_varint(b, v);
}

static void put_sint(struct buf *b, unsigned field, int64_t v)
{
	if (!v)
		return;
	put_tag(b, field, VARINT);
	buf_zigzag(b, v);
}

static void put_fixed64(struct buf *b, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_tag(b, field, FIXED64);
	buf_le64(b, v);
}

/* Also when empty: an element of a repeated field. */
static void put_element(struct buf *b, unsigned field, const void *data, size_t len)
{
	put_tag(b, field, BYTES);
	buf_varint(b, len);
	buf_put(b, data, len);
}

static void put_bytes(struct buf *b, unsigned field, const void *data, size_t len)
{
	if (len)
		put_element(b, field, data, len);
}

static void put_string(struct buf *b, unsigned field, const char *s)
{
	if (s)
		put_bytes(b, field, s, strlen(s));
}

/* The length of what follows is only known at its end: one byte is kept for it. */
static size_t sub_begin(struct buf *b, unsigned field)
{
	put_tag(b, field, BYTES);
	buf_u8(b, 0);
	return b->len;
}

static void sub_end(struct buf *b, size_t at)
{
	size_t len = b->len - at;
	size_t more = varint_size(len) - 1;
	uint8_t *p;

	if (b->failed || !buf_reserve(b, more))
		return;
	p = b->data + at - 1;
	memmove(p + 1 + more, p + 1, len);
	b->len += more;
	b->data[b->len] = '\0';
	for (size_t left = len; more; more--, left >>= 7, len = left)
		*p++ = (uint8_t)(left | 0x80);
	*p = (uint8_t)len;
}

static void put_epochs(struct buf *b, unsigned field, const struct wire_epoch *e, size_t n,
		       size_t member)
{
	size_t at;

	if (!n)
		return;
	at = sub_begin(b, field);
	for (size_t i = 0; i < n; i++) {
		uint64_t v;

		memcpy(&v, (const char *)&e[i] + member, sizeof(v));
		buf_varint(b, v);
	}
	sub_end(b, at);
}

static void put_u32s(struct buf *b, unsigned field, const uint32_t *v, size_t n)
{
	size_t at;

	if (!n)
		return;
	at = sub_begin(b, field);
	for (size_t i = 0; i < n; i++)
		buf_varint(b, v[i]);
	sub_end(b, at);
}

static void put_gaps(struct buf *b, unsigned field, const uint32_t *ids, size_t n)
{
	uint32_t before = 0;
	size_t at;

	if (!n)
		return;
	at = sub_begin(b, field);
	for (size_t i = 0; i < n; i++) {
		buf_varint(b, ids[i] - before);
		before = ids[i];
	}
	sub_end(b, at);
}

static void put_sints(struct buf *b, unsigned field, const int64_t *v, size_t n)
{
	size_t at;

	if (!n)
		return;
	at = sub_begin(b, field);
	for (size_t i = 0; i < n; i++)
		buf_zigzag(b, v[i]);
	sub_end(b, at);
}

void wire_pack_hello(struct buf *b, const struct wire_hello *m)
{
	put_uint(b, 1, m->proto_min);
	put_uint(b, 2, m->proto_max);
	put_uint(b, 3, m->features);
	put_string(b, 4, m->version);
	put_string(b, 5, m->host_name);
	put_bytes(b, 6, m->boot_id, sizeof(m->boot_id));
	put_string(b, 7, m->kernel);
	put_uint(b, 8, m->page_size);
	put_uint(b, 9, m->clock_ticks);
	put_uint(b, 10, m->interval_ms);
	put_sint(b, 11, m->t_wall_us);
	put_uint(b, 12, m->t_boot_us);
	put_uint(b, 13, m->cpus);
	put_uint(b, 14, m->act);
	put_epochs(b, 15, m->epochs, m->n_epochs, offsetof(struct wire_epoch, epoch));
	put_epochs(b, 16, m->epochs, m->n_epochs, offsetof(struct wire_epoch, seq_min));
	put_epochs(b, 17, m->epochs, m->n_epochs, offsetof(struct wire_epoch, seq_max));
	put_uint(b, 18, m->prev_epoch);
	put_uint(b, 19, m->prev_clean);
	put_uint(b, 20, m->prev_urgent_epoch);
}

void wire_pack_hello_ack(struct buf *b, const struct wire_hello_ack *m)
{
	put_uint(b, 1, m->proto);
	put_sint(b, 2, m->t_wall_us);
	put_uint(b, 3, m->heartbeat_ms);
	put_uint(b, 4, m->max_frame);
	put_uint(b, 5, m->max_unacked_bytes);
	put_uint(b, 6, m->max_unacked_batches);
	put_epochs(b, 7, m->epochs, m->n_epochs, offsetof(struct wire_epoch, epoch));
	put_epochs(b, 8, m->epochs, m->n_epochs, offsetof(struct wire_epoch, seq_max));
}

void wire_batch_begin(struct buf *b, uint64_t epoch)
{
	put_fixed64(b, 1, epoch);
}

/* What a Record takes without its own tag and length. */
static size_t record_size(uint64_t seq, size_t len)
{
	return 1 + varint_size(seq) + 2 + (len ? 1 + varint_size(len) + len : 0);
}

size_t wire_batch_cost(uint64_t seq, size_t len)
{
	size_t size = record_size(seq, len);

	return 1 + varint_size(size) + size;
}

void wire_batch_add(struct buf *b, uint64_t seq, enum wire_record kind, const void *body,
		    size_t len)
{
	assert(seq > 0);
	put_tag(b, 2, BYTES);
	buf_varint(b, record_size(seq, len));
	put_uint(b, 1, seq);
	put_uint(b, 2, kind);
	put_bytes(b, 3, body, len);
}

void wire_pack_batch(struct buf *b, const struct wire_batch *m)
{
	wire_batch_begin(b, m->epoch);
	for (size_t i = 0; i < m->n; i++)
		wire_batch_add(b, m->records[i].seq, m->records[i].kind, m->records[i].body,
			       m->records[i].len);
}

void wire_pack_ack(struct buf *b, const struct wire_ack *m)
{
	put_fixed64(b, 1, m->epoch);
	put_uint(b, 2, m->seq);
}

void wire_pack_heartbeat(struct buf *b, const struct wire_heartbeat *m)
{
	put_sint(b, 1, m->t_wall_us);
	put_uint(b, 2, m->spool_records);
	put_uint(b, 3, m->spool_bytes);
	put_uint(b, 4, m->rss_bytes);
	put_uint(b, 5, m->cpu_us);
	put_uint(b, 6, m->act);
	put_uint(b, 7, m->leaving);
}

void wire_pack_command(struct buf *b, const struct wire_command *m)
{
	put_bytes(b, 1, m->body.data, m->body.len);
	put_bytes(b, 2, m->signature.data, m->signature.len);
	put_bytes(b, 4, m->warrant.data, m->warrant.len);
}

void wire_pack_command_result(struct buf *b, const struct wire_command_result *m)
{
	put_bytes(b, 1, m->body.data, m->body.len);
	put_bytes(b, 3, m->journal.data, m->journal.len);
}

void wire_pack_goaway(struct buf *b, const struct wire_goaway *m)
{
	put_uint(b, 1, m->reason);
	put_uint(b, 2, m->retry_min_ms);
	put_uint(b, 3, m->retry_max_ms);
	put_string(b, 4, m->text);
}

void wire_pack_enroll(struct buf *b, const struct wire_enroll *m)
{
	put_bytes(b, 1, m->secret.data, m->secret.len);
	put_bytes(b, 2, m->csr.data, m->csr.len);
	put_string(b, 3, m->host_name);
	put_string(b, 4, m->version);
}

void wire_pack_enroll_reply(struct buf *b, const struct wire_enroll_reply *m)
{
	put_string(b, 1, m->error);
	put_bytes(b, 2, m->host_uuid.data, m->host_uuid.len);
	put_bytes(b, 3, m->certificate.data, m->certificate.len);
	put_bytes(b, 4, m->ca.data, m->ca.len);
	put_bytes(b, 5, m->command_key.data, m->command_key.len);
	put_uint(b, 6, m->stream_port);
}

static void put_process(struct buf *b, const struct wire_process *p)
{
	size_t at = sub_begin(b, 5);

	put_uint(b, 1, p->id);
	put_uint(b, 2, p->pid);
	put_uint(b, 3, p->start_ticks);
	put_uint(b, 4, p->ppid);
	put_uint(b, 5, p->uid);
	if (!p->known) {
		put_string(b, 6, p->comm);
		put_string(b, 7, p->cmdline);
		put_string(b, 8, p->exe);
		put_string(b, 9, p->cgroup);
		put_string(b, 10, p->service);
	}
	put_uint(b, 11, p->fresh);
	put_uint(b, 12, p->known);
	if (!p->known)
		put_string(b, 13, p->container);
	put_uint(b, 14, p->role);
	put_uint(b, 15, p->slot);
	put_uint(b, 16, p->cgroup_id);
	sub_end(b, at);
}

static void put_cgroup(struct buf *b, const struct wire_cgroup *c)
{
	size_t at = sub_begin(b, 12);

	put_uint(b, 1, c->id);
	put_string(b, 2, c->path);
	put_string(b, 3, c->name);
	put_string(b, 4, c->runtime);
	put_string(b, 5, c->image);
	put_string(b, 6, c->limited_by);
	put_uint(b, 7, c->version);
	sub_end(b, at);
}

static void put_interpreter(struct buf *b, const struct wire_interpreter *i)
{
	size_t at = sub_begin(b, 15);

	put_uint(b, 1, i->id);
	put_uint(b, 2, i->process);
	put_uint(b, 3, i->number);
	sub_end(b, at);
}

static void put_column(struct buf *b, unsigned field, const struct wire_column *c)
{
	size_t at = sub_begin(b, field);

	put_uint(b, 1, c->metric);
	put_gaps(b, 2, c->ids, c->n);
	put_sints(b, 3, c->deltas, c->n);
	put_u32s(b, 4, c->lost, c->n_lost);
	sub_end(b, at);
}

void wire_pack_tick(struct buf *b, const struct wire_tick *m)
{
	put_sint(b, 1, m->t_wall_us);
	put_uint(b, 2, m->t_boot_us);
	put_uint(b, 3, m->interval_ms);
	put_uint(b, 4, m->keyframe);
	for (size_t i = 0; i < m->n_born; i++)
		put_process(b, &m->born[i]);
	put_u32s(b, 6, m->exited, m->n_exited);
	for (size_t i = 0; i < m->n_columns; i++)
		put_column(b, 7, &m->columns[i]);
	put_u32s(b, 8, m->host_metrics, m->n_host);
	put_sints(b, 9, m->host_deltas, m->n_host);
	put_uint(b, 10, m->skipped);
	if (m->keyframe)
		put_bytes(b, 11, m->boot_id, sizeof(m->boot_id));
	for (size_t i = 0; i < m->n_cgroups; i++)
		put_cgroup(b, &m->cgroups[i]);
	put_u32s(b, 13, m->cgroups_gone, m->n_cgroups_gone);
	for (size_t i = 0; i < m->n_cgroup_columns; i++)
		put_column(b, 14, &m->cgroup_columns[i]);
	for (size_t i = 0; i < m->n_interpreters; i++)
		put_interpreter(b, &m->interpreters[i]);
	put_u32s(b, 16, m->interpreters_gone, m->n_interpreters_gone);
	for (size_t i = 0; i < m->n_interpreter_columns; i++)
		put_column(b, 17, &m->interpreter_columns[i]);
}

void wire_pack_event(struct buf *b, const struct wire_event *m)
{
	put_sint(b, 1, m->t_wall_us);
	put_uint(b, 2, m->kind);
	put_uint(b, 3, m->pid);
	put_uint(b, 4, m->start_ticks);
	put_string(b, 5, m->text);
	for (size_t i = 0; i < m->n_details; i++)
		put_element(b, 6, m->keys[i], strlen(m->keys[i]));
	for (size_t i = 0; i < m->n_details; i++)
		put_element(b, 7, m->values[i], strlen(m->values[i]));
	if (m->has_boot_id)
		put_bytes(b, 8, m->boot_id, sizeof(m->boot_id));
}

/* The figures that were had, as pairs: KILL_ABSENT and HEAP_ABSENT are one value. */
static void put_figures(struct buf *b, unsigned field, const int64_t *v, uint32_t n)
{
	uint32_t ids[MAX_OF(MAX_OF((int)KILL_FIGURE_COUNT, (int)KILL_TOTAL_COUNT),
			    (int)HEAP_PART_COUNT)];
	int64_t had[ARRAY_SIZE(ids)];
	size_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (v[i] == KILL_ABSENT)
			continue;
		ids[count] = i;
		had[count++] = v[i];
	}
	put_u32s(b, field, ids, count);
	put_sints(b, field + 1, had, count);
}

static void put_party(struct buf *b, unsigned field, const struct wire_party *p)
{
	size_t at = sub_begin(b, field);

	put_uint(b, 1, p->pid);
	put_uint(b, 2, p->start_ticks);
	put_sint(b, 3, p->uid);
	put_string(b, 4, p->comm);
	put_string(b, 5, p->service);
	put_string(b, 6, p->container);
	put_figures(b, 7, p->v, KILL_FIGURE_COUNT);
	sub_end(b, at);
}

void wire_pack_kill(struct buf *b, const struct wire_kill *m)
{
	put_sint(b, 1, m->t_wall_us);
	put_bytes(b, 2, m->boot_id, sizeof(m->boot_id));
	put_uint(b, 3, m->seq);
	put_uint(b, 4, m->cause);
	put_uint(b, 5, m->confidence);
	put_uint(b, 6, m->complete);
	put_party(b, 7, &m->victim);
	put_party(b, 8, &m->trigger);
	put_string(b, 9, m->victim_cgroup);
	put_string(b, 10, m->limit_cgroup);
	put_string(b, 11, m->limit_owner);
	for (size_t i = 0; i < m->n_tasks; i++)
		put_party(b, 12, &m->tasks[i]);
	put_uint(b, 13, m->tasks_total);
	for (size_t i = 0; i < m->n_growers; i++)
		put_party(b, 14, &m->growers[i]);
	put_figures(b, 15, m->v, KILL_TOTAL_COUNT);
	put_string(b, 17, m->verdict);
	for (size_t i = 0; i < m->n_advice; i++)
		put_element(b, 18, m->advice[i], strlen(m->advice[i]));
	for (size_t i = 0; i < m->n_evidence; i++)
		put_element(b, 19, m->evidence[i], strlen(m->evidence[i]));
	put_uint(b, 20, m->ring_seconds);
	put_uint(b, 21, m->replayed);
}

void wire_pack_posture(struct buf *b, const struct wire_posture *m)
{
	put_sint(b, 1, m->t_wall_us);
	for (size_t i = 0; i < m->n; i++) {
		size_t at = sub_begin(b, 2);

		put_string(b, 1, m->findings[i].code);
		put_uint(b, 2, m->findings[i].severity);
		put_string(b, 3, m->findings[i].text);
		put_string(b, 4, m->findings[i].fix);
		sub_end(b, at);
	}
}

void wire_pack_census(struct buf *b, const struct wire_census *m)
{
	put_sint(b, 1, m->t_wall_us);
	put_bytes(b, 2, m->boot_id, sizeof(m->boot_id));
	put_uint(b, 3, m->pid);
	put_uint(b, 4, m->start_ticks);
	put_uint(b, 5, m->method);
	put_uint(b, 6, m->reason);
	if (m->has_command)
		put_bytes(b, 7, m->command_id, sizeof(m->command_id));
	put_uint(b, 8, m->version);
	put_uint(b, 9, m->interpreters);
	put_uint(b, 10, m->pause_us);
	put_uint(b, 11, m->walk_us);
	put_uint(b, 12, m->objects);
	put_uint(b, 13, m->bytes);
	put_uint(b, 14, m->types_total);
	put_uint(b, 15, m->error_per_10000);
	for (size_t i = 0; i < m->n_types; i++) {
		size_t at = sub_begin(b, 16);

		put_string(b, 1, m->types[i].name);
		put_uint(b, 2, m->types[i].count);
		put_uint(b, 3, m->types[i].bytes);
		sub_end(b, at);
	}
	put_figures(b, 17, m->parts, HEAP_PART_COUNT);
	put_string(b, 19, m->note);
}

void wire_pack_snapshot(struct buf *b, const struct wire_snapshot *m)
{
	const struct snapshot_layout *layout = snapshot_layout(m->kind);
	size_t n_values = layout ? snapshot_names(layout->values) : 0;

	put_sint(b, 1, m->t_wall_us);
	put_bytes(b, 2, m->boot_id, sizeof(m->boot_id));
	put_uint(b, 3, m->pid);
	put_uint(b, 4, m->start_ticks);
	put_uint(b, 5, m->kind);
	put_uint(b, 6, m->reason);
	if (m->has_command)
		put_bytes(b, 7, m->command_id, sizeof(m->command_id));
	put_string(b, 8, m->subject);
	put_sints(b, 9, m->totals, layout ? snapshot_names(layout->totals) : 0);
	for (size_t i = 0; i < m->n_rows; i++) {
		size_t at = sub_begin(b, 10);

		put_string(b, 1, m->rows[i].name);
		put_string(b, 2, m->rows[i].about);
		put_sints(b, 3, m->rows[i].values, n_values);
		sub_end(b, at);
	}
	put_string(b, 11, m->note);
}

void wire_pack_gap(struct buf *b, const struct wire_gap *m)
{
	put_uint(b, 1, m->to_seq);
	put_uint(b, 2, m->records);
	put_uint(b, 3, m->bytes);
	put_uint(b, 4, m->reason);
	put_sint(b, 5, m->t_first_us);
	put_sint(b, 6, m->t_last_us);
}
