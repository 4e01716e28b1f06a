/* SPDX-License-Identifier: Apache-2.0 */
/* The file that is asked is this test's own program: not stripped, and its truth is at hand. */
#include "agent/python/objfile.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>

#include "tests/support/test.h"

uint64_t objfile_test_symbol[4] __attribute__((section(".memherd_test"))) = {1};

static uint64_t load_bias(void)
{
	auto_maps struct maps maps = {0};

	assert_int_equal(maps_load(getpid(), &maps, NULL), 0);
	return maps_at(&maps, (uintptr_t)objfile_test_symbol)->start; /* only to be sure it is */
}

static int bias_of(struct dl_phdr_info *info, size_t size unused_arg, void *ret)
{
	memcpy(ret, &info->dlpi_addr, sizeof(info->dlpi_addr));
	return 1; /* the first is the program */
}

static void a_symbol_and_a_section_are_found(void **state unused_arg)
{
	auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t bias = 0;
	uint64_t v;
	uint64_t size;

	assert_true(load_bias() != 0);
	dl_iterate_phdr(bias_of, &bias);
	assert_int_equal(objfile_symbol(fd, "objfile_test_symbol", &v, &size), 0);
	assert_int_equal(bias + v, (uintptr_t)objfile_test_symbol);
	assert_int_equal(size, sizeof(objfile_test_symbol));
	assert_int_equal(objfile_section(fd, ".memherd_test", &v, &size), 0);
	assert_int_equal(bias + v, (uintptr_t)objfile_test_symbol);
	assert_int_equal(objfile_symbol(fd, "main", &v, &size), -ENOENT); /* no data */
	assert_int_equal(objfile_symbol(fd, "", &v, &size), -ENOENT);
	assert_int_equal(objfile_section(fd, ".PyRuntime", &v, &size), -ENOENT);
}

static void only_the_mapped_file_is_opened(void **state unused_arg)
{
	auto_maps struct maps maps = {0};
	const struct map *map;
	struct map other;
	int fd;

	assert_int_equal(maps_load(getpid(), &maps, NULL), 0);
	map = maps_at(&maps, (uintptr_t)objfile_test_symbol);
	fd = objfile_open(getpid(), map, true);
	assert_true(fd >= 0);
	close(fd);
	other = *map;
	other.inode++;
	assert_int_equal(objfile_open(getpid(), &other, true), -ESTALE);
	other = *map;
	other.path = "/dev/null";
	other.start = other.end = 0;
	assert_int_equal(objfile_open(getpid(), &other, false), -ESTALE);
}

/* A file of ours, in memory, with each byte of its headers damaged in turn. */
static int ask(const void *data, size_t n)
{
	auto_close int fd = memfd_create("objfile", MFD_CLOEXEC);
	uint64_t v;
	uint64_t size;

	assert_int_equal(write(fd, data, n), n);
	(void)!objfile_section(fd, ".memherd_test", &v, &size);
	return objfile_symbol(fd, "objfile_test_symbol", &v, &size);
}

static void damaged_files_harm_nothing(void **state unused_arg)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Shdr rows[3];
		Elf64_Sym symbols[2];
		char strings[32];
	} f = {.head = {.e_machine = EM_X86_64,
			.e_shoff = sizeof(Elf64_Ehdr),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 3,
			.e_shstrndx = 2},
	       .strings = "\0objfile_test_symbol"};

	memcpy(f.head.e_ident, ELFMAG, SELFMAG);
	f.head.e_ident[EI_CLASS] = ELFCLASS64;
	f.head.e_ident[EI_DATA] = ELFDATA2LSB;
	f.rows[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
				 .sh_link = 2,
				 .sh_offset = sizeof(f.head) + sizeof(f.rows),
				 .sh_size = sizeof(f.symbols)};
	f.rows[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
				 .sh_offset = sizeof(f.head) + sizeof(f.rows) + sizeof(f.symbols),
				 .sh_size = sizeof(f.strings)};
	f.symbols[1] = (Elf64_Sym){.st_name = 1, .st_info = STT_OBJECT, .st_shndx = 1};
	assert_int_equal(ask(&f, sizeof(f)), 0);
	for (size_t i = 0; i < sizeof(f); i++) {
		uint8_t copy[sizeof(f)];

		for (unsigned v = 0; v < 256; v += 51) {
			memcpy(copy, &f, sizeof(f));
			copy[i] = (uint8_t)v;
			(void)!ask(copy, sizeof(f));
		}
		(void)!ask(&f, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_symbol_and_a_section_are_found),
		cmocka_unit_test(only_the_mapped_file_is_opened),
		cmocka_unit_test(damaged_files_harm_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
