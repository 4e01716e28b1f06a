/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sender.h - everything but ticks that sense has to say: events, kills and postures, packed and put
 * into the outbox. A kill goes out at once. What does not fit is logged here, once each.
 */
#ifndef MEMHERD_AGENT_SENSE_SENDER_H
#define MEMHERD_AGENT_SENSE_SENDER_H

#include "agent/sense/outbox.h"
#include "agent/sense/posture.h"
#include "common/buf.h"
#include "proto/wire.h"

struct sender {
	struct outbox *outbox;
	struct buf body; /* of the record that is being made */
	uint8_t boot_id[16];
};

void sender_init(struct sender *t, struct outbox *outbox, const uint8_t boot_id[16]);
void sender_fini(struct sender *t);

/* The boot id is put in where the event names a process. */
void sender_event(struct sender *t, const struct wire_event *e);
/* An event about the host, with up to WIRE_MAX_DETAILS pairs. */
void sender_say(struct sender *t, enum wire_event_kind kind, const char *text,
		const char *const *keys, const char *const *values, size_t n);
/* The packed body is returned for whoever keeps it: valid until the next call; NULL when it could
 * not be packed. */
const struct buf *sender_kill(struct sender *t, const struct wire_kill *k);
/* A kill as it was packed before. */
void sender_kill_again(struct sender *t, int64_t t_wall_us, const void *body, size_t len);
void sender_posture(struct sender *t, int64_t t_wall_us, const struct posture_finding *f, size_t n);

#endif
