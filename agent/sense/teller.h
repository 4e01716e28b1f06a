/* SPDX-License-Identifier: Apache-2.0 */
/*
 * teller.h - everything but ticks that sense has to say: events, kills and postures, packed and put
 * into the outbox. A kill goes out at once. What does not fit is logged here, once each.
 */
#ifndef MEMHERD_AGENT_SENSE_TELLER_H
#define MEMHERD_AGENT_SENSE_TELLER_H

#include "agent/sense/outbox.h"
#include "agent/sense/posture.h"
#include "common/buf.h"
#include "proto/wire.h"

struct teller {
	struct outbox *outbox;
	struct buf body; /* of the record that is being made */
	uint8_t boot_id[16];
};

void teller_init(struct teller *t, struct outbox *outbox, const uint8_t boot_id[16]);
void teller_fini(struct teller *t);

/* The boot id is put in where the event names a process. */
void teller_event(struct teller *t, const struct wire_event *e);
/* An event about the host, with up to WIRE_MAX_DETAILS pairs. */
void teller_say(struct teller *t, enum wire_event_kind kind, const char *text,
		const char *const *keys, const char *const *values, size_t n);
/* The packed body is returned for whoever keeps it: valid until the next call; NULL when it could
 * not be packed. */
const struct buf *teller_kill(struct teller *t, const struct wire_kill *k);
/* A kill as it was packed before. */
void teller_kill_again(struct teller *t, int64_t t_wall_us, const void *body, size_t len);
void teller_posture(struct teller *t, int64_t t_wall_us, const struct posture_finding *f, size_t n);

#endif
