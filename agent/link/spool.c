/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/spool.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

/* malloc's own, per block: glibc keeps 8 bytes and rounds up to 16. */
#define MALLOC_OVERHEAD 16

struct item {
	TAILQ_ENTRY(item) link;
	uint64_t seq;
	uint64_t to_seq;       /* == seq but for gaps */
	enum wire_record kind; /* GAP also for what is on the disk */
	bool keyframe;
	bool on_disk;   /* and no longer here */
	uint8_t reason; /* of a gap: enum wire_gap_reason */
	uint8_t *body;
	size_t len; /* of body; in a gap: of all the bodies that went */
	int64_t t_first_us;
	int64_t t_last_us;
};
TAILQ_HEAD(item_list, item);

struct spool {
	struct item_list items;
	struct item *unsent; /* the first one; NULL = all were sent on this connection */
	size_t max_bytes;
	size_t bytes;
	uint64_t last_seq;  /* given out */
	uint64_t sent_seq;  /* sent on this connection */
	uint64_t acked_seq; /* stored */
	uint64_t dropped;
	int64_t acked_t_us; /* time of the last record acked */
	struct spool_disk disk;
	uint64_t disk_from; /* what may leave memory, from..to */
	uint64_t disk_to;
	uint64_t shown_to; /* of what is on the disk: the last number that spool_peek showed */
	bool broken;       /* the newest ticks are gone: deltas are no use until a keyframe comes */
	/* Numbers at the very end for which there was no memory to write down even the gap. */
	struct item owed;
};

static size_t cost(const struct item *it)
{
	return sizeof(*it) + MALLOC_OVERHEAD + (it->body ? it->len + MALLOC_OVERHEAD : 0);
}

int spool_new(size_t max_bytes, struct spool **ret)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->items);
	s->max_bytes = max_bytes;
	s->disk_from = 1;
	s->broken = true; /* a stream begins with a keyframe */
	*ret = s;
	return 0;
}

static void remove_item(struct spool *s, struct item *it)
{
	s->bytes -= cost(it);
	if (s->unsent == it)
		s->unsent = TAILQ_NEXT(it, link);
	TAILQ_REMOVE(&s->items, it, link);
	free(it->body);
	free(it);
}

void spool_free(struct spool **s)
{
	struct item *it;

	if (!*s)
		return;
	while ((it = TAILQ_FIRST(&(*s)->items)))
		remove_item(*s, it);
	free(*s);
	*s = NULL;
}

static uint64_t numbers(const struct item *it)
{
	return it->to_seq - it->seq + 1;
}

/* A gap that was sent keeps its extent: what the collector was told is not changed later. */
static bool can_join(const struct spool *s, const struct item *a, const struct item *b)
{
	return a && b && a->kind == WIRE_GAP && b->kind == WIRE_GAP && a->on_disk == b->on_disk &&
	       a->reason == b->reason && (b->seq > s->sent_seq) == (a->seq > s->sent_seq);
}

static void absorb(struct item *gap, const struct item *next)
{
	gap->to_seq = next->to_seq;
	gap->len += next->len;
	gap->t_first_us = MIN_OF(gap->t_first_us, next->t_first_us);
	gap->t_last_us = MAX_OF(gap->t_last_us, next->t_last_us);
}

/* Joins it with the gap before it, if that is one; returns what remains. */
static struct item *join_back(struct spool *s, struct item *it)
{
	struct item *before = TAILQ_PREV(it, item_list, link);

	if (!can_join(s, before, it))
		return it;
	absorb(before, it);
	remove_item(s, it);
	return before;
}

static void empty(struct spool *s, struct item *it)
{
	s->bytes -= cost(it);
	free(it->body);
	it->body = NULL;
	it->kind = WIRE_GAP;
	s->bytes += cost(it);
}

/* Turns a record into a gap of one number in its place; needs no memory. */
static void make_gap(struct spool *s, struct item *it)
{
	empty(s, it);
	it->reason = WIRE_GAP_SPOOL_FULL;
	s->dropped++;
}

static void insert_last(struct spool *s, struct item *it)
{
	TAILQ_INSERT_TAIL(&s->items, it, link);
	s->bytes += cost(it);
	if (!s->unsent)
		s->unsent = it;
}

/* Writes down what is owed as a gap at the end. */
static int settle(struct spool *s)
{
	struct item *last = TAILQ_LAST(&s->items, item_list);
	struct item *gap;

	if (!s->owed.seq)
		return 0;
	if (can_join(s, last, &s->owed)) {
		absorb(last, &s->owed);
	} else {
		gap = malloc(sizeof(*gap));
		if (!gap)
			return -ENOMEM;
		*gap = s->owed;
		insert_last(s, gap);
	}
	s->owed.seq = 0;
	return 0;
}

static void owe(struct spool *s, uint64_t seq, int64_t t_us, size_t len)
{
	struct item one = {.seq = seq,
			   .to_seq = seq,
			   .kind = WIRE_GAP,
			   .reason = WIRE_GAP_SPOOL_FULL,
			   .len = len,
			   .t_first_us = t_us,
			   .t_last_us = t_us};

	s->dropped++;
	if (s->owed.seq)
		absorb(&s->owed, &one);
	else
		s->owed = one;
}

static struct item *new_item(enum wire_record kind, bool keyframe, int64_t t_us, const void *body,
			     size_t len)
{
	struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->body = malloc(MAX_OF(len, (size_t)1));
	if (!it->body) {
		free(it);
		return NULL;
	}
	if (len)
		memcpy(it->body, body, len);
	it->kind = kind;
	it->keyframe = keyframe;
	it->len = len;
	it->t_first_us = it->t_last_us = t_us;
	return it;
}

/* In this order records go when the spool is full; gaps alone are few and stay. */
enum { RANK_TICK, RANK_EVENT, RANK_KILL, RANK_NONE };

static int rank_of(enum wire_record kind)
{
	switch (kind) {
	case WIRE_TICK:
		return RANK_TICK;
	case WIRE_EVENT:
	case WIRE_POSTURE:
	case WIRE_CENSUS:
	case WIRE_SNAPSHOT:
		return RANK_EVENT;
	case WIRE_KILL:
		return RANK_KILL;
	case WIRE_GAP:
		break;
	}
	return RANK_NONE;
}

static struct item *first_to_go(const struct spool *s)
{
	struct item *found = NULL;
	int rank = RANK_NONE;
	struct item *it;

	TAILQ_FOREACH (it, &s->items, link) {
		if (rank_of(it->kind) >= rank)
			continue;
		found = it;
		rank = rank_of(it->kind);
		if (rank == RANK_TICK)
			break;
	}
	return found;
}

/* Drops the oldest tick and those after it that cannot be decoded without it. */
static void drop_group(struct spool *s, struct item *it)
{
	struct item *next;

	for (bool first = true; it; it = next, first = false) {
		next = TAILQ_NEXT(it, link);
		if (it->kind == WIRE_TICK && it->keyframe && !first)
			return;
		if (it->kind == WIRE_TICK)
			make_gap(s, it);
		if (it->kind == WIRE_GAP)
			join_back(s, it);
	}
	s->broken = true; /* no keyframe after it: it was the newest group */
}

static void drop_one(struct spool *s, struct item *it)
{
	make_gap(s, it);
	it = join_back(s, it);
	if (TAILQ_NEXT(it, link))
		join_back(s, TAILQ_NEXT(it, link));
}

/* The oldest record in memory that the disk has, too. */
static struct item *first_to_leave(const struct spool *s)
{
	struct item *it;

	TAILQ_FOREACH (it, &s->items, link)
		if (it->kind != WIRE_GAP && it->seq >= s->disk_from && it->seq <= s->disk_to)
			return it;
	return NULL;
}

static void leave(struct spool *s, struct item *it)
{
	empty(s, it);
	it->on_disk = true;
	it = join_back(s, it);
	if (TAILQ_NEXT(it, link))
		join_back(s, TAILQ_NEXT(it, link));
}

static void make_room(struct spool *s)
{
	while (s->bytes > s->max_bytes) {
		struct item *it = first_to_leave(s);

		if (it) {
			leave(s, it);
			continue;
		}
		it = first_to_go(s);
		if (!it)
			return;
		if (it->kind == WIRE_TICK)
			drop_group(s, it);
		else
			drop_one(s, it);
	}
}

static void append(struct spool *s, struct item *it)
{
	it->seq = it->to_seq = s->last_seq;
	insert_last(s, it);
	if (it->kind == WIRE_TICK)
		s->broken = false;
}

enum spool_result spool_add(struct spool *s, enum wire_record kind, bool keyframe, int64_t t_us,
			    const void *body, size_t len)
{
	bool useless = kind == WIRE_TICK && !keyframe && s->broken;
	struct item *it = useless ? NULL : new_item(kind, keyframe, t_us, body, len);

	s->last_seq++;
	if (it && settle(s) == 0) {
		append(s, it);
		make_room(s);
		return s->broken ? SPOOL_WANTS_KEYFRAME : SPOOL_KEPT;
	}
	if (it)
		free(it->body);
	free(it);
	owe(s, s->last_seq, t_us, len);
	if (kind == WIRE_TICK)
		s->broken = true;
	if (settle(s) < 0) /* stays owed, until memory is there again */
		s->broken = true;
	return s->broken ? SPOOL_WANTS_KEYFRAME : SPOOL_KEPT;
}

bool spool_waits(const struct spool *s)
{
	return s->unsent;
}

static void show_gap(const struct item *it, struct spool_view *ret)
{
	*ret = (struct spool_view){.seq = it->seq, .kind = WIRE_GAP};
	ret->gap = (struct wire_gap){
		.to_seq = it->to_seq,
		.records = it->reason == WIRE_GAP_UNCLEAN_END
				   ? 0
				   : (uint32_t)MIN_OF(numbers(it), (uint64_t)UINT32_MAX),
		.bytes = it->len,
		.reason = (enum wire_gap_reason)it->reason,
		.t_first_us = it->t_first_us,
		.t_last_us = it->t_last_us,
	};
}

static void show(const struct item *it, struct spool_view *ret)
{
	if (it->kind == WIRE_GAP)
		show_gap(it, ret);
	else
		*ret = (struct spool_view){.seq = it->seq,
					   .kind = it->kind,
					   .body = it->body,
					   .len = it->len};
}

/* What of it is to be sent next. */
static uint64_t next_of(const struct spool *s, const struct item *it)
{
	return MAX_OF(it->seq, s->sent_seq + 1);
}

bool spool_peek(struct spool *s, struct spool_view *ret)
{
	const struct item *it = s->unsent;
	uint64_t seq;

	if (!it)
		return false;
	if (!it->on_disk) {
		show(it, ret);
		return true;
	}
	seq = next_of(s, it);
	s->disk.load(s->disk.arg, seq, it->to_seq, ret);
	if (ret->kind == WIRE_GAP) {
		spool_lost(s, seq, &ret->gap);
		if (!s->unsent->on_disk) { /* it has become one of ours */
			show(s->unsent, ret);
			return true;
		}
	}
	s->shown_to = ret->kind == WIRE_GAP ? ret->gap.to_seq : ret->seq;
	return true;
}

void spool_sent(struct spool *s)
{
	struct item *it = s->unsent;

	if (!it)
		return;
	s->sent_seq = it->on_disk ? s->shown_to : it->to_seq;
	if (s->sent_seq >= it->to_seq)
		s->unsent = TAILQ_NEXT(it, link);
}

/* A gap that is stored in part (its records were, before they were dropped here) shrinks. */
static void trim_gap(struct item *it, uint64_t seq)
{
	uint64_t n = numbers(it);

	it->len -= (size_t)((double)it->len * ((double)(seq - it->seq + 1) / (double)n));
	it->seq = seq + 1;
}

static void release(struct spool *s, uint64_t seq)
{
	struct item *it;

	while ((it = TAILQ_FIRST(&s->items)) && it->to_seq <= seq) {
		s->acked_t_us = it->t_last_us;
		remove_item(s, it);
	}
	if (it && it->seq <= seq)
		trim_gap(it, seq);
	if (s->owed.seq && s->owed.to_seq <= seq)
		s->owed.seq = 0;
	s->acked_seq = seq;
}

int spool_ack(struct spool *s, uint64_t seq)
{
	if (seq > s->sent_seq)
		return -ERANGE;
	if (seq > s->acked_seq)
		release(s, seq);
	return 0;
}

static void join_gaps(struct spool *s)
{
	struct item *it = TAILQ_FIRST(&s->items);

	while (it) {
		it = join_back(s, it);
		it = TAILQ_NEXT(it, link);
	}
}

/* The collector has less than it once acked (its database was set back): say what is gone. */
static int give_back(struct spool *s, uint64_t last_seq)
{
	struct item *gap = calloc(1, sizeof(*gap));

	if (!gap)
		return -ENOMEM;
	gap->seq = last_seq + 1;
	gap->to_seq = s->acked_seq;
	gap->kind = WIRE_GAP;
	gap->reason = WIRE_GAP_SPOOL_FULL;
	gap->t_first_us = gap->t_last_us = s->acked_t_us;
	TAILQ_INSERT_HEAD(&s->items, gap, link);
	s->bytes += cost(gap);
	s->dropped += numbers(gap);
	s->acked_seq = last_seq;
	return 0;
}

int spool_rewind(struct spool *s, uint64_t last_seq)
{
	int rc;

	if (last_seq > s->last_seq)
		return -ERANGE;
	if (last_seq < s->acked_seq) {
		rc = give_back(s, last_seq);
		if (rc < 0)
			return rc;
	} else {
		release(s, last_seq);
	}
	s->sent_seq = last_seq;
	s->unsent = TAILQ_FIRST(&s->items);
	join_gaps(s);
	return 0;
}

/* ---- what is on the disk ---- */

void spool_use_disk(struct spool *s, const struct spool_disk *d)
{
	s->disk = *d;
}

void spool_on_disk(struct spool *s, uint64_t seq)
{
	s->disk_to = seq;
}

static struct item *new_gap(uint64_t from, uint64_t to, bool on_disk, unsigned reason)
{
	struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->seq = from;
	it->to_seq = to;
	it->kind = WIRE_GAP;
	it->on_disk = on_disk;
	it->reason = (uint8_t)reason;
	return it;
}

static void insert_after(struct spool *s, struct item *it, struct item *next)
{
	TAILQ_INSERT_AFTER(&s->items, it, next, link);
	s->bytes += cost(next);
}

/* Cuts it in two before seq; the second half, NULL without memory. */
static struct item *split(struct spool *s, struct item *it, uint64_t seq)
{
	struct item *half;

	if (seq <= it->seq)
		return it;
	half = new_gap(seq, it->to_seq, it->on_disk, it->reason);
	if (!half)
		return NULL;
	half->t_first_us = it->t_last_us;
	half->t_last_us = it->t_last_us;
	it->to_seq = seq - 1;
	insert_after(s, it, half);
	if (s->unsent == it && s->sent_seq >= it->to_seq)
		s->unsent = half;
	return half;
}

static void lose(struct spool *s, struct item *it, uint64_t from, const struct wire_gap *gap)
{
	uint64_t to = MIN_OF(it->to_seq, gap->to_seq);
	uint64_t all = numbers(it);

	it = split(s, it, MAX_OF(it->seq, from));
	if (!it || (to < it->to_seq && !split(s, it, to + 1)))
		return;
	it->on_disk = false;
	it->reason = (uint8_t)gap->reason;
	it->len = numbers(it) == all ? MIN_OF(it->len, (size_t)gap->bytes) : (size_t)gap->bytes;
	it->t_first_us = gap->t_first_us;
	it->t_last_us = gap->t_last_us;
	s->dropped += numbers(it);
	join_back(s, it);
}

void spool_lost(struct spool *s, uint64_t from, const struct wire_gap *gap)
{
	struct item *it;
	struct item *next;

	s->disk_from = MAX_OF(s->disk_from, gap->to_seq + 1);
	for (it = TAILQ_FIRST(&s->items); it && it->seq <= gap->to_seq; it = next) {
		next = TAILQ_NEXT(it, link);
		if (it->on_disk && it->to_seq >= from)
			lose(s, it, from, gap);
	}
}

int spool_restore(struct spool *s, uint64_t first, uint64_t last)
{
	struct item *it = new_gap(first, last, true, 0);

	if (!it)
		return -ENOMEM;
	s->last_seq = last;
	s->acked_seq = s->sent_seq = first - 1;
	insert_last(s, it);
	return 0;
}

int spool_end_unclean(struct spool *s, int64_t t_first_us, int64_t t_last_us)
{
	struct item *it = new_gap(s->last_seq + 1, s->last_seq + 1, false, WIRE_GAP_UNCLEAN_END);

	if (!it)
		return -ENOMEM;
	it->t_first_us = t_first_us;
	it->t_last_us = t_last_us;
	s->last_seq++;
	s->dropped++;
	insert_last(s, it);
	return 0;
}

uint64_t spool_disk_end(const struct spool *s)
{
	const struct item *it;
	uint64_t end = 0;

	TAILQ_FOREACH (it, &s->items, link)
		if (it->on_disk)
			end = it->to_seq;
	return end;
}

int spool_walk(struct spool *s, uint64_t seq,
	       int (*each)(void *arg, const struct spool_view *v, bool keyframe, int64_t t_us),
	       void *arg)
{
	struct item *it;
	int rc = settle(s);

	if (rc < 0)
		return rc;
	it = TAILQ_LAST(&s->items, item_list);
	while (it && it->seq > seq + 1 && TAILQ_PREV(it, item_list, link))
		it = TAILQ_PREV(it, item_list, link);
	for (; it && rc == 0; it = TAILQ_NEXT(it, link)) {
		struct spool_view v;

		if (it->to_seq <= seq || it->on_disk)
			continue;
		show(it, &v);
		v.seq = MAX_OF(v.seq, seq + 1);
		rc = each(arg, &v, it->keyframe, it->t_first_us);
	}
	return rc;
}

uint64_t spool_seq_min(const struct spool *s)
{
	return s->acked_seq + 1;
}

uint64_t spool_seq_max(const struct spool *s)
{
	return s->last_seq;
}

void spool_stats(const struct spool *s, struct spool_stats *ret)
{
	const struct item *it;

	*ret = (struct spool_stats){.produced = s->last_seq,
				    .acked = s->acked_seq,
				    .dropped = s->dropped,
				    .bytes = s->bytes};
	TAILQ_FOREACH (it, &s->items, link)
		if (it->on_disk)
			ret->held_on_disk += numbers(it);
		else if (it->kind == WIRE_GAP)
			ret->held_gapped += numbers(it);
		else
			ret->held_records++;
	ret->held_records += ret->held_on_disk;
	if (s->owed.seq)
		ret->held_gapped += numbers(&s->owed);
}
