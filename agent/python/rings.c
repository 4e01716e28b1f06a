/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/rings.h"

#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"
#include "common/clock.h"

#define RINGS_SIZE  1112u /* without the counter of writers */
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

static bool is_settled(const struct rings *g, const uint8_t before[LAYOUT_GENERATIONS])
{
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++)
		if (g->bytes[rings[i].index] != before[i])
			return false;
	return true;
}

/* The indices (and 3.15.2's counter of writers) before, all of it, and the same after: a record is
 * written before its index is moved to it. */
static int read_once(const struct runtime *r, uint64_t address, struct rings *ret)
{
	uint8_t before[LAYOUT_GENERATIONS];
	uint8_t after[LAYOUT_GENERATIONS];
	uint32_t writers[2] = {0};
	bool counted = r->layout.gc.stats_size > RINGS_SIZE;
	struct memory_span spans[MEMORY_MAX_SPANS];
	unsigned n = 0;
	int rc;

	for (unsigned i = 0; !counted && i < LAYOUT_GENERATIONS; i++)
		spans[n++] = (struct memory_span){address + rings[i].index, &before[i], 1};
	if (counted)
		spans[n++] = (struct memory_span){address + RINGS_SIZE, &writers[0], 4};
	spans[n++] = (struct memory_span){address, ret->bytes, sizeof(ret->bytes)};
	for (unsigned i = 0; !counted && i < LAYOUT_GENERATIONS; i++)
		spans[n++] = (struct memory_span){address + rings[i].index, &after[i], 1};
	if (counted)
		spans[n++] = (struct memory_span){address + RINGS_SIZE, &writers[1], 4};
	rc = memory_read_spans(r->pid, spans, n);
	if (rc < 0)
		return rc;
	if (counted)
		return writers[0] == writers[1] && !(writers[0] & 1) ? 0 : -EAGAIN;
	return is_settled(ret, before) && is_settled(ret, after) ? 0 : -EAGAIN;
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
