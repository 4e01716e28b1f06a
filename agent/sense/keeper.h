/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - keeps the black box: a heartbeat a minute, each kill as it is told, and at the start
 * the word of how the boot before this one ended.
 *
 * A file that cannot be kept (no folder, full, read-only) is said once; nothing else stops.
 */
#ifndef MEMHERD_AGENT_SENSE_KEEPER_H
#define MEMHERD_AGENT_SENSE_KEEPER_H

#include "agent/sense/blackbox.h"
#include "agent/sense/sender.h"
#include "agent/sense/survey.h"

#define KEEPER_BEAT_US (60 * INT64_C(1000000))
/* Kills that are not older are told again at the start: link may have ended with them unsent. The
 * collector knows a kill by its boot and number and keeps it once. */
#define KEEPER_AGAIN_US (3600 * INT64_C(1000000))

struct keeper {
	struct blackbox box;
	bool broken;     /* said so */
	int64_t beat_us; /* boot time of the last heartbeat; 0 = none */
};

/* path may be NULL: nothing is kept. */
void keeper_open(struct keeper *k, const char *path, const uint8_t boot_id[16]);
/* Tells what the last watch left behind: an unclean end of another boot, and recent kills. */
void keeper_recall(struct keeper *k, struct sender *t, int64_t wall_us);
/* Once a round: writes when a minute is over. */
void keeper_beat(struct keeper *k, const struct survey *v, int64_t wall_us, int64_t boot_us);
void keeper_kill(struct keeper *k, int64_t wall_us, const struct buf *body);
/* The watch ends in order. */
void keeper_close(struct keeper *k, int64_t wall_us);

#endif
