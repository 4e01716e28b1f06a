/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/lane.h"

#include <errno.h>

/* Beside what the samples have: enough for the largest record and, at a usual size of 2 to 10 KiB,
 * a burst of dozens of kills. */
#define URGENT_SHARE 8
#define URGENT_MIN   ((size_t)256 * 1024)

const char *lane_name(enum lane_id id)
{
	return id == LANE_URGENT ? "urgent" : "samples";
}

enum lane_id lane_of_kind(enum wire_record kind)
{
	return kind == WIRE_TICK ? LANE_SAMPLES : LANE_URGENT;
}

size_t lane_urgent_bytes(size_t sample_bytes)
{
	return MAX_OF(sample_bytes / URGENT_SHARE, URGENT_MIN);
}

int lanes_init(struct lanes *ls, const uint64_t epochs[LANE_COUNT], size_t sample_bytes)
{
	const size_t bytes[LANE_COUNT] = {
		[LANE_URGENT] = lane_urgent_bytes(sample_bytes),
		[LANE_SAMPLES] = sample_bytes,
	};

	*ls = (struct lanes){0};
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		int rc = spool_new(bytes[id], &ls->of[id].spool);

		if (rc < 0)
			return rc;
		ls->of[id].epoch = epochs[id];
		ls->of[id].kind = id;
		ls->n++;
	}
	return 0;
}

void lanes_fini(struct lanes *ls)
{
	for (size_t i = 0; i < LANES_MAX; i++)
		spool_free(&ls->of[i].spool);
	ls->n = 0;
}

int lanes_add_old(struct lanes *ls, uint64_t epoch, enum lane_id kind, struct spool *spool,
		  struct spool_stream *disk)
{
	if (ls->n == LANES_MAX)
		return -ENOSPC;
	ls->of[ls->n++] = (struct lane){epoch, kind, spool, disk};
	return 0;
}

void lanes_remove_old(struct lanes *ls, size_t i)
{
	spool_free(&ls->of[i].spool);
	ls->n--;
	for (; i < ls->n; i++)
		ls->of[i] = ls->of[i + 1];
	ls->of[ls->n] = (struct lane){0};
}

struct lane *lanes_find(struct lanes *ls, uint64_t epoch)
{
	for (size_t i = 0; i < ls->n; i++)
		if (ls->of[i].epoch == epoch)
			return &ls->of[i];
	return NULL;
}

/* The first of that kind that has something unsent, from..n. */
static size_t next_of(const struct lanes *ls, size_t from, enum lane_id kind)
{
	for (size_t i = from; i < ls->n; i++)
		if (ls->of[i].kind == kind && spool_waits(ls->of[i].spool))
			return i;
	return LANES_MAX;
}

size_t lanes_next(const struct lanes *ls)
{
	size_t i = next_of(ls, LANE_URGENT, LANE_URGENT);

	if (i == LANES_MAX)
		i = next_of(ls, LANE_COUNT, LANE_SAMPLES);
	return i == LANES_MAX ? next_of(ls, LANE_SAMPLES, LANE_SAMPLES) : i;
}

bool lane_drained(const struct lane *l)
{
	return spool_seq_min(l->spool) > spool_seq_max(l->spool);
}

bool lanes_drained(const struct lanes *ls)
{
	for (size_t i = 0; i < ls->n; i++)
		if (!lane_drained(&ls->of[i]))
			return false;
	return true;
}

void lanes_epochs(const struct lanes *ls, struct wire_epoch ret[LANES_MAX])
{
	for (size_t i = 0; i < ls->n; i++)
		ret[i] = (struct wire_epoch){.epoch = ls->of[i].epoch,
					     .seq_min = spool_seq_min(ls->of[i].spool),
					     .seq_max = spool_seq_max(ls->of[i].spool)};
}

void lanes_sum(const struct lanes *ls, struct spool_stats *ret)
{
	*ret = (struct spool_stats){0};
	for (size_t i = 0; i < ls->n; i++) {
		struct spool_stats one;

		spool_stats(ls->of[i].spool, &one);
		ret->produced += one.produced;
		ret->acked += one.acked;
		ret->held_records += one.held_records;
		ret->held_on_disk += one.held_on_disk;
		ret->held_gapped += one.held_gapped;
		ret->dropped += one.dropped;
		ret->bytes += one.bytes;
	}
}
