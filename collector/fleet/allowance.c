/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/allowance.h"

#include "common/check.h"
#include "common/clock.h"

/* After so long a bucket is full at any rate that can be set; keeps the product in range. */
#define FULL_AFTER_US (24LL * 3600 * USEC_PER_SEC)

void allowance_init(struct allowance *a, int64_t now_us)
{
	*a = (struct allowance){.bytes = ALLOWANCE_BURST, .at_us = now_us};
}

int64_t allowance_take(struct allowance *a, int64_t rate, size_t len, int64_t now_us)
{
	int64_t passed = MIN_OF(now_us - a->at_us, FULL_AFTER_US);
	int64_t gained = passed / USEC_PER_SEC * rate + passed % USEC_PER_SEC * rate / USEC_PER_SEC;

	a->bytes = MIN_OF(a->bytes + gained, (int64_t)ALLOWANCE_BURST) - (int64_t)len;
	a->at_us = now_us;
	return a->bytes >= 0 ? 0 : -a->bytes * USEC_PER_SEC / rate;
}
