/* SPDX-License-Identifier: Apache-2.0 */
/* A segment of the disk spool: whatever lies there, what is read has no hole, lies within the
 * image, and is read the same when it is written again. The first byte says how much of it is made
 * to hold. */
#include <string.h>

#include "agent/link/segment.h"

#define EPOCH 7
#define FIRST 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Records with a sum that holds come from the input's own words: else no change of it would pass.
 */
static void build(struct buf *b, const uint8_t *data, size_t size)
{
	uint64_t seq = FIRST;

	while (size > 2) {
		size_t len = MIN_OF((size_t)data[1], size - 2);
		struct segment_record r = {.seq = seq,
					   .to_seq = seq,
					   .kind = (enum wire_record)(data[0] & 7),
					   .keyframe = data[0] & 8,
					   .t_us = data[0],
					   .body = data + 2,
					   .len = len};

		if (r.kind == WIRE_GAP)
			r.to_seq += data[1];
		r.gap = (struct wire_gap){.to_seq = r.to_seq, .reason = data[0] & 3};
		if (data[0] & 16)
			segment_pack_record(b, data[0] & 32 ? EPOCH + 1 : EPOCH, &r);
		else
			buf_put(b, data, len + 2);
		seq = r.to_seq + 1 + (data[0] >> 6);
		data += len + 2;
		size -= len + 2;
	}
}

static uint64_t read_all(const struct buf *in, uint64_t last, struct buf *again)
{
	struct segment_reader r;
	struct segment_record rec;
	uint64_t next = FIRST;

	segment_read(&r, in->data, in->len, EPOCH, FIRST, last);
	while (segment_next(&r, &rec)) {
		if (rec.seq != next || rec.to_seq < rec.seq || (last && rec.to_seq > last) ||
		    (rec.kind == WIRE_GAP) != !rec.body)
			abort();
		if (rec.body && (rec.body < in->data || rec.body + rec.len > in->data + in->len))
			abort();
		next = rec.to_seq + 1;
		if (again)
			segment_pack_record(again, EPOCH, &rec);
	}
	if (last && next != last + 1)
		abort();
	return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf image = BUF_INIT(1 << 20);
	auto_buf struct buf again = BUF_INIT(4 << 20);
	struct segment_head head;
	uint64_t next;

	if (size < 1)
		return 0;
	if (segment_unpack_head(data, size, &head) == 0) {
		uint8_t bytes[SEGMENT_HEAD];

		segment_pack_head(bytes, &head);
		if (memcmp(bytes, data, sizeof(bytes)) != 0)
			abort();
	}
	memset(buf_reserve(&image, SEGMENT_HEAD), 0, SEGMENT_HEAD);
	image.len = SEGMENT_HEAD;
	build(&image, data, size);
	if (buf_status(&image) < 0)
		return 0;
	next = read_all(&image, 0, NULL);
	read_all(&image, FIRST + data[0], NULL);
	memset(buf_reserve(&again, SEGMENT_HEAD), 0, SEGMENT_HEAD);
	again.len = SEGMENT_HEAD;
	read_all(&image, 0, &again);
	if (buf_status(&again) == 0 && read_all(&again, 0, NULL) != next)
		abort();
	return 0;
}
