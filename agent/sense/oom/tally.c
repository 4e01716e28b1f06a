/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/tally.h"

void tally_start(struct tally *t, int64_t counter)
{
	*t = (struct tally){.started = true, .counted = counter, .told = counter};
}

void tally_told(struct tally *t)
{
	t->told++;
}

/* Writes the difference off, on the side that is behind. */
static int64_t settle(struct tally *t)
{
	int64_t count = t->mark - MIN_OF(t->told, t->counted);

	if (t->side == TALLY_MISSING)
		t->told += count;
	else
		t->told -= count;
	t->side = TALLY_AGREES;
	return count;
}

enum tally_state tally_check(struct tally *t, int64_t counter, int64_t now_us, int64_t *ret_count)
{
	enum tally_state side;

	*ret_count = 0;
	if (!t->started || counter < t->counted)
		tally_start(t, counter);
	t->counted = counter;
	if (t->told == counter) {
		t->side = TALLY_AGREES;
		return TALLY_AGREES;
	}
	side = counter > t->told ? TALLY_MISSING : TALLY_SURPLUS;
	if (side != t->side || MIN_OF(t->told, counter) >= t->mark) {
		t->side = side;
		t->mark = MAX_OF(t->told, counter);
		t->since_us = now_us;
		return TALLY_WAITING;
	}
	if (now_us - t->since_us < TALLY_PATIENCE_US)
		return TALLY_WAITING;
	*ret_count = settle(t);
	return side;
}
