/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/rings.h"

#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"
#include "common/clock.h"

#define RINGS_SIZE  1112u /* without the counter of writers */
#define GUARD_FROM  704u
#define GUARD_SIZE  401u
#define RINGS_LOOKS 8u
#define MAX_SECONDS 1e9

/* A record, in bytes. */
#define RECORD_SIZE    64u
#define RECORD_START   0u /* ns, CLOCK_MONOTONIC */
#define RECORD_STOP    8u
#define RECORD_NUMBER  16u
#define RECORD_FREED   24u
#define RECORD_STUCK   32u
#define RECORD_SECONDS 48u /* double, in all collections so far */

static const struct ring {
	uint16_t at;
	uint16_t index; /* int8: which record is the newest */
	uint8_t n;
} rings[LAYOUT_GENERATIONS] = {{0, 704, 11}, {712, 904, 3}, {912, 1104, 3}};

struct rings {
	uint8_t bytes[RINGS_SIZE];
};

/* Read before and after: 3.15.2's counter of writers, odd while one is inside, or from the first
 * index to the last. A record is written before its index is moved to it. */
struct guard {
	uint8_t bytes[GUARD_SIZE];
};

static bool is_settled(const struct guard *before, const struct guard *after, bool counted)
{
	if (counted)
		return memory_i32(before->bytes) == memory_i32(after->bytes) &&
		       !(memory_i32(before->bytes) & 1);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++)
		if (before->bytes[rings[i].index - GUARD_FROM] !=
		    after->bytes[rings[i].index - GUARD_FROM])
			return false;
	return true;
}

static int read_once(const struct runtime *r, uint64_t address, struct rings *ret)
{
	bool counted = r->layout.gc.stats_size > RINGS_SIZE;
	uint64_t at = address + (counted ? RINGS_SIZE : GUARD_FROM);
	size_t n = counted ? sizeof(uint32_t) : GUARD_SIZE;
	struct guard before = {{0}};
	struct guard after = {{0}};
	int rc = memory_read_spans(r->pid,
				   (const struct memory_span[]){{at, before.bytes, n},
								{address, ret->bytes,
								 sizeof(ret->bytes)},
								{at, after.bytes, n}},
				   3);

	if (rc < 0)
		return rc;
	return is_settled(&before, &after, counted) ? 0 : -EAGAIN;
}

static int read_rings(const struct runtime *r, uint64_t address, struct rings *ret)
{
	int rc = -EAGAIN;

	for (unsigned i = 0; i < RINGS_LOOKS && rc == -EAGAIN; i++)
		rc = read_once(r, address, ret);
	for (unsigned i = 0; rc == 0 && i < LAYOUT_GENERATIONS; i++)
		if (ret->bytes[rings[i].index] >= rings[i].n)
			rc = -EBADMSG;
	return rc;
}

static const uint8_t *record(const struct rings *g, unsigned generation, unsigned i)
{
	return g->bytes + rings[generation].at + (size_t)i * RECORD_SIZE;
}

int rings_totals(const struct runtime *r, uint64_t address,
		 struct gcstat_generation ret[LAYOUT_GENERATIONS])
{
	struct rings g;
	int rc = read_rings(r, address, &g);

	for (unsigned i = 0; rc == 0 && i < LAYOUT_GENERATIONS; i++) {
		const uint8_t *p = record(&g, i, g.bytes[rings[i].index]);
		double seconds;

		memcpy(&seconds, p + RECORD_SECONDS, sizeof(seconds));
		if (!(seconds >= 0 && seconds < MAX_SECONDS))
			return -EBADMSG;
		ret[i].collections = memory_u64(p + RECORD_NUMBER);
		ret[i].collected = memory_u64(p + RECORD_FREED);
		ret[i].uncollectable = memory_u64(p + RECORD_STUCK);
		ret[i].duration_us = (int64_t)(seconds * (double)USEC_PER_SEC);
	}
	return rc;
}

int rings_pauses(const struct runtime *r, uint64_t address, unsigned generation,
		 struct gcstat_pause ret[GCSTAT_PAUSES])
{
	unsigned n = rings[generation].n;
	struct rings g;
	int count = 0;
	int rc = read_rings(r, address, &g);

	if (rc < 0)
		return rc;
	/* from the oldest: the one behind the newest; one never written has the number 0 */
	for (unsigned i = 1; i <= n; i++) {
		const uint8_t *p =
			record(&g, generation, (g.bytes[rings[generation].index] + i) % n);
		uint64_t start = memory_u64(p + RECORD_START);
		uint64_t stop = memory_u64(p + RECORD_STOP);
		uint64_t number = memory_u64(p + RECORD_NUMBER);

		if (number == 0 || stop < start || stop > INT64_MAX)
			continue;
		ret[count++] = (struct gcstat_pause){
			.start_us = (int64_t)(start / 1000),
			.duration_us = (int64_t)((stop - start) / 1000),
			.collections = number,
			.collected = memory_u64(p + RECORD_FREED),
		};
	}
	return count;
}
