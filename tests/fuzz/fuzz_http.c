/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: whole and byte by byte it must let the same bytes through and refuse alike. */
#include <stdint.h>
#include <stdlib.h>

#include "collector/api/guard.h"

static int64_t run(const uint8_t *data, size_t size, size_t step, size_t *ret_passed)
{
	struct guard g;
	size_t passed = 0;

	guard_init(&g);
	for (size_t have = 0; have < size;) {
		int64_t n = 1;

		have = MIN_OF(have + step, size);
		while (n > 0 && passed < have) {
			n = guard_feed(&g, data + passed, have - passed);
			if (n < 0) {
				*ret_passed = passed;
				return n;
			}
			if ((size_t)n > have - passed)
				abort();
			passed += (size_t)n;
		}
	}
	*ret_passed = passed;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole = 0;
	size_t bytes = 0;
	int64_t a = run(data, size, size ? size : 1, &whole);
	int64_t b = run(data, size, 1, &bytes);

	if (whole != bytes || a != b)
		abort();
	return 0;
}
