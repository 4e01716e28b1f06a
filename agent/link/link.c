/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/link.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>

#include "agent/link/credentials.h"
#include "agent/link/greeting.h"
#include "agent/link/link_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/tls.h"

#define GREETING_US      (15 * USEC_PER_SEC)
#define CONNECTING_US    ((CONN_HANDSHAKE_SEC + 5) * USEC_PER_SEC)
#define CLOSING_US       ((CONN_HANDSHAKE_SEC + 5) * USEC_PER_SEC)
#define KEYFRAME_WAIT_US (2 * USEC_PER_SEC) /* between two wishes: sense may be in mid-round */
#define MISSED_MAX       3                  /* heartbeats without a word from the collector */
/* The collector tolerates two seconds; no connection outlives a longer pause of the machine. */
#define APART_MIN_US (USEC_PER_SEC + USEC_PER_SEC / 2)
#define APART_MAX_US (120 * USEC_PER_SEC)

static void arm(struct event *e, int64_t us)
{
	const struct timeval tv = {.tv_sec = us / USEC_PER_SEC, .tv_usec = us % USEC_PER_SEC};

	event_add(e, &tv);
}

/* The one place where the state changes. */
void link_go(struct link *l, const struct link_state *to)
{
	log_debug("link=%016" PRIx64 " state=%s from=%s", l->id, to->name,
		  l->state ? l->state->name : "none");
	if (l->state == &link_streaming)
		disk_streaming(l->disk, false);
	l->state = to;
	arm(l->deadline, to->limit_us(l));
	if (to->enter)
		to->enter(l);
}

static void on_deadline(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	l->state->on_deadline(l);
}

/* Ends the connection for a reason that is ours. */
void link_hang_up(struct link *l, const char *why)
{
	if (l->state == &link_closing || !l->conn)
		return;
	link_go(l, &link_closing);
	conn_close(l->conn, why);
}

void link_want_keyframe(struct link *l)
{
	int64_t now = clock_boot_us();

	if (!l->intake || (l->keyframe_asked_us && now - l->keyframe_asked_us < KEYFRAME_WAIT_US))
		return;
	l->keyframe_asked_us = now;
	intake_want_keyframe(l->intake);
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct link *l = arg;
	struct error err = {""};

	MAGIC_CHECK(l, LINK_MAGIC);
	if (l->state == &link_closing)
		return;
	l->missed = 0;
	if (link_handle_frame(l, f, &err) < 0)
		link_hang_up(l, err.msg);
}

/* ---- the connection's life ---- */

static void on_open(void *arg, struct conn *c unused_arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	if (l->state == &link_connecting)
		link_go(l, &link_greeting);
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	l->conn = NULL;
	log_info("link=%016" PRIx64 " closed while=%s why='%s'", l->id, l->state->name, why);
	if (l->stopping)
		event_base_loopbreak(l->base);
	else
		link_go(l, &link_waiting);
}

static void on_drain(void *arg, struct conn *c unused_arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	link_pump(l);
}

static const struct conn_ops conn_ops = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_close = on_close,
	.on_drain = on_drain,
};

static int connect_now(struct link *l, struct error *err)
{
	char host[OPTIONS_HOST_SIZE];
	uint16_t port;
	int rc = credentials_address(l->options, l->which, host, &port, err);

	tls_ctx_free(&l->tls); /* read anew each time: the host may have been enrolled again */
	if (rc == 0)
		rc = credentials_load(l->options, &l->tls, err);
	if (rc == 0)
		rc = conn_connect(l->base, l->tls, host, port, LINK_OUT_MAX, &conn_ops, l, &l->conn,
				  err);
	return rc;
}

static void enter_connecting(struct link *l)
{
	struct error err = {""};

	if (connect_now(l, &err) == 0)
		return;
	log_warn("link=%016" PRIx64 " cannot connect error='%s'", l->id, err.msg);
	l->conn = NULL;
	if (l->stopping)
		event_base_loopbreak(l->base);
	else
		link_go(l, &link_waiting);
}

static int64_t clocks_apart(void)
{
	return clock_wall_us() - clock_boot_us();
}

static void enter_greeting(struct link *l)
{
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct error err = {""};

	l->greeted_apart_us = clocks_apart();
	disk_adopt(l->disk);
	conn_max_payload(l->conn, FRAME_MAX_PAYLOAD);
	if (greeting_hello(l->options, &l->start, &l->lanes, relay_reachable(l->relay), &b, &err) <
	    0)
		link_hang_up(l, err.msg);
	else if (link_send_frame(l, FRAME_HELLO, &b) < 0)
		link_hang_up(l, "cannot send Hello");
}

static void enter_streaming(struct link *l)
{
	l->missed = 0;
	l->streaming_since_us = clock_boot_us();
	disk_streaming(l->disk, true);
	/* The collector may have lost what it knew of our processes. */
	l->keyframe_asked_us = 0;
	link_want_keyframe(l);
	link_pump(l);
}

static int64_t waiting_us(struct link *l)
{
	uint64_t random;

	random_bytes(&random, sizeof(random));
	l->which++;
	return retry_delay(&l->retry, random);
}

static int64_t connecting_us(struct link *l unused_arg)
{
	return CONNECTING_US;
}

static int64_t greeting_us(struct link *l unused_arg)
{
	return GREETING_US;
}

static int64_t streaming_us(struct link *l)
{
	return l->heartbeat_ms * MSEC_PER_SEC;
}

static int64_t closing_us(struct link *l unused_arg)
{
	return CLOSING_US;
}

static void waited(struct link *l)
{
	link_go(l, &link_connecting);
}

static void took_too_long(struct link *l)
{
	link_hang_up(l, l->state == &link_connecting ? "connecting takes too long"
						     : "no answer to Hello");
}

/* The boot clock of a machine that was paused as a whole has not moved, one that nobody disciplines
 * drifts, and the wall clock was set right since. The collector takes the boot clock for the right
 * one until it hears both anew. */
static bool boot_clock_is_off(const struct link *l)
{
	int64_t set = llabs(clocks_apart() - l->greeted_apart_us);

	return set > APART_MIN_US && set <= APART_MAX_US;
}

static void heartbeat_due(struct link *l)
{
	if (++l->missed >= MISSED_MAX) {
		link_hang_up(l, "collector is silent");
		return;
	}
	if (boot_clock_is_off(l)) {
		link_hang_up(l, "this host's clock was set, as after a pause of all of it");
		return;
	}
	arm(l->deadline, streaming_us(l));
	link_send_heartbeat(l);
	link_pump(l);
}

static void close_hangs(struct link *l)
{
	conn_free(&l->conn);
	on_close(l, NULL, "closing takes too long");
}

const struct link_state link_waiting = {"waiting", NULL, waiting_us, waited};
const struct link_state link_connecting = {"connecting", enter_connecting, connecting_us,
					   took_too_long};
const struct link_state link_greeting = {"greeting", enter_greeting, greeting_us, took_too_long};
const struct link_state link_streaming = {"streaming", enter_streaming, streaming_us,
					  heartbeat_due};
const struct link_state link_closing = {"closing", NULL, closing_us, close_hangs};

/* ---- the owner's side ---- */

/* What lies on the disk is known to its end: it is drained, not ended by a gap. */
static void forget_prev(struct link *l)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		if (disk_knows(l->disk, l->start.prev_epochs[id]))
			l->start.prev_epochs[id] = 0;
}

int link_new(struct event_base *base, const struct agent_options *o, const struct link_start *start,
	     struct link **ret, struct error *err)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, -ENOMEM, "no memory for the link");
	*l = (struct link){.magic = LINK_MAGIC,
			   .base = base,
			   .options = o,
			   .start = *start,
			   .id = start->epochs[LANE_SAMPLES],
			   .intake_ended = true,
			   .which = (unsigned)-1, /* the wait before the first one counts it to 0 */
			   .retry = {.base_us = o->reconnect_base,
				     .cap_us = o->reconnect_cap,
				     .first_us = o->reconnect_first}};
	l->deadline = evtimer_new(base, on_deadline, l);
	if (!l->deadline || lanes_init(&l->lanes, start->epochs, (size_t)o->spool_memory) < 0 ||
	    relay_new(base, o->actd_socket, &link_relay_ops, l, &l->relay) < 0 ||
	    diary_new(base, o->actd_socket, link_on_diary, l, &l->diary) < 0) {
		link_free(&l);
		return error_set(err, -ENOMEM, "no memory for the link");
	}
	link_go(l, &link_waiting);
	if (disk_new(base, o, &l->lanes, &link_disk_ops, l, &l->disk) < 0) {
		link_free(&l);
		return error_set(err, -ENOMEM, "no memory for the disk spool");
	}
	forget_prev(l);
	*ret = l;
	return 0;
}

void link_free(struct link **l)
{
	struct link *p = *l;

	if (!p)
		return;
	if (p->conn)
		conn_free(&p->conn);
	tls_ctx_free(&p->tls);
	intake_free(&p->intake);
	relay_free(&p->relay);
	diary_free(&p->diary);
	disk_free(&p->disk);
	lanes_fini(&p->lanes);
	if (p->deadline)
		event_free(p->deadline);
	if (p->stop_limit)
		event_free(p->stop_limit);
	free(p);
	*l = NULL;
}

int link_attach(struct link *l, int fd, struct error *err)
{
	int rc;

	intake_free(&l->intake);
	l->keyframe_asked_us = 0;
	rc = intake_new(l->base, fd, &link_intake_ops, l, &l->intake, err);
	l->intake_ended = rc < 0;
	return rc;
}

static void on_stop_limit(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	event_base_loopbreak(l->base);
}

void link_stop(struct link *l)
{
	if (l->stopping)
		return;
	l->stopping = true;
	l->stop_limit = evtimer_new(l->base, on_stop_limit, l);
	if (l->stop_limit)
		arm(l->stop_limit, LINK_FLUSH_SEC * USEC_PER_SEC);
	else
		event_base_loopbreak(l->base);
	if (l->state == &link_waiting && link_drained(l) && l->intake_ended)
		event_base_loopbreak(l->base);
	else if (l->state == &link_waiting)
		link_go(l, &link_connecting);
	else
		link_pump(l);
}

const char *link_state_name(const struct link *l)
{
	return l->state->name;
}

void link_stats(const struct link *l, enum lane_id id, struct spool_stats *ret)
{
	spool_stats(l->lanes.of[id].spool, ret);
}
