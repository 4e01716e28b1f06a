/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/segment.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/crc32c.h"

#define RECORD_MAGIC UINT32_C(0x4c4f5052) /* "RPOL" */
#define KEYFRAME     1u
#define ALIGN        8u

static const char head_magic[8] = {'M', 'H', 'S', 'P', 'O', 'O', 'L', '\n'};

/* Where things are; the same as in segment.h. */
enum { HEAD_VERSION = 8, HEAD_LANE = 10, HEAD_CRC = 12, HEAD_EPOCH = 16 };
enum {
	REC_CRC = 4,
	REC_LEN = 8,
	REC_KIND = 12,
	REC_FLAGS = 13,
	REC_SEQ = 16,
	REC_TO = 24,
	REC_T = 32
};

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* ---- the head ---- */

static uint32_t head_crc(const uint8_t *data)
{
	uint32_t crc = crc32c(0, data, HEAD_CRC);

	return crc32c(crc, data + HEAD_EPOCH, SEGMENT_HEAD - HEAD_EPOCH);
}

void segment_pack_head(uint8_t out[SEGMENT_HEAD], const struct segment_head *h)
{
	uint8_t *p = out + HEAD_EPOCH;

	memcpy(out, head_magic, sizeof(head_magic));
	put16(out + HEAD_VERSION, SEGMENT_VERSION);
	put16(out + HEAD_LANE, h->lane);
	p = put64(p, h->epoch);
	p = put64(p, h->first_seq);
	p = put64(p, (uint64_t)h->t_wall_us);
	p = put64(p, h->t_boot_us);
	memcpy(p, h->boot_id, sizeof(h->boot_id));
	put32(out + HEAD_CRC, head_crc(out));
}

int segment_unpack_head(const uint8_t *data, size_t len, struct segment_head *ret)
{
	const uint8_t *p = data + HEAD_EPOCH;
	struct segment_head h;

	if (len < SEGMENT_HEAD || memcmp(data, head_magic, sizeof(head_magic)) != 0 ||
	    get32(data + HEAD_CRC) != head_crc(data))
		return -EBADMSG;
	if (get16(data + HEAD_VERSION) != SEGMENT_VERSION)
		return -EPROTONOSUPPORT;
	h.lane = get16(data + HEAD_LANE);
	h.epoch = get64(p);
	h.first_seq = get64(p + 8);
	h.t_wall_us = (int64_t)get64(p + 16);
	h.t_boot_us = get64(p + 24);
	memcpy(h.boot_id, p + 32, sizeof(h.boot_id));
	if (h.epoch == 0 || h.epoch > INT64_MAX || h.first_seq == 0 || h.first_seq > WIRE_SEQ_MAX)
		return -EBADMSG;
	*ret = h;
	return 0;
}

/* ---- records ---- */

static uint32_t seed_of(uint64_t epoch)
{
	uint8_t bytes[8];

	put64(bytes, epoch);
	return crc32c(0, bytes, sizeof(bytes));
}

static size_t aligned(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void pack_gap(uint8_t out[SEGMENT_GAP], const struct wire_gap *g)
{
	out = put64(out, g->bytes);
	out = put64(out, (uint64_t)g->t_last_us);
	out = put32(out, g->records);
	put32(out, (uint32_t)g->reason);
}

void segment_pack_record(struct buf *b, uint64_t epoch, const struct segment_record *r)
{
	static const uint8_t zeros[ALIGN];
	uint8_t head[SEGMENT_RECORD] = {0};
	uint8_t gap[SEGMENT_GAP];
	const uint8_t *body = r->kind == WIRE_GAP ? gap : r->body;
	size_t len = r->kind == WIRE_GAP ? sizeof(gap) : r->len;
	uint32_t crc;

	if (r->kind == WIRE_GAP)
		pack_gap(gap, &r->gap);
	put32(head, RECORD_MAGIC);
	put32(head + REC_LEN, (uint32_t)len);
	head[REC_KIND] = (uint8_t)r->kind;
	head[REC_FLAGS] = r->keyframe ? KEYFRAME : 0;
	put64(head + REC_SEQ, r->seq);
	put64(head + REC_TO, r->to_seq);
	put64(head + REC_T, (uint64_t)r->t_us);
	crc = crc32c(seed_of(epoch), head + REC_LEN, SEGMENT_RECORD - REC_LEN);
	put32(head + REC_CRC, crc32c(crc, body, len));
	buf_put(b, head, sizeof(head));
	buf_put(b, body, len);
	buf_put(b, zeros, aligned(len) - len);
}

static bool known_kind(unsigned kind)
{
	return kind >= WIRE_TICK && kind <= WIRE_SNAPSHOT;
}

static bool unpack_gap(const uint8_t *body, size_t len, struct segment_record *r)
{
	if (len != SEGMENT_GAP)
		return false;
	r->gap = (struct wire_gap){.to_seq = r->to_seq,
				   .bytes = get64(body),
				   .t_first_us = r->t_us,
				   .t_last_us = (int64_t)get64(body + 8),
				   .records = get32(body + 16),
				   .reason = (enum wire_gap_reason)get32(body + 20)};
	r->body = NULL;
	r->len = 0;
	return r->gap.reason >= WIRE_GAP_SPOOL_FULL && r->gap.reason <= WIRE_GAP_CORRUPT &&
	       r->gap.bytes <= INT64_MAX;
}

/* The record at 'at', if all of it is there and holds; its size, else 0. */
static size_t parse(const struct segment_reader *r, size_t at, struct segment_record *ret)
{
	const uint8_t *p = r->data + at;
	size_t room = r->len - at;
	size_t len;

	if (room < SEGMENT_RECORD || get32(p) != RECORD_MAGIC)
		return 0;
	len = get32(p + REC_LEN);
	if (len > room - SEGMENT_RECORD ||
	    get32(p + REC_CRC) != crc32c(r->seed, p + REC_LEN, SEGMENT_RECORD - REC_LEN + len))
		return 0;
	*ret = (struct segment_record){.seq = get64(p + REC_SEQ),
				       .to_seq = get64(p + REC_TO),
				       .kind = (enum wire_record)p[REC_KIND],
				       .keyframe = p[REC_FLAGS] & KEYFRAME,
				       .t_us = (int64_t)get64(p + REC_T),
				       .body = p + SEGMENT_RECORD,
				       .len = len};
	if (!known_kind(p[REC_KIND]) || ret->seq == 0 || ret->to_seq < ret->seq ||
	    ret->to_seq > WIRE_SEQ_MAX)
		return 0;
	if (ret->kind == WIRE_GAP ? !unpack_gap(p + SEGMENT_RECORD, len, ret)
				  : ret->to_seq != ret->seq)
		return 0;
	return MIN_OF(aligned(SEGMENT_RECORD + len), room);
}

void segment_read(struct segment_reader *r, const void *data, size_t len, uint64_t epoch,
		  uint64_t first, uint64_t last)
{
	*r = (struct segment_reader){.data = data,
				     .len = len,
				     .at = MIN_OF(len, (size_t)SEGMENT_HEAD),
				     .seed = seed_of(epoch),
				     .next = first,
				     .last = last};
}

/* To the next record that holds and is not old, behind whatever does not. False: none is left. */
static bool find(struct segment_reader *r, struct segment_record *ret, size_t *ret_size)
{
	while (r->at < r->len) {
		size_t size = parse(r, r->at, ret);

		if (size && ret->to_seq >= r->next) {
			*ret_size = size;
			r->rest = false;
			return !r->last || ret->seq <= r->last;
		}
		if (!size)
			r->damaged = r->rest = true;
		r->at += size ? size : MIN_OF((size_t)ALIGN, r->len - r->at);
	}
	return false;
}

static void missing(struct segment_reader *r, uint64_t to, struct segment_record *ret)
{
	*ret = (struct segment_record){.seq = r->next,
				       .to_seq = to,
				       .kind = WIRE_GAP,
				       .gap = {.to_seq = to,
					       .records = (uint32_t)MIN_OF(to - r->next + 1,
									   (uint64_t)UINT32_MAX),
					       .reason = WIRE_GAP_CORRUPT}};
	r->next = to + 1;
}

bool segment_next(struct segment_reader *r, struct segment_record *ret)
{
	size_t size = 0;

	if (r->last && r->next > r->last)
		return false;
	if (find(r, ret, &size)) {
		if (ret->seq > r->next) { /* found again by the next call */
			r->damaged = true;
			missing(r, ret->seq - 1, ret);
			return true;
		}
		ret->seq = r->next; /* of a gap that is old in part */
		if (r->last && ret->to_seq > r->last)
			ret->to_seq = ret->gap.to_seq = r->last;
		r->next = ret->to_seq + 1;
		r->at += size;
		return true;
	}
	r->at = r->len;
	if (r->last || r->rest) {
		r->damaged = true;
		missing(r, r->last ? r->last : r->next, ret);
		r->rest = false;
		return true;
	}
	return false;
}
