/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/selflimit.h"

/* Below this part of a ceiling, in percent, things may ease. */
#define EASY_PERCENT 70

static bool is_easy(int64_t v, int64_t ceiling)
{
	return !ceiling || v <= ceiling * EASY_PERCENT / 100;
}

/* Share of a core in the window that just ended, else that of the one before. */
static void measure(struct selflimit *s, int64_t boot_us, int64_t cpu_us)
{
	int64_t span = boot_us - s->window_us;

	if (s->window_us && span < SELFLIMIT_WINDOW_US)
		return;
	if (s->window_us)
		s->share = (uint32_t)((cpu_us - s->window_cpu) * 10000 / span);
	s->window_us = boot_us;
	s->window_cpu = cpu_us;
}

enum selflimit_answer selflimit_judge(struct selflimit *s, int64_t boot_us, int64_t cpu_us,
				      int64_t rss_kib)
{
	bool fat = s->cfg.rss_kib && rss_kib > s->cfg.rss_kib;
	bool busy;

	measure(s, boot_us, cpu_us);
	busy = s->cfg.cpu_share && s->share > s->cfg.cpu_share;
	if (fat || busy) {
		s->calm_us = 0;
		if (s->stepped_us && boot_us - s->stepped_us < SELFLIMIT_STEP_US)
			return SELFLIMIT_AS_BEFORE;
		if (s->level == SELFLIMIT_LEVELS)
			return fat ? SELFLIMIT_END : SELFLIMIT_AS_BEFORE;
		s->level++;
		s->stepped_us = boot_us;
		s->share = 0; /* the next judgement is of what this level costs */
		return SELFLIMIT_HARDER;
	}
	if (!s->level || !is_easy(rss_kib, s->cfg.rss_kib) ||
	    !is_easy(s->share, s->cfg.cpu_share)) {
		s->calm_us = 0;
		return SELFLIMIT_AS_BEFORE;
	}
	if (!s->calm_us)
		s->calm_us = boot_us;
	if (boot_us - s->calm_us < SELFLIMIT_EASE_US)
		return SELFLIMIT_AS_BEFORE;
	s->calm_us = 0;
	s->level--;
	return SELFLIMIT_EASED;
}
