/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ticks wait for the next ones of their host and are committed with them as one row: a row of six
 * rounds takes half of the log that six rows take. In memory they are already, so that nobody waits
 * to see them; their agent keeps them until they are acknowledged (docs/adr/0019).
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"

#define LOOK_US   (USEC_PER_SEC / 4)
#define ROW_BYTES ((size_t)16 * 1024) /* nothing is gained by more */
#define SHARE     4                   /* of the queue's bytes, at most one in so many wait */

static bool ticks_alone(const struct store_batch *b)
{
	return b->t_us && b->payload_len &&
	       !(b->n_born | b->n_exited | b->n_events | b->n_gaps | b->n_deaths | b->n_cgroups |
		 b->n_cgroups_gone | b->n_kills | b->n_postures | b->n_censuses | b->n_snapshots);
}

static struct hold *hold_of(const struct store *s, int32_t host_id)
{
	struct hold *h;

	HASH_FIND(hh, s->holds, &host_id, sizeof(host_id), h);
	return h;
}

static void release(struct store *s, struct hold *h)
{
	struct pending *p = store_pending_pack(s, &h->p->b);

	HASH_DEL(s->holds, h);
	s->held_bytes -= h->p->size;
	if (p) {
		p->t0_us = h->p->t0_us;
		free(h->p);
	} else { /* no memory for a smaller one */
		p = h->p;
	}
	free(h);
	store_enqueue(s, p);
}

static bool goes_on(const struct store *s, const struct hold *h, const struct store_batch *b)
{
	const struct store_batch *before = &h->p->b;

	return b->epoch == before->epoch && b->conn == before->conn &&
	       b->skew_us == before->skew_us && b->first_seq == before->last_seq + 1 &&
	       h->p->t0_us == window_start(s->cfg.window_us, b->t_us) &&
	       before->payload_len + b->payload_len <= ROW_BYTES;
}

/* Nothing but the payload is behind the struct. */
static bool append(struct store *s, struct hold *h, const struct store_batch *b)
{
	struct pending *p = realloc(h->p, h->p->size + b->payload_len);
	uint8_t *payload;

	if (!p)
		return false;
	h->p = p;
	payload = (uint8_t *)(p + 1);
	memcpy(payload + p->b.payload_len, b->payload, b->payload_len);
	p->b.payload = payload;
	p->b.payload_len += b->payload_len;
	p->b.last_seq = b->last_seq;
	p->size += b->payload_len;
	s->held_bytes += b->payload_len;
	return true;
}

static bool begin(struct store *s, const struct store_batch *b)
{
	struct hold *h = calloc(1, sizeof(*h));
	struct pending *p = h ? store_pending_new(b) : NULL;

	if (!p) {
		free(h);
		return false;
	}
	h->host_id = b->host_id;
	h->p = p;
	h->due_us = clock_boot_us() + MIN_OF(b->wait_us, s->cfg.wait_us);
	p->b.writer = s->writer;
	p->t0_us = window_start(s->cfg.window_us, b->t_us);
	HASH_ADD(hh, s->holds, host_id, sizeof(h->host_id), h);
	if (!h->hh.tbl) {
		free(p);
		free(h);
		return false;
	}
	s->held_bytes += p->size;
	if (!evtimer_pending(s->hold_timer, NULL))
		store_timer(s->hold_timer, LOOK_US);
	return true;
}

bool store_hold_take(struct store *s, const struct store_batch *b)
{
	struct hold *h;

	if (MIN_OF(b->wait_us, s->cfg.wait_us) <= 0 || s->follow.n || !ticks_alone(b))
		return false;
	h = hold_of(s, b->host_id);
	if (h && goes_on(s, h, b) && append(s, h, b))
		return true;
	if (h)
		release(s, h);
	return b->payload_len < ROW_BYTES &&
	       s->held_bytes + b->payload_len < (size_t)s->cfg.queue_bytes / SHARE && begin(s, b);
}

bool store_hold_release(struct store *s, int32_t host_id)
{
	struct hold *h = hold_of(s, host_id);

	if (h)
		release(s, h);
	return h;
}

static void release_before(struct store *s, int64_t due_us, int64_t t0_us)
{
	struct hold *h;
	struct hold *next;

	HASH_ITER (hh, s->holds, h, next)
		if (h->due_us <= due_us || h->p->t0_us <= t0_us)
			release(s, h);
}

void store_hold_release_all(struct store *s)
{
	release_before(s, INT64_MAX, INT64_MAX);
}

void store_hold_release_window(struct store *s, int64_t t0_us)
{
	release_before(s, INT64_MIN, t0_us);
}

void store_on_hold_timer(int fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	/* Another collector came and reads what we store. */
	release_before(s, s->follow.n ? INT64_MAX : clock_boot_us(), INT64_MIN);
	if (s->holds)
		store_timer(s->hold_timer, LOOK_US);
}

/* At once: a link that died without a disk is soon replaced by one that fences what it sent. */
void store_hurry(struct store *s, int32_t host_id)
{
	if (!store_hold_release(s, host_id))
		return;
	s->hurried = true;
	if (!s->flushing && !s->backoff_us)
		store_timer(s->flush_timer, 0);
}

void store_hold_fini(struct store *s)
{
	struct hold *h;
	struct hold *next;

	HASH_ITER (hh, s->holds, h, next) {
		HASH_DEL(s->holds, h);
		free(h->p);
		free(h);
	}
	if (s->hold_timer)
		event_free(s->hold_timer);
	s->hold_timer = NULL;
}
