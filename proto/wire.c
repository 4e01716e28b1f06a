/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"
#include "proto/command.h"
#include "proto/wire_rules.h"

#define SECRET_MAX       64
#define CSR_MAX          4096
#define PEM_MAX          16384
#define COMMAND_BODY_MAX 1024
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

const char *wire_role_word(unsigned role)
{
	static const char *const words[] = {"", "master", "worker"};

	return role < ARRAY_SIZE(words) ? words[role] : NULL;
}

const char *wire_severity_word(unsigned severity)
{
	static const char *const words[] = {"info", "warn", "bad"};

	return severity < ARRAY_SIZE(words) ? words[severity] : NULL;
}

/* ---- greetings ---- */

static struct wire_epoch *epochs_of(struct rules *r, struct arena *a, size_t n,
				    const uint64_t *epoch, const uint64_t *seq_min,
				    const uint64_t *seq_max)
{
	struct wire_epoch *e;

	rules_demand(r, n <= WIRE_MAX_EPOCHS, "%zu epochs, %d are allowed", n, WIRE_MAX_EPOCHS);
	if (r->code)
		return NULL;
	e = arena_calloc(a, n, sizeof(*e));
	rules_memory(r, e);
	for (size_t i = 0; i < n && !r->code; i++) {
		e[i] = (struct wire_epoch){epoch[i], seq_min ? seq_min[i] : 0, seq_max[i]};
		rules_demand(r, e[i].epoch, "epoch 0");
		rules_counter(r, e[i].seq_max, "seq_max");
		rules_demand(r, e[i].seq_min <= e[i].seq_max + 1, "'seq_min' is above 'seq_max'");
		for (size_t k = 0; k < i; k++)
			rules_demand(r, e[k].epoch != e[i].epoch, "the same epoch twice");
	}
	return e;
}

int wire_unpack_hello(struct arena *a, const uint8_t *data, size_t len, struct wire_hello *ret,
		      struct error *err)
{
	struct rules r = {"hello", err, 0};
	Memherd__Hello *m;

	r.code = rules_unpack(&memherd__hello__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_hello){
		.proto_min = m->proto_min,
		.proto_max = m->proto_max,
		.features = m->features,
		.version = rules_text(&r, m->version, WIRE_NAME_MAX, "version"),
		.host_name = rules_text(&r, m->host_name, WIRE_NAME_MAX, "host_name"),
		.kernel = rules_text(&r, m->kernel, WIRE_NAME_MAX, "kernel"),
		.page_size = m->page_size,
		.clock_ticks = m->clock_ticks,
		.interval_ms = m->interval_ms,
		.cpus = m->cpus,
		.act = m->act,
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.t_boot_us = (uint64_t)rules_wall(&r, (int64_t)m->t_boot_us, "t_boot_us"),
		.n_epochs = m->n_epoch,
		.prev_epoch = m->prev_epoch,
		.prev_urgent_epoch = m->prev_urgent_epoch,
		.prev_clean = m->prev_clean,
	};
	rules_demand(&r, m->proto_min >= 1 && m->proto_min <= m->proto_max,
		     "protocols %u to %u are no range", m->proto_min, m->proto_max);
	rules_demand(&r, m->page_size && m->clock_ticks && m->interval_ms,
		     "'page_size', 'clock_ticks' or 'interval_ms' is 0");
	rules_blob(&r, m->boot_id, UUID_SIZE, UUID_SIZE, "boot_id");
	rules_demand(&r, m->n_epoch >= 1, "no epoch");
	rules_demand(&r, m->n_seq_min == m->n_epoch && m->n_seq_max == m->n_epoch,
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

	r.code = rules_unpack(&memherd__hello_ack__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_hello_ack){
		.proto = m->proto,
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.heartbeat_ms = m->heartbeat_ms,
		.max_frame = m->max_frame,
		.max_unacked_bytes = m->max_unacked_bytes,
		.max_unacked_batches = m->max_unacked_batches,
		.n_epochs = m->n_epoch,
	};
	rules_demand(&r, m->proto && m->heartbeat_ms && m->max_frame,
		     "'proto', 'heartbeat_ms' or 'max_frame' is 0");
	rules_demand(&r, m->n_last_seq == m->n_epoch, "'epoch' and 'last_seq' differ in number");
	ret->epochs = epochs_of(&r, a, m->n_epoch, m->epoch, NULL, m->last_seq);
	return r.code;
}

/* ---- the stream ---- */

int wire_unpack_ack(struct arena *a, const uint8_t *data, size_t len, struct wire_ack *ret,
		    struct error *err)
{
	struct rules r = {"ack", err, 0};
	Memherd__Ack *m;

	r.code = rules_unpack(&memherd__ack__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_ack){.epoch = m->epoch, .seq = rules_counter(&r, m->seq, "seq")};
	rules_demand(&r, m->epoch, "epoch 0");
	return r.code;
}

int wire_unpack_heartbeat(struct arena *a, const uint8_t *data, size_t len,
			  struct wire_heartbeat *ret, struct error *err)
{
	struct rules r = {"heartbeat", err, 0};
	Memherd__Heartbeat *m;

	r.code = rules_unpack(&memherd__heartbeat__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_heartbeat){
		.t_wall_us = rules_wall(&r, m->t_wall_us, "t_wall_us"),
		.spool_records = m->spool_records,
		.spool_bytes = rules_counter(&r, m->spool_bytes, "spool_bytes"),
		.rss_bytes = rules_counter(&r, m->rss_bytes, "rss_bytes"),
		.cpu_us = rules_counter(&r, m->cpu_us, "cpu_us"),
		.act = m->act,
		.leaving = m->leaving,
	};
	return r.code;
}

int wire_unpack_command(struct arena *a, const uint8_t *data, size_t len, struct wire_command *ret,
			struct error *err)
{
	struct rules r = {"command", err, 0};
	Memherd__Command *m;

	r.code = rules_unpack(&memherd__command__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_command){
		.body = rules_blob(&r, m->body, 1, COMMAND_BODY_MAX, "body"),
		.signature = rules_blob(&r, m->signature, 0, SIGNATURE_SIZE, "signature"),
		.warrant = rules_blob(&r, m->warrant, 0, sizeof(struct command_warrant), "warrant"),
	};
	rules_demand(&r, !m->warrant.len || m->warrant.len == sizeof(struct command_warrant),
		     "'warrant' has %zu bytes, expected %zu", m->warrant.len,
		     sizeof(struct command_warrant));
	rules_demand(&r, !m->signature.len || m->signature.len == SIGNATURE_SIZE,
		     "'signature' has %zu bytes, expected %d", m->signature.len, SIGNATURE_SIZE);
	return r.code;
}

int wire_unpack_command_result(struct arena *a, const uint8_t *data, size_t len,
			       struct wire_command_result *ret, struct error *err)
{
	struct rules r = {"command_result", err, 0};
	Memherd__CommandResult *m;

	r.code = rules_unpack(&memherd__command_result__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_command_result){
		.body = rules_blob(&r, m->body, 1, COMMAND_BODY_MAX, "body"),
		.journal = rules_blob(&r, m->journal, 0, COMMAND_SPAN_SIZE, "journal"),
	};
	rules_demand(&r, !m->journal.len || m->journal.len == COMMAND_SPAN_SIZE,
		     "'journal' has %zu bytes, expected %d", m->journal.len, COMMAND_SPAN_SIZE);
	return r.code;
}

int wire_unpack_goaway(struct arena *a, const uint8_t *data, size_t len, struct wire_goaway *ret,
		       struct error *err)
{
	struct rules r = {"goaway", err, 0};
	Memherd__GoAway *m;

	r.code = rules_unpack(&memherd__go_away__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_goaway){
		.reason = (enum wire_goaway_reason)m->reason,
		.retry_min_ms = m->retry_min_ms,
		.retry_max_ms = m->retry_max_ms,
		.text = rules_text(&r, m->text, WIRE_TEXT_MAX, "text"),
	};
	rules_demand(&r, m->reason >= WIRE_GOAWAY_SHUTDOWN && m->reason <= WIRE_GOAWAY_DUPLICATE,
		     "unknown reason %u", m->reason);
	rules_demand(&r, m->retry_min_ms <= m->retry_max_ms,
		     "'retry_min_ms' is above 'retry_max_ms'");
	return r.code;
}

int wire_unpack_enroll(struct arena *a, const uint8_t *data, size_t len, struct wire_enroll *ret,
		       struct error *err)
{
	struct rules r = {"enroll", err, 0};
	Memherd__Enroll *m;

	r.code = rules_unpack(&memherd__enroll__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	*ret = (struct wire_enroll){
		.secret = rules_blob(&r, m->secret, 1, SECRET_MAX, "secret"),
		.csr = rules_blob(&r, m->csr, 1, CSR_MAX, "csr"),
		.host_name = rules_text(&r, m->host_name, WIRE_NAME_MAX, "host_name"),
		.version = rules_text(&r, m->version, WIRE_NAME_MAX, "version"),
	};
	return r.code;
}

int wire_unpack_enroll_reply(struct arena *a, const uint8_t *data, size_t len,
			     struct wire_enroll_reply *ret, struct error *err)
{
	struct rules r = {"enroll_reply", err, 0};
	Memherd__EnrollReply *m;
	bool given;

	r.code = rules_unpack(&memherd__enroll_reply__descriptor, r.what, a, data, len, &m, err);
	if (r.code)
		return r.code;
	/* A refusal carries its reason and nothing else. */
	given = !*m->error;
	*ret = (struct wire_enroll_reply){
		.error = rules_text(&r, m->error, WIRE_TEXT_MAX, "error"),
		.host_uuid =
			rules_blob(&r, m->host_uuid, given ? UUID_SIZE : 0, UUID_SIZE, "host_uuid"),
		.certificate = rules_blob(&r, m->certificate, given, PEM_MAX, "certificate"),
		.ca = rules_blob(&r, m->ca, given, PEM_MAX, "ca"),
		.command_key = rules_blob(&r, m->command_key, given ? KEY_SIZE : 0, KEY_SIZE,
					  "command_key"),
		.stream_port = m->stream_port,
	};
	rules_demand(&r, m->stream_port <= UINT16_MAX, "'stream_port' of %u is out of range",
		     m->stream_port);
	return r.code;
}
