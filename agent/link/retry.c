/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/retry.h"

#include "common/check.h"

static int64_t uniform(int64_t lo, int64_t hi, uint64_t random)
{
	return lo + (int64_t)(random % ((uint64_t)(hi - lo) + 1));
}

void retry_worked(struct retry *r)
{
	r->failures = 0;
	r->worked = true;
}

void retry_ask(struct retry *r, uint32_t min_ms, uint32_t max_ms)
{
	r->asked = true;
	r->asked_min_us = MIN_OF(min_ms * INT64_C(1000), RETRY_ASKED_MAX_US);
	r->asked_max_us = MIN_OF(max_ms * INT64_C(1000), RETRY_ASKED_MAX_US);
	r->asked_max_us = MAX_OF(r->asked_max_us, r->asked_min_us);
}

int64_t retry_delay(struct retry *r, uint64_t random)
{
	int64_t limit = r->base_us;
	int64_t delay;

	for (unsigned i = 0; i < r->failures && limit < r->cap_us; i++)
		limit *= 2;
	limit = MIN_OF(limit, r->cap_us);
	if (r->asked)
		delay = uniform(r->asked_min_us, r->asked_max_us, random);
	else
		delay = uniform(0, r->worked ? r->first_us : limit, random);
	if (!r->worked && !r->asked)
		r->failures++;
	r->worked = r->asked = false;
	return delay;
}
