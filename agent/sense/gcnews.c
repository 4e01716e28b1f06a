/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/gcnews.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

static const char *const words[] = {
#define X(NAME, word) #word,
	GCNEWS_LIST(X)
#undef X
};

const char *gcnews_word(enum gcnews_what what)
{
	return words[what];
}

void gcnews_learn(struct gcnews *n, const struct gcstat *st, const uint64_t sums[GC_COUNTERS],
		  int64_t boot_us)
{
	*n = (struct gcnews){.enabled = st->enabled,
			     .uncollectable = sums[GC_UNCOLLECTABLE],
			     .full = sums[GC_COLLECTIONS2],
			     .collected = sums[GC_COLLECTED],
			     .time_us = sums[GC_TIME_US]};
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++)
		n->thresholds[i] = st->generations[i].threshold;
	/* what it did before we looked is no news, and neither is the first after it */
	n->told_us[GCNEWS_FULL] = boot_us;
}

static bool may_tell(const struct gcnews *n, enum gcnews_what what, int64_t boot_us)
{
	int64_t rest = what == GCNEWS_FULL ? GCNEWS_FULL_US : GCNEWS_US;

	return !n->told_us[what] || boot_us - n->told_us[what] >= rest;
}

static bool thresholds_changed(const struct gcnews *n, const struct gcstat *st)
{
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++)
		if (n->thresholds[i] != st->generations[i].threshold)
			return true;
	return false;
}

static void tell_thresholds(struct gcnews *n, const struct gcstat *st, struct gcnews_item *ret)
{
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		ret->before[i] = n->thresholds[i];
		ret->now[i] = st->generations[i].threshold;
		n->thresholds[i] = st->generations[i].threshold;
	}
}

static void tell_full(struct gcnews *n, const struct gcstat *st, const uint64_t sums[GC_COUNTERS],
		      struct gcnews_item *ret)
{
	ret->count = sums[GC_COLLECTIONS2] - n->full;
	ret->collected = sums[GC_COLLECTED] - n->collected;
	ret->time_us =
		st->generations[0].duration_us < 0 ? -1 : (int64_t)(sums[GC_TIME_US] - n->time_us);
	n->full = sums[GC_COLLECTIONS2];
	n->collected = sums[GC_COLLECTED];
	n->time_us = sums[GC_TIME_US];
}

bool gcnews_next(struct gcnews *n, const struct gcstat *st, const uint64_t sums[GC_COUNTERS],
		 int64_t boot_us, struct gcnews_item *ret)
{
	enum gcnews_what what;

	if (n->enabled != st->enabled &&
	    may_tell(n, st->enabled ? GCNEWS_ENABLED : GCNEWS_DISABLED, boot_us))
		what = st->enabled ? GCNEWS_ENABLED : GCNEWS_DISABLED;
	else if (thresholds_changed(n, st) && may_tell(n, GCNEWS_THRESHOLD, boot_us))
		what = GCNEWS_THRESHOLD;
	else if (sums[GC_UNCOLLECTABLE] > n->uncollectable &&
		 may_tell(n, GCNEWS_UNCOLLECTABLE, boot_us))
		what = GCNEWS_UNCOLLECTABLE;
	else if (sums[GC_COLLECTIONS2] > n->full && may_tell(n, GCNEWS_FULL, boot_us))
		what = GCNEWS_FULL;
	else
		return false;
	*ret = (struct gcnews_item){.what = what, .time_us = -1};
	n->told_us[what] = boot_us;
	if (what == GCNEWS_ENABLED || what == GCNEWS_DISABLED) {
		n->enabled = st->enabled;
	} else if (what == GCNEWS_THRESHOLD) {
		tell_thresholds(n, st, ret);
	} else if (what == GCNEWS_UNCOLLECTABLE) {
		ret->count = sums[GC_UNCOLLECTABLE] - n->uncollectable;
		n->uncollectable = sums[GC_UNCOLLECTABLE];
	} else if (what == GCNEWS_FULL) {
		tell_full(n, st, sums, ret);
	}
	return true;
}

static void text_of_full(char out[GCNEWS_TEXT], const struct gcnews_item *i)
{
	char took[STR_UNIT_SIZE];
	int n = snprintf(out, GCNEWS_TEXT,
			 "%" PRIu64 " full collection%s; %" PRIu64 " objects collected", i->count,
			 i->count == 1 ? "" : "s", i->collected);

	if (i->time_us >= 0 && n > 0 && n < GCNEWS_TEXT)
		snprintf(out + n, (size_t)(GCNEWS_TEXT - n), ", %s in collections",
			 str_duration(took, i->time_us));
}

const char *gcnews_text(char out[GCNEWS_TEXT], const struct gcnews_item *i)
{
	switch (i->what) {
	case GCNEWS_DISABLED:
		snprintf(out, GCNEWS_TEXT, "automatic collection was switched off");
		break;
	case GCNEWS_ENABLED:
		snprintf(out, GCNEWS_TEXT, "automatic collection was switched on");
		break;
	case GCNEWS_THRESHOLD:
		snprintf(out, GCNEWS_TEXT,
			 "collection thresholds changed from (%d, %d, %d) to (%d, %d, %d)",
			 i->before[0], i->before[1], i->before[2], i->now[0], i->now[1], i->now[2]);
		break;
	case GCNEWS_UNCOLLECTABLE:
		snprintf(out, GCNEWS_TEXT,
			 "%" PRIu64 " more objects that the collector cannot free", i->count);
		break;
	case GCNEWS_FULL:
		text_of_full(out, i);
		break;
	case GCNEWS_COUNT:
		*out = '\0';
		break;
	}
	return out;
}
