/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a target's C library, and as its maps. */
#include "agent/act/inject/libc.h"
#include "agent/python/elf.h"
#include "agent/python/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(1 << 20);
	struct maps m;
	struct elf e;
	struct error err;
	uint64_t v = 0;

	if (elf_open(data, size, &e, &err) == 0) {
		(void)!elf_find(&e, "malloc_trim", &v);
		(void)!elf_bias(&e, 0x7f0000000000, 0, &v);
		if (elf_find_bytes(&e, "\x0f\x05", 2, &v) == 0)
			(void)elf_code(&e, v, 2);
	}
	buf_put(&text, data, size);
	if (maps_parse(&text, &m, &err) == 0) {
		(void)!libc_check_allocator(&m, &err);
		maps_fini(&m);
	}
	buf_fini(&text);
	return 0;
}
