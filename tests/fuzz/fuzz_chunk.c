/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a chunk; and what decodes must encode to something that decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "collector/store/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Columns of which every value is the first. */
static uint64_t still_of(const struct chunk_spec *spec, size_t n, const int64_t *values)
{
	uint64_t still = 0;

	for (unsigned k = 0; k < spec->n_columns; k++) {
		const int64_t *v = values + k * n;

		if (memcmp(v, v + 1, (n - 1) * sizeof(*v)) == 0)
			still |= UINT64_C(1) << k;
	}
	return still;
}

static void check_again(const struct chunk_spec *spec, size_t n, const int64_t *times,
			const int64_t *values)
{
	auto_free int64_t *again = malloc(n * spec->n_columns * sizeof(*again));
	auto_buf struct buf out = BUF_INIT(64 << 20), same = BUF_INIT(64 << 20);

	if (!again || chunk_encode(spec, n, times, values, &out) < 0)
		return;
	if (chunk_decode(spec, out.data, out.len, n, again, NULL) < 0 ||
	    memcmp(values, again, n * spec->n_columns * sizeof(*again)) != 0)
		abort();
	if (chunk_encode_still(spec, n, times, values, still_of(spec, n, values), &same) < 0 ||
	    same.len != out.len || memcmp(same.data, out.data, out.len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct chunk_spec *const specs[] = {&chunk_host_spec, &chunk_process_spec,
							 &chunk_cgroup_spec};
	const struct chunk_spec *spec = specs[size % ARRAY_SIZE(specs)];
	auto_free int64_t *values = NULL;
	struct error err;
	int n = chunk_samples(data, size, &err);
	int64_t *times;

	if (n < 0 || n > 2000)
		return 0;
	values = malloc((size_t)n * (spec->n_columns + 1) * sizeof(*values));
	if (!values)
		return 0;
	times = values + (size_t)n * spec->n_columns;
	if (chunk_decode(spec, data, size, (size_t)n, values, &err) == 0 &&
	    chunk_decode_times(data, size, (size_t)n, times, &err) == 0)
		check_again(spec, (size_t)n, times, values);
	return 0;
}
