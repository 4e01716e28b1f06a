/* SPDX-License-Identifier: Apache-2.0 */
/* A slot of the black box: bytes <-> struct. */
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "agent/sense/blackbox.h"
#include "common/cursor.h"
#include "common/str.h"
#include "proto/metric.h"

#define MAGIC       0x4242484du /* 'MHBB' */
#define VERSION     1u
#define HEADER_SIZE 20u
#define SUM_SIZE    8u
#define BODY_MAX    (BLACKBOX_SLOT - HEADER_SIZE - SUM_SIZE)

enum slot_flag { SLOT_PREVIOUS = 1, SLOT_TOLD = 2 };

static void put_tops(struct buf *b, const struct blackbox_top *tops, uint8_t n)
{
	n = (uint8_t)MIN_OF((unsigned)n, BLACKBOX_TOP);
	buf_u8(b, n);
	for (uint8_t i = 0; i < n; i++) {
		size_t len = strnlen(tops[i].name, BLACKBOX_NAME_MAX);

		buf_le32(b, tops[i].pid);
		buf_le32(b, tops[i].rss_kib);
		buf_le64(b, (uint64_t)tops[i].grown_kib);
		buf_u8(b, (uint8_t)len);
		buf_put(b, tops[i].name, len);
	}
}

static void put_state(struct buf *b, const struct blackbox_state *s)
{
	const int64_t figures[] = {s->mem_total, s->mem_available, s->swap_total,
				   s->swap_free, s->psi_some,      s->psi_full};

	buf_put(b, s->boot_id, sizeof(s->boot_id));
	buf_le64(b, (uint64_t)s->wall_us);
	buf_u8(b, s->clean);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		buf_le64(b, (uint64_t)figures[i]);
	put_tops(b, s->largest, s->n_largest);
	put_tops(b, s->growing, s->n_growing);
}

static void put_body(struct buf *b, const struct blackbox *box)
{
	buf_u8(b,
	       (uint8_t)((box->have_previous ? SLOT_PREVIOUS : 0) | (box->told ? SLOT_TOLD : 0)));
	buf_le64(b, box->next_seq);
	buf_le32(b, box->cursor);
	put_state(b, &box->now);
	if (box->have_previous)
		put_state(b, &box->previous);
	buf_u8(b, (uint8_t)box->n_dossiers);
	for (uint32_t i = 0; i < box->n_dossiers; i++) {
		const struct blackbox_dossier *d = &box->dossiers[i];

		buf_le64(b, d->seq);
		buf_le64(b, (uint64_t)d->wall_us);
		buf_le64(b, d->sum);
		buf_le32(b, d->offset);
		buf_le32(b, d->len);
	}
}

int blackbox_pack(const struct blackbox *box, uint8_t out[BLACKBOX_SLOT])
{
	auto_buf struct buf body = BUF_INIT(BODY_MAX);
	auto_buf struct buf slot = BUF_INIT(BLACKBOX_SLOT);

	put_body(&body, box);
	if (buf_status(&body) < 0)
		return -ENOBUFS;
	buf_le32(&slot, MAGIC);
	buf_le32(&slot, VERSION);
	buf_le64(&slot, box->generation);
	buf_le32(&slot, (uint32_t)body.len);
	buf_put(&slot, body.data, body.len);
	if (buf_status(&slot) < 0)
		return -ENOBUFS;
	memset(out, 0, BLACKBOX_SLOT);
	memcpy(out, slot.data, slot.len);
	slot.len = 0;
	buf_le64(&slot, XXH3_64bits(out, BLACKBOX_SLOT - SUM_SIZE));
	memcpy(out + BLACKBOX_SLOT - SUM_SIZE, slot.data, SUM_SIZE);
	return 0;
}

/* ---- reading ---- */

static uint8_t take_tops(struct cursor *c, struct blackbox_top *tops)
{
	uint8_t n = cursor_u8(c);

	if (n > BLACKBOX_TOP)
		c->bad = true;
	for (uint8_t i = 0; !c->bad && i < n; i++) {
		const uint8_t *name;
		uint8_t len;

		tops[i].pid = cursor_le32(c);
		tops[i].rss_kib = cursor_le32(c);
		tops[i].grown_kib = (int64_t)cursor_le64(c);
		len = cursor_u8(c);
		name = cursor_bytes(c, len);
		if (!name || len > BLACKBOX_NAME_MAX || !str_is_safe(name, len)) {
			c->bad = true;
			break;
		}
		memcpy(tops[i].name, name, len);
		tops[i].name[len] = '\0';
	}
	return n;
}

static void take_state(struct cursor *c, struct blackbox_state *s)
{
	int64_t *const figures[] = {&s->mem_total, &s->mem_available, &s->swap_total,
				    &s->swap_free, &s->psi_some,      &s->psi_full};
	const uint8_t *boot_id = cursor_bytes(c, sizeof(s->boot_id));

	if (boot_id)
		memcpy(s->boot_id, boot_id, sizeof(s->boot_id));
	s->wall_us = (int64_t)cursor_le64(c);
	s->clean = cursor_u8(c) != 0;
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		*figures[i] = (int64_t)cursor_le64(c);
	s->n_largest = take_tops(c, s->largest);
	s->n_growing = take_tops(c, s->growing);
}

static void take_dossiers(struct cursor *c, struct blackbox *box)
{
	uint32_t total = 0;

	box->n_dossiers = cursor_u8(c);
	if (box->n_dossiers > BLACKBOX_DOSSIERS)
		c->bad = true;
	for (uint32_t i = 0; !c->bad && i < box->n_dossiers; i++) {
		struct blackbox_dossier *d = &box->dossiers[i];

		d->seq = cursor_le64(c);
		d->wall_us = (int64_t)cursor_le64(c);
		d->sum = cursor_le64(c);
		d->offset = cursor_le32(c);
		d->len = cursor_le32(c);
		total += d->len;
		if (!d->len || d->len > BLACKBOX_DOSSIER_MAX || total > BLACKBOX_TOTAL_MAX ||
		    d->offset > BLACKBOX_REGION - d->len)
			c->bad = true;
	}
}

int blackbox_unpack(const uint8_t *slot, size_t len, struct blackbox *ret)
{
	struct cursor c = cursor_of(slot, len);
	struct cursor sum;
	struct blackbox box = *ret;
	uint32_t body;
	uint8_t flags;

	if (len != BLACKBOX_SLOT || cursor_le32(&c) != MAGIC || cursor_le32(&c) != VERSION)
		return -EBADMSG;
	sum = cursor_of(slot + BLACKBOX_SLOT - SUM_SIZE, SUM_SIZE);
	if (cursor_le64(&sum) != XXH3_64bits(slot, BLACKBOX_SLOT - SUM_SIZE))
		return -EBADMSG;
	box.generation = cursor_le64(&c);
	body = cursor_le32(&c);
	if (body > BODY_MAX)
		return -EBADMSG;
	c = cursor_of(slot + HEADER_SIZE, body);
	flags = cursor_u8(&c);
	box.have_previous = flags & SLOT_PREVIOUS;
	box.told = flags & SLOT_TOLD;
	box.next_seq = cursor_le64(&c);
	box.cursor = cursor_le32(&c);
	take_state(&c, &box.now);
	if (box.have_previous)
		take_state(&c, &box.previous);
	take_dossiers(&c, &box);
	if (c.bad || cursor_left(&c) || box.cursor > BLACKBOX_REGION)
		return -EBADMSG;
	*ret = box;
	return 0;
}
