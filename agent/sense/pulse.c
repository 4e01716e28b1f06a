/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/pulse.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "proto/metric.h"

int64_t pulse_time_left(int64_t left, int64_t fallen, int64_t span_us)
{
	double us;

	if (fallen <= 0 || span_us <= 0 || left < 0)
		return -1;
	us = (double)left / (double)fallen * (double)span_us;
	return us < 1e15 ? (int64_t)us : -1;
}

static void remember(struct pulse *p, const struct pulse_beat *b)
{
	p->t_us[p->at] = b->boot_us;
	p->available[p->at] = b->available;
	p->at = (p->at + 1) % PULSE_BEATS;
	p->n = MIN_OF(p->n + 1, (unsigned)PULSE_BEATS);
}

/* When the host has nothing left, by how far it fell since the oldest beat that is kept. */
static int64_t host_time_left(const struct pulse *p, const struct pulse_beat *b)
{
	unsigned oldest = p->n < PULSE_BEATS ? 0 : p->at;
	int64_t span = b->boot_us - p->t_us[oldest];
	int64_t fallen = p->available[oldest] - b->available;

	if (!p->n || span < PULSE_SPAN_MIN || fallen < b->total / 10000 * PULSE_FALL_MIN_PER_10000)
		return -1;
	return pulse_time_left(b->available, fallen, span);
}

static bool becomes(struct pulse *p, bool fast)
{
	bool changed = p->fast != fast;

	p->fast = fast;
	return changed;
}

bool pulse_hurry(struct pulse *p, int64_t boot_us)
{
	p->until_us = boot_us + PULSE_HOLD_US;
	return becomes(p, true);
}

bool pulse_feel(struct pulse *p, const struct pulse_beat *b, char why[PULSE_WHY_SIZE])
{
	int64_t left = -1;

	why[0] = '\0';
	if (b->available != METRIC_ABSENT && b->total > 0) {
		left = host_time_left(p, b);
		remember(p, b);
	}
	if (b->trigger) {
		snprintf(why, PULSE_WHY_SIZE, "tasks waited for memory (pressure trigger)");
		return pulse_hurry(p, b->boot_us);
	}
	if (b->psi_some10 != METRIC_ABSENT && b->psi_some10 >= PULSE_PSI_HIGH) {
		snprintf(why, PULSE_WHY_SIZE,
			 "tasks waited for memory in %" PRId64 " %% of the last 10 s",
			 b->psi_some10 / 100);
		return pulse_hurry(p, b->boot_us);
	}
	if (left >= 0 && left < PULSE_SOON_US) {
		snprintf(why, PULSE_WHY_SIZE,
			 "%" PRId64 " MiB available, gone in %" PRId64 " s at this rate",
			 b->available / 1024, (int64_t)(left / USEC_PER_SEC));
		return pulse_hurry(p, b->boot_us);
	}
	return b->boot_us >= p->until_us ? becomes(p, false) : false;
}

bool pulse_cgroup(struct pulse *p, int64_t boot_us, const char *path, int64_t before, int64_t now,
		  int64_t limit, int64_t between_us, char why[PULSE_WHY_SIZE])
{
	int64_t left;

	if (now - before < limit / 10000 * PULSE_FALL_MIN_PER_10000)
		return false;
	left = pulse_time_left(limit - now, now - before, between_us);
	if (left < 0 || left >= PULSE_SOON_US)
		return false;
	snprintf(why, PULSE_WHY_SIZE, "%.80s reaches its limit of %" PRId64 " MiB in %" PRId64 " s",
		 path, limit / 1024, (int64_t)(left / USEC_PER_SEC));
	return pulse_hurry(p, boot_us);
}
