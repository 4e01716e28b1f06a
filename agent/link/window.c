/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/window.h"

#include <errno.h>

#include "agent/record.h"
#include "proto/frame.h"

#define GAP_MAX      64                       /* encoded: five varints and a byte each */
#define BATCH_SPARE  64                       /* epoch and the like, around the records */
#define SMALLEST_MAX (RECORD_MAX_BODY + 1024) /* of max_frame */

int window_open(struct window *w, const struct wire_hello_ack *ack, struct error *err)
{
	if (ack->max_frame < SMALLEST_MAX)
		return error_set(err, -EBADMSG, "HelloAck: max_frame of %u, expected %u or more",
				 (unsigned)ack->max_frame, (unsigned)SMALLEST_MAX);
	if (ack->max_unacked_batches == 0 || ack->max_unacked_bytes == 0)
		return error_set(err, -EBADMSG, "HelloAck grants nothing to send");
	*w = (struct window){
		.max_frame = MIN_OF(ack->max_frame, FRAME_MAX_PAYLOAD),
		.max_bytes = ack->max_unacked_bytes,
		.max_batches = ack->max_unacked_batches,
	};
	return 0;
}

/* What the lane's next batch may weigh: a frame, or what is left of the grant. */
static size_t room(const struct window *w, size_t lane)
{
	bool under_way = false;

	for (size_t i = 0; i < w->n; i++)
		under_way = under_way || w->batches[i].lane == lane;
	if (lane == LANE_URGENT && !under_way)
		return w->max_frame;
	if (w->n >= w->max_batches || w->bytes >= w->max_bytes)
		return 0;
	return MIN_OF(w->max_bytes - w->bytes, w->max_frame);
}

static void add_record(struct buf *out, const struct spool_view *v)
{
	auto_buf struct buf gap = BUF_INIT(GAP_MAX);

	if (v->kind == WIRE_GAP) {
		wire_pack_gap(&gap, &v->gap);
		if (buf_status(&gap) < 0)
			out->failed = true;
		wire_batch_add(out, v->seq, v->kind, gap.data, gap.len);
	} else {
		wire_batch_add(out, v->seq, v->kind, v->body, v->len);
	}
}

/* Where a batch of that lane is noted: with the lane's last one, when so many are told apart that
 * there is no more place. */
static size_t place_of(const struct window *w, size_t lane)
{
	for (size_t i = w->n; w->n >= WINDOW_MAX_BATCHES && i > 0; i--)
		if (w->batches[i - 1].lane == lane)
			return i - 1;
	return w->n;
}

static void charge(struct window *w, size_t lane, uint64_t last_seq, size_t bytes)
{
	size_t at = place_of(w, lane);

	if (at == w->n) {
		w->batches[w->n].bytes = 0;
		w->n++;
	}
	w->batches[at].lane = lane;
	w->batches[at].last_seq = last_seq;
	w->batches[at].bytes += bytes;
	w->bytes += bytes;
}

static int fill_from(struct window *w, size_t id, const struct lane *lane, struct buf *out)
{
	struct spool *s = lane->spool;
	struct spool_view v;
	size_t limit = room(w, id);
	uint64_t last = 0;
	int n = 0;

	if (limit == 0)
		return 0;
	wire_batch_begin(out, lane->epoch);
	while (n < WIRE_MAX_RECORDS && spool_peek(s, &v)) {
		size_t len = v.kind == WIRE_GAP ? GAP_MAX : v.len;
		size_t cost = wire_batch_cost(v.seq, len) + BATCH_SPARE;

		if (out->len + cost > (n || w->n ? limit : w->max_frame))
			break;
		add_record(out, &v);
		if (buf_status(out) < 0)
			return -ENOBUFS;
		last = v.kind == WIRE_GAP ? v.gap.to_seq : v.seq;
		spool_sent(s);
		n++;
	}
	if (n > 0)
		charge(w, id, last, out->len);
	return n;
}

int window_fill(struct window *w, const struct lanes *ls, struct buf *out)
{
	size_t id = lanes_next(ls);

	return id == LANES_MAX ? 0 : fill_from(w, id, &ls->of[id], out);
}

void window_acked(struct window *w, size_t lane, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->batches[i].lane == lane && w->batches[i].last_seq <= seq)
			w->bytes -= w->batches[i].bytes;
		else
			w->batches[kept++] = w->batches[i];
	}
	w->n = kept;
}
