/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/support/test.h"

/* A file of ours, small enough to damage at every byte: headers, one code segment with a function,
 * .dynsym and .dynstr. */
struct tiny {
	Elf64_Ehdr head;
	Elf64_Phdr segment;
	Elf64_Shdr sections[3];
	Elf64_Sym symbols[3];
	char strings[32];
	uint8_t code[16];
};

static struct tiny tiny(void)
{
	struct tiny t = {
		.head = {.e_machine = EM_X86_64,
			 .e_phoff = offsetof(struct tiny, segment),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1,
			 .e_shoff = offsetof(struct tiny, sections),
			 .e_shentsize = sizeof(Elf64_Shdr),
			 .e_shnum = 3},
		.segment = {.p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_offset = 0,
			    .p_vaddr = 0x400000,
			    .p_filesz = sizeof(struct tiny)},
		.symbols = {{0},
			    {.st_name = 1, .st_info = STT_FUNC, .st_shndx = SHN_UNDEF},
			    {.st_name = 8,
			     .st_info = STT_FUNC,
			     .st_shndx = 1,
			     .st_value = 0x400000 + offsetof(struct tiny, code)}},
		.strings = "\0malloc\0malloc_trim",
		.code = {0x90, 0x48, 0xc7, 0xc0, 0x0f},
	};

	memcpy(t.head.e_ident, ELFMAG, SELFMAG);
	t.head.e_ident[EI_CLASS] = ELFCLASS64;
	t.head.e_ident[EI_DATA] = ELFDATA2LSB;
	t.sections[1] = (Elf64_Shdr){.sh_type = SHT_DYNSYM,
				     .sh_link = 2,
				     .sh_offset = offsetof(struct tiny, symbols),
				     .sh_size = sizeof(t.symbols)};
	t.sections[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
				     .sh_offset = offsetof(struct tiny, strings),
				     .sh_size = sizeof(t.strings)};
	return t;
}

/* On the heap and of exactly that size, so that a sanitizer sees each byte too far. */
static void ask_all(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct elf e;
	struct error err;
	uint64_t v;

	memcpy(copy, data, len);
	if (elf_open(copy, len, &e, &err) == 0) {
		(void)!elf_find(&e, "malloc_trim", &v);
		(void)!elf_find_bytes(&e, "\x48\xc7", 2, &v);
		(void)!elf_bias(&e, 0x7000000, 0, &v);
		(void)elf_code(&e, 0x400000, 8);
	}
	free(copy);
}

static void symbols_bytes_and_bias_are_found(void **state unused_arg)
{
	struct tiny t = tiny();
	struct elf e;
	struct error err;
	uint64_t v;

	assert_int_equal(elf_open(&t, sizeof(t), &e, &err), 0);
	assert_int_equal(elf_find(&e, "malloc_trim", &v), 0);
	assert_int_equal(v, 0x400000 + offsetof(struct tiny, code));
	assert_int_equal(elf_find(&e, "malloc", &v), -ENOENT); /* only used, not defined */
	assert_int_equal(elf_find(&e, "malloc_trim_", &v), -ENOENT);
	assert_int_equal(elf_find(&e, "trim", &v), -ENOENT);
	assert_int_equal(elf_find_bytes(&e, "\x48\xc7\xc0\x0f", 4, &v), 0);
	assert_int_equal(v, 0x400001 + offsetof(struct tiny, code));
	assert_ptr_equal(elf_code(&e, v, 4), t.code + 1);
	assert_null(elf_code(&e, 0x400000 + sizeof(t) - 3, 4));
	assert_null(elf_code(&e, 0x3fffff, 1));
	assert_int_equal(elf_bias(&e, 0x7f0000400000, 0, &v), 0);
	assert_int_equal(v, 0x7f0000000000);
	assert_int_equal(elf_bias(&e, 0x7f0000400000, 0x1000, &v), -ENOENT);
	/* An indirect function's value is its resolver. */
	t.symbols[2].st_info = STT_GNU_IFUNC;
	assert_int_equal(elf_find(&e, "malloc_trim", &v), -ENOENT);
}

static void what_is_no_64_bit_elf_is_refused(void **state unused_arg)
{
	struct tiny t = tiny();
	struct elf e;
	struct error err;

	t.head.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(elf_open(&t, sizeof(t), &e, &err), -EBADMSG);
	assert_says(err, "not an x86-64 ELF file");
	assert_int_equal(elf_open("#!/bin/sh\n", 10, &e, &err), -EBADMSG);
	assert_says(err, "not an ELF file");
	t = tiny();
	t.head.e_phnum = 0xffff;
	assert_int_equal(elf_open(&t, sizeof(t), &e, &err), -EBADMSG);
	assert_says(err, "program headers leave the file");
	t = tiny();
	t.head.e_shoff = UINT64_MAX - 10;
	assert_int_equal(elf_open(&t, sizeof(t), &e, &err), -EBADMSG);
	assert_says(err, "section headers leave the file");
}

static void no_damage_leads_outside(void **state unused_arg)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	struct tiny t;
	uint8_t *bytes = (uint8_t *)&t;

	for (size_t at = 0; at < sizeof(t); at++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			t = tiny();
			bytes[at] = values[i];
			ask_all(&t, sizeof(t));
		}
	}
	t = tiny();
	for (size_t len = 0; len < sizeof(t); len++)
		ask_all(&t, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_bytes_and_bias_are_found),
		cmocka_unit_test(what_is_no_64_bit_elf_is_refused),
		cmocka_unit_test(no_damage_leads_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
