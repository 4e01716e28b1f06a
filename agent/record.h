/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what sense and link say to each other over their socket pair (SOCK_STREAM).
 *
 * Up: records, each a head and a body that is already the encoded Tick, Event, Kill or Posture
 * (proto/wire.h), so link queues bytes and knows nothing of processes. All but ticks are urgent:
 * link sends them before any tick that waits. Down: a head without body that asks for a keyframe (a
 * new link, or ticks were dropped: what follows a hole must decode without history), and what
 * memherd itself is about to do to a process, before it is done: how the process then ends is no
 * riddle. Both sides treat the other as untrusted: lengths are judged before anything is read.
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
	RECORD_SNAPSHOT = 7,       /* as that */
	RECORD_WANT_KEYFRAME = 16, /* link -> sense */
	RECORD_SELF = 17,          /* sense -> link: struct record_self, its own cost */
	RECORD_ACTION = 18,        /* link -> sense: struct record_action */
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

enum record_action_state {
	RECORD_ACTION_BEGINS = 0,
	RECORD_ACTION_OFF = 1, /* it was not carried out: what was said of it is taken back */
};

/* A command on its way to memherd-actd; dry runs are not told. */
struct record_action {
	uint8_t id[16];       /* the command's */
	uint64_t start_ticks; /* with pid: the process */
	uint32_t pid;
	uint16_t action; /* enum command_action */
	uint16_t state; /* enum record_action_state; of an action that is off the id alone counts */
};
_Static_assert(sizeof(struct record_action) == 32, "no byte of it is padding");

/* Bytes beyond RECORD_MAX_BODY (a keyframe of a very full host) are split by sense: the tick's
 * processes are capped and the rest counted in 'skipped'. */

#endif
