/* SPDX-License-Identifier: Apache-2.0 */
/* A CPython whose bytes somebody else wrote: a sound one of some version, damaged by the input. The
 * first byte chooses version and name, then each patch is an offset (16 bit), what kind of value,
 * and eight bytes of it. */
#include <stdlib.h>

#include "agent/python/gcstat.h"
#include "agent/python/image.h"
#include "agent/python/runtime.h"
#include "tests/support/fakepython.h"

#define MAX_CALLS 20000u /* of one look, with all that is asked here: it ends */
#define FROZEN    256u

static const char *const names[] = {"/usr/lib/libpython3.", "/usr/bin/python3.",
				    "/usr/lib/libpypy3.", "/opt/uwsgi-3."};

static void patch(const uint8_t *p)
{
	uint32_t offset = (uint32_t)(p[0] | p[1] << 8) % (FAKE_SIZE - 8);
	uint64_t v;

	memcpy(&v, p + 3, sizeof(v));
	if (p[2] % 4 == 0) /* an address within, which random bytes never are */
		fake_u64(offset, fake_at((uint32_t)(v % FAKE_SIZE)));
	else if (p[2] % 4 == 1)
		fake_i32(offset, (int32_t)v);
	else if (p[2] % 4 == 2)
		fake.mem[offset] = (uint8_t)v;
	else
		fake_u64(offset, v);
}

static void ask_everything(const struct runtime *r)
{
	uint64_t list[RUNTIME_MAX_INTERPRETERS];
	int n = runtime_interpreters(r, list, RUNTIME_MAX_INTERPRETERS);

	if (n > (int)RUNTIME_MAX_INTERPRETERS)
		abort();
	for (int i = 0; i < n; i++) {
		struct gcstat_pause pauses[GCSTAT_PAUSES];
		struct gcstat st;
		uint64_t frozen;

		(void)!gcstat_read(r, list[i], &st);
		(void)!gcstat_frozen(r, list[i], FROZEN, &frozen);
		for (unsigned g = 0; g <= LAYOUT_GENERATIONS; g++)
			if (gcstat_pauses(r, list[i], g, pauses) > (int)GCSTAT_PAUSES)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_maps struct maps maps = {0};
	const struct layout *row = NULL;
	struct runtime r;
	struct error err;
	char path[64];

	if (size < 1)
		return 0;
	for (unsigned i = data[0] % 10; !row; i = 0)
		row = layout_at(i);
	fake_build(row, 0x030000f0u | (uint32_t)row->minor << 16);
	fake_freeze(FAKE_INTERPRETER);
	for (size_t i = 1; i + 11 <= size; i += 11)
		patch(data + i);
	snprintf(path, sizeof(path), "%s%u", names[data[0] / 10 % ARRAY_SIZE(names)], row->minor);
	if (fake_maps(&maps, path) < 0)
		abort();
	if (runtime_find(FAKE_PID, &maps, &r, &err) == PYTHON_READABLE)
		ask_everything(&r);
	if (fake.calls > MAX_CALLS + RUNTIME_MAX_INTERPRETERS * FROZEN)
		abort();
	return 0;
}
