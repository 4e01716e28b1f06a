/* SPDX-License-Identifier: Apache-2.0 */
/* What comes down: a handler for each frame and state. */
#include <errno.h>
#include <inttypes.h>

#include "agent/link/greeting.h"
#include "agent/link/link_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#define HEALTHY_US (60 * USEC_PER_SEC)

/* The collector may have more of an old stream than its disk had when the host went down. */
static uint64_t no_more_than_held(const struct lane *lane, uint64_t last_seq)
{
	uint64_t held = spool_seq_max(lane->spool);

	if (last_seq <= held)
		return last_seq;
	log_warn("stream=%016" PRIx64 " went back on the disk to=%" PRIu64 " stored=%" PRIu64,
		 lane->epoch, held, last_seq);
	return held;
}

static int rewind_lane(struct link *l, const struct lane *lane, uint64_t last_seq,
		       struct error *err)
{
	struct spool *s = lane->spool;
	int rc;

	if (last_seq < spool_seq_min(s) - 1)
		log_warn("link=%016" PRIx64 " lane=%s collector went back from=%" PRIu64
			 " to=%" PRIu64,
			 l->id, lane_name(lane->kind), spool_seq_min(s) - 1, last_seq);
	rc = spool_rewind(s, last_seq);
	if (rc < 0)
		return error_set(err, rc, "collector has %" PRIu64 " of our %" PRIu64 " records",
				 last_seq, spool_seq_max(s));
	log_info("link=%016" PRIx64 " lane=%s stream=%016" PRIx64 " stored=%" PRIu64
		 " produced=%" PRIu64,
		 l->id, lane_name(lane->kind), lane->epoch, last_seq, spool_seq_max(s));
	return 0;
}

/* An old stream's first number is only what its disk still has: no word that the collector went
 * back. */
static int rewind_lanes(struct link *l, const uint64_t last_seq[LANES_MAX], struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->lanes.n; i++) {
		const struct lane *lane = &l->lanes.of[i];

		if (i < LANE_COUNT)
			rc = rewind_lane(l, lane, last_seq[i], err);
		else
			rc = spool_rewind(lane->spool, no_more_than_held(lane, last_seq[i]));
		if (rc == -ENOMEM)
			return error_set(err, rc, "no memory for a gap");
	}
	return rc;
}

static int on_hello_ack(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_hello_ack ack;
	uint64_t last_seq[LANES_MAX];
	int rc = wire_unpack_hello_ack(a, f->payload, f->len, &ack, err);

	if (rc == 0)
		rc = greeting_judge(&ack, &l->lanes, last_seq, &l->heartbeat_ms, err);
	if (rc == 0)
		rc = window_open(&l->window, &ack, err);
	if (rc == 0)
		rc = rewind_lanes(l, last_seq, err);
	if (rc < 0)
		return rc;
	log_info("link=%016" PRIx64 " streaming peer=%s", l->id, conn_peer_name(l->conn));
	l->said_leaving = false;
	link_go(l, &link_streaming);
	for (size_t i = 0; i < l->lanes.n; i++)
		disk_acked(l->disk, &l->lanes.of[i]);
	return 0;
}

static int on_ack(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_ack ack;
	struct lane *lane;
	int rc = wire_unpack_ack(a, f->payload, f->len, &ack, err);

	if (rc < 0)
		return rc;
	lane = lanes_find(&l->lanes, ack.epoch);
	if (!lane)
		return error_set(err, -EBADMSG, "ack of stream %016" PRIx64 ", which is not ours",
				 ack.epoch);
	rc = spool_ack(lane->spool, ack.seq);
	if (rc < 0)
		return error_set(err, rc, "ack of %" PRIu64 ", which was not sent", ack.seq);
	FAILPOINT("link.acked");
	window_acked(&l->window, (size_t)(lane - l->lanes.of), ack.seq);
	if (clock_boot_us() - l->streaming_since_us >= HEALTHY_US)
		retry_worked(&l->retry);
	disk_acked(l->disk, lane);
	link_pump(l);
	return 0;
}

static int on_heartbeat(struct link *l unused_arg, struct arena *a, const struct frame *f,
			struct error *err)
{
	struct wire_heartbeat beat;

	/* That it came is what counts: on_frame has noted it. */
	return wire_unpack_heartbeat(a, f->payload, f->len, &beat, err);
}

static int on_command(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_command c;
	int rc = wire_unpack_command(a, f->payload, f->len, &c, err);

	return rc < 0 ? rc : relay_submit(l->relay, &c, err);
}

static int on_goaway(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_goaway g;
	int rc = wire_unpack_goaway(a, f->payload, f->len, &g, err);

	if (rc < 0)
		return rc;
	log_warn("link=%016" PRIx64 " sent away reason=%u text='%s' retry_ms=%u..%u", l->id,
		 (unsigned)g.reason, g.text, (unsigned)g.retry_min_ms, (unsigned)g.retry_max_ms);
	retry_ask(&l->retry, g.retry_min_ms, g.retry_max_ms);
	link_hang_up(l, "collector sent us away");
	return 0;
}

static const struct {
	const struct link_state *state;
	enum frame_type type;
	int (*handle)(struct link *l, struct arena *a, const struct frame *f, struct error *err);
} handlers[] = {
	{&link_greeting, FRAME_HELLO_ACK, on_hello_ack},
	{&link_greeting, FRAME_GO_AWAY, on_goaway},
	{&link_streaming, FRAME_ACK, on_ack},
	{&link_streaming, FRAME_HEARTBEAT, on_heartbeat},
	{&link_streaming, FRAME_COMMAND, on_command},
	{&link_streaming, FRAME_GO_AWAY, on_goaway},
};

int link_handle_frame(struct link *l, const struct frame *f, struct error *err)
{
	auto_arena struct arena a;

	arena_init(&a, WIRE_BUDGET(f->len));
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].state == l->state && handlers[i].type == f->type)
			return handlers[i].handle(l, &a, f, err);
	return error_set(err, -EPROTO, "frame %s while %s", frame_name(f->type), l->state->name);
}
