/* SPDX-License-Identifier: Apache-2.0 */
/* What goes up: results, heartbeats, batches. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "agent/link/link_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fs.h"
#include "common/log.h"

bool link_drained(const struct link *l)
{
	return lanes_drained(&l->lanes) && l->n_results == 0;
}

int link_send_frame(struct link *l, enum frame_type type, const struct buf *b)
{
	int rc = buf_status(b);

	if (rc == 0)
		rc = conn_send(l->conn, type, b->data, b->len);
	if (rc < 0)
		log_warn("link=%016" PRIx64 " cannot send frame=%s error='%s'", l->id,
			 frame_name(type), strerror(-rc));
	return rc;
}

static void send_results(struct link *l)
{
	while (l->n_results) {
		auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
		uint8_t body[COMMAND_RESULT_SIZE], journal[COMMAND_SPAN_SIZE];
		struct wire_command_result m = {.body = {.data = body, .len = sizeof(body)}};

		memcpy(body, l->results[0], sizeof(body));
		if (command_result_split(body, journal))
			m.journal = (struct wire_blob){.data = journal, .len = sizeof(journal)};
		wire_pack_command_result(&b, &m);
		if (link_send_frame(l, FRAME_COMMAND_RESULT, &b) < 0)
			return;
		l->n_results--;
		memmove(l->results[0], l->results[1], l->n_results * COMMAND_RESULT_SIZE);
	}
}

/* Samples fill half of the output and one frame: behind them there is always place for an urgent
 * batch, and behind that for heartbeats and results. */
static bool output_has_room(const struct link *l)
{
	size_t unsent = conn_unsent(l->conn);

	return lanes_next(&l->lanes) == LANE_URGENT ? unsent <= LINK_OUT_MAX - 2 * LINK_FRAME_BYTES
						    : unsent < LINK_OUT_MAX / 2;
}

static void send_batches(struct link *l)
{
	while (l->state == &link_streaming && output_has_room(l)) {
		auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
		int n = window_fill(&l->window, &l->lanes, &b);

		if (n == 0)
			return;
		FAILPOINT("link.send");
		/* What was taken from the spool counts as sent: only a new session sends it again.
		 */
		if (n < 0 || link_send_frame(l, FRAME_BATCH, &b) < 0) {
			link_hang_up(l, "cannot send a batch");
			return;
		}
	}
}

/* proc(5): statm's second number, in pages. */
static uint64_t own_rss(void)
{
	char text[128];
	unsigned long long pages = 0;

	if (fs_read_small(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void link_send_heartbeat(struct link *l)
{
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct spool_stats st;
	struct wire_heartbeat beat = {.t_wall_us = clock_wall_us()};

	lanes_sum(&l->lanes, &st);
	beat.spool_records = (uint32_t)MIN_OF(st.held_records, (uint64_t)UINT32_MAX);
	beat.spool_bytes = st.bytes + disk_bytes(l->disk);
	beat.rss_bytes = own_rss() + l->sense_self.rss_bytes;
	beat.cpu_us = (uint64_t)clock_cpu_us() + l->sense_self.cpu_us;
	beat.act = relay_reachable(l->relay);
	beat.leaving = l->said_leaving;
	wire_pack_heartbeat(&b, &beat);
	if (link_send_frame(l, FRAME_HEARTBEAT, &b) < 0)
		link_hang_up(l, "cannot send a heartbeat");
}

/* Nothing more comes, and what is left was sent: acks need not wait for company any more. */
static void leave(struct link *l)
{
	if (link_drained(l)) {
		link_hang_up(l, "agent stops, all sent");
	} else if (!l->said_leaving && lanes_next(&l->lanes) == LANES_MAX) {
		l->said_leaving = true;
		link_send_heartbeat(l);
	}
}

void link_pump(struct link *l)
{
	if (l->state != &link_streaming)
		return;
	send_results(l);
	send_batches(l);
	if (l->stopping && l->intake_ended)
		leave(l);
}
