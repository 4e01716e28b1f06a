/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a target's C library or interpreter, as its maps, and as a probe's arguments. */
#include "agent/act/inject/libc.h"
#include "agent/python/argument.h"
#include "agent/python/elf.h"
#include "agent/python/elf_notes.h"
#include "agent/python/elf_section.h"
#include "agent/python/elf_symtab.h"
#include "agent/python/maps.h"

static void ask_argument(const char *text)
{
	static const uint8_t stack[64] = {1};
	struct hit_state h = {.stack = stack, .stack_size = sizeof(stack)};
	struct argument a;
	int64_t v;

	for (unsigned i = 0; i < 3; i++) {
		if (argument_parse(text, i, &a) < 0)
			continue;
		(void)!argument_value(&a, &h, &v);
		if (argument_stack(&a) > ARGUMENT_STACK_MAX ||
		    argument_registers(&a) >> ARGUMENT_REGISTERS)
			__builtin_trap();
	}
}

static void ask_probes(const struct elf *e)
{
	struct elf_probe probes[4];
	struct elf_function functions[4];
	uint64_t v;
	int n = elf_probes(e, "python", "gc__start", probes, 4);

	for (int i = 0; i < n; i++) {
		ask_argument(probes[i].arguments);
		if (elf_file_offset(e, probes[i].location, 1, PF_X, &v) == 0 && v >= e->len)
			__builtin_trap();
	}
	(void)!elf_symtab_find(e, "collect", functions, 4);
	(void)elf_defines(e, "_PyRuntime");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(1 << 20);
	struct maps m;
	struct elf e;
	struct error err;
	uint64_t v = 0;

	if (elf_open(data, size, &e, &err) == 0) {
		ask_probes(&e);
		(void)!elf_find(&e, "malloc_trim", &v);
		(void)!elf_bias(&e, 0x7f0000000000, 0, &v);
		if (elf_find_bytes(&e, "\x0f\x05", 2, &v) == 0)
			(void)elf_code(&e, v, 2);
	}
	buf_put(&text, data, size);
	if (text.data)
		ask_argument((const char *)text.data);
	if (maps_parse(&text, &m, &err) == 0) {
		(void)!libc_check_allocator(&m, &err);
		maps_fini(&m);
	}
	buf_fini(&text);
	return 0;
}
