/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of ticks, each behind a 16 bit length, into one decoder. */
#include "common/cursor.h"
#include "proto/delta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct delta_state *s)
{
	int64_t v[METRIC_COUNT];

	for (size_t i = 0; s->ready && i < s->n_slots; i++) {
		delta_values(&s->slots[i], v);
		for (int m = 0; m < METRIC_COUNT; m++)
			if (v[m] != METRIC_ABSENT && v[m] < 0)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct delta_state s;

	delta_init(&s);
	while (cursor_left(&c) > 2) {
		size_t told = cursor_le16(&c);
		size_t len = MIN_OF(told, cursor_left(&c));
		auto_arena struct arena a;
		struct wire_tick t;
		struct error err;

		arena_init(&a, WIRE_BUDGET(len));
		if (wire_unpack_tick(&a, cursor_bytes(&c, len), len, &t, &err) == 0 &&
		    delta_apply(&s, &t, &err) == 0)
			check(&s);
	}
	delta_fini(&s);
	return 0;
}
