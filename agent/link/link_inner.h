/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_inner.h - the link's state, shared by link.c (its states and its owner's side), link_send.c
 * (what goes up), link_frames.c (what comes down) and link_feed.c (what comes from sense and actd);
 * nobody else includes it.
 */
#ifndef MEMHERD_AGENT_LINK_LINK_INNER_H
#define MEMHERD_AGENT_LINK_LINK_INNER_H

#include "agent/link/diary.h"
#include "agent/link/disk.h"
#include "agent/link/intake.h"
#include "agent/link/lane.h"
#include "agent/link/link.h"
#include "agent/link/relay.h"
#include "agent/link/retry.h"
#include "agent/link/window.h"
#include "proto/conn.h"

#define LINK_MAGIC       0x6c696e6bU
#define LINK_FRAME_BYTES (FRAME_MAX_PAYLOAD + FRAME_HEADER_SIZE)
#define LINK_OUT_MAX     (6 * LINK_FRAME_BYTES)

struct link_state;

struct link {
	uint32_t magic;
	struct event_base *base;
	const struct agent_options *options;
	struct link_start start;
	uint64_t id; /* in logs: the epoch of its samples */
	const struct link_state *state;
	struct event *deadline;
	struct retry retry;
	unsigned which; /* of the listed collectors: the next one when this one failed */

	struct conn *conn;
	struct tls_ctx *tls;
	struct window window;
	uint32_t heartbeat_ms;
	unsigned missed;
	int64_t streaming_since_us;
	int64_t greeted_apart_us; /* wall clock minus boot clock, as Hello told them */

	struct lanes lanes;
	struct disk *disk; /* NULL = the options want none */
	struct intake *intake;
	bool intake_ended;
	struct record_self sense_self;
	int64_t keyframe_asked_us;

	struct relay *relay;
	struct diary *diary;
	uint8_t results[RELAY_QUEUE][COMMAND_RESULT_SIZE]; /* that could not be sent yet */
	size_t n_results;

	bool stopping;
	bool said_leaving; /* on this connection */
	struct event *stop_limit;
};

/* A state: what to do on entering, how long it may last, what then. */
struct link_state {
	const char *name;
	void (*enter)(struct link *l);
	int64_t (*limit_us)(struct link *l);
	void (*on_deadline)(struct link *l);
};

extern const struct link_state link_waiting;
extern const struct link_state link_connecting;
extern const struct link_state link_greeting;
extern const struct link_state link_streaming;
extern const struct link_state link_closing;

/* The one place where the state changes. */
void link_go(struct link *l, const struct link_state *to);
/* Ends the connection for a reason that is ours. */
void link_hang_up(struct link *l, const char *why);
void link_want_keyframe(struct link *l);

/* ---- link_send.c ---- */

/* Everything was sent and acknowledged. */
bool link_drained(const struct link *l);
int link_send_frame(struct link *l, enum frame_type type, const struct buf *b);
void link_send_heartbeat(struct link *l);
/* While it streams: sends what there is and has room. */
void link_pump(struct link *l);

/* ---- link_frames.c ---- */

/* On failure the connection is to end, err says why. */
int link_handle_frame(struct link *l, const struct frame *f, struct error *err) must_use;

/* ---- link_feed.c ---- */

extern const struct intake_ops link_intake_ops;
extern const struct relay_ops link_relay_ops;
extern const struct disk_ops link_disk_ops;
/* For diary_new(): what the host did by itself goes the way of all events. */
void link_on_diary(void *arg, const struct wire_event *e);

#endif
