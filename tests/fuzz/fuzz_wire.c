/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte picks the message. What is accepted must come back the same when packed. */
#include <string.h>

#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define X(name)                                                                    \
	static void try_##name(const uint8_t *data, size_t size)                   \
	{                                                                          \
		auto_buf struct buf once = BUF_INIT((size_t)4 << 20);              \
		auto_buf struct buf twice = BUF_INIT((size_t)4 << 20);             \
		auto_arena struct arena a, b;                                      \
		struct wire_##name m, again;                                       \
		struct error err;                                                  \
                                                                                   \
		arena_init(&a, WIRE_BUDGET(size));                                 \
		arena_init(&b, (size_t)64 << 20);                                  \
		if (wire_unpack_##name(&a, data, size, &m, &err) < 0)              \
			return;                                                    \
		if (a.used > WIRE_BUDGET(size))                                    \
			abort();                                                   \
		wire_pack_##name(&once, &m);                                       \
		if (wire_unpack_##name(&b, once.data, once.len, &again, &err) < 0) \
			abort();                                                   \
		wire_pack_##name(&twice, &again);                                  \
		if (once.len != twice.len ||                                       \
		    (once.len && memcmp(once.data, twice.data, once.len)))         \
			abort();                                                   \
	}
WIRE_MESSAGE_LIST(X)
#undef X

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(const uint8_t *, size_t) = {
#define X(name) try_##name,
		WIRE_MESSAGE_LIST(X)
#undef X
	};

	if (size)
		tries[data[0] % ARRAY_SIZE(tries)](data + 1, size - 1);
	return 0;
}
