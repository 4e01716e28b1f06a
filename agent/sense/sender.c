/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/sender.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"

void sender_init(struct sender *t, struct outbox *outbox, const uint8_t boot_id[16])
{
	*t = (struct sender){.outbox = outbox};
	memcpy(t->boot_id, boot_id, sizeof(t->boot_id));
	buf_init(&t->body, RECORD_MAX_BODY);
}

void sender_fini(struct sender *t)
{
	buf_fini(&t->body);
}

static void push(struct sender *t, enum record_kind kind, int64_t t_wall_us, const char *what)
{
	if (buf_status(&t->body) < 0 ||
	    outbox_push(t->outbox, kind, 0, t_wall_us, t->body.data, t->body.len) < 0)
		log_warn("record_dropped kind=%s reason=\"link does not keep up\"", what);
}

void sender_event(struct sender *t, const struct wire_event *e)
{
	struct wire_event whole = *e;

	if (e->pid) {
		whole.has_boot_id = true;
		memcpy(whole.boot_id, t->boot_id, sizeof(whole.boot_id));
	}
	buf_reset(&t->body);
	wire_pack_event(&t->body, &whole);
	push(t, RECORD_EVENT, e->t_wall_us, wire_event_word(e->kind));
}

void sender_say(struct sender *t, enum wire_event_kind kind, const char *text,
		const char *const *keys, const char *const *values, size_t n)
{
	const struct wire_event e = {.t_wall_us = clock_wall_us(),
				     .kind = kind,
				     .text = text,
				     .keys = (const char **)keys,
				     .values = (const char **)values,
				     .n_details = n};

	sender_event(t, &e);
}

const struct buf *sender_kill(struct sender *t, const struct wire_kill *k)
{
	buf_reset(&t->body);
	wire_pack_kill(&t->body, k);
	push(t, RECORD_KILL, k->t_wall_us, "kill");
	return buf_status(&t->body) < 0 ? NULL : &t->body;
}

void sender_kill_again(struct sender *t, int64_t t_wall_us, const void *body, size_t len)
{
	if (outbox_push(t->outbox, RECORD_KILL, 0, t_wall_us, body, len) < 0)
		log_warn("record_dropped kind=kill reason=\"link does not keep up\"");
}

void sender_posture(struct sender *t, int64_t t_wall_us, const struct posture_finding *f, size_t n)
{
	struct wire_finding findings[POSTURE_MAX];
	struct wire_posture p = {.t_wall_us = t_wall_us, .findings = findings};

	for (size_t i = 0; i < n && i < ARRAY_SIZE(findings); i++)
		findings[p.n++] =
			(struct wire_finding){.code = f[i].code,
					      .severity = (enum wire_severity)f[i].severity,
					      .text = f[i].text,
					      .fix = f[i].fix};
	buf_reset(&t->body);
	wire_pack_posture(&t->body, &p);
	push(t, RECORD_POSTURE, t_wall_us, "posture");
}
