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
	}
	return 0;
}

void lanes_fini(struct lanes *ls)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		spool_free(&ls->of[id].spool);
}

struct lane *lanes_find(struct lanes *ls, uint64_t epoch)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		if (ls->of[id].epoch == epoch)
			return &ls->of[id];
	return NULL;
}

enum lane_id lanes_next(const struct lanes *ls)
{
	struct spool_view v;
	enum lane_id id = 0;

	while (id < LANE_COUNT && !spool_peek(ls->of[id].spool, &v))
		id++;
	return id;
}

bool lanes_drained(const struct lanes *ls)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		if (spool_seq_min(ls->of[id].spool) <= spool_seq_max(ls->of[id].spool))
			return false;
	return true;
}

void lanes_epochs(const struct lanes *ls, struct wire_epoch ret[LANE_COUNT])
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		ret[id] = (struct wire_epoch){.epoch = ls->of[id].epoch,
					      .seq_min = spool_seq_min(ls->of[id].spool),
					      .seq_max = spool_seq_max(ls->of[id].spool)};
}

void lanes_sum(const struct lanes *ls, struct spool_stats *ret)
{
	*ret = (struct spool_stats){0};
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		struct spool_stats one;

		spool_stats(ls->of[id].spool, &one);
		ret->produced += one.produced;
		ret->acked += one.acked;
		ret->held_records += one.held_records;
		ret->held_gapped += one.held_gapped;
		ret->dropped += one.dropped;
		ret->bytes += one.bytes;
	}
}
