/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/tally.h"

void tally_start(struct tally *t, int64_t counter)
{
	*t = (struct tally){.started = true, .base = counter};
}

void tally_told(struct tally *t)
{
	t->told++;
}

enum tally_state tally_check(struct tally *t, int64_t counter, int64_t now_us, int64_t *ret_count)
{
	int64_t difference;

	*ret_count = 0;
	if (!t->started || counter < t->base) {
		tally_start(t, counter);
		return TALLY_AGREES;
	}
	difference = counter - t->base - t->told;
	if (difference == 0) {
		tally_start(t, counter);
		return TALLY_AGREES;
	}
	if (difference != t->last_difference) {
		t->last_difference = difference;
		t->since_us = now_us;
	}
	if (now_us - t->since_us < TALLY_PATIENCE_US)
		return TALLY_WAITING;
	tally_start(t, counter);
	*ret_count = difference > 0 ? difference : -difference;
	return difference > 0 ? TALLY_MISSING : TALLY_SURPLUS;
}
