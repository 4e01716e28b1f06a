/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what sense and link say to each other over their socket pair (SOCK_STREAM).
 *
 * Up: records, each a head and a body that is already the encoded Tick, Event, Kill or Posture
 * (proto/wire.h), so link queues bytes and knows nothing of processes. All but ticks are urgent:
 * link sends them before any tick that waits. Down: one head without body asking for a
 * keyframe (a new link, or ticks were dropped: what follows a hole must decode without history).
 * Both sides treat the other as untrusted: lengths are judged before anything is read.
 */
#ifndef MEMHERD_AGENT_RECORD_H
#define MEMHERD_AGENT_RECORD_H

#include <stdint.h>

#define RECORD_MAX_BODY (192u * 1024) /* leaves room for the batch around it in a frame */

enum record_kind {
	RECORD_TICK = 1, /* as enum wire_record */
	RECORD_EVENT = 2,
	RECORD_KILL = 4,
	RECORD_POSTURE = 5,
	RECORD_CENSUS = 6,         /* made by memherd-actd, not by sense */
	RECORD_WANT_KEYFRAME = 16, /* link -> sense */
	RECORD_SELF = 17,          /* sense -> link: struct record_self, its own cost */
};

#define RECORD_KEYFRAME 1u /* flag of a tick */

struct record_head {
	uint32_t len; /* of the body */
	uint16_t kind;
	uint16_t flags;
	int64_t t_wall_us;
};

struct record_self {
	uint64_t rss_bytes;
	uint64_t cpu_us;
};

/* Bytes beyond RECORD_MAX_BODY (a keyframe of a very full host) are split by sense: the tick's
 * processes are capped and the rest counted in 'skipped'. */

#endif
