/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf_section.h"

#include <errno.h>
#include <string.h>

static bool is_inside(const struct elf *e, uint64_t off, uint64_t n)
{
	return off <= e->len && n <= e->len - off;
}

bool elf_section_at(const struct elf *e, uint32_t i, Elf64_Shdr *ret)
{
	/* elf_open() saw that e_shnum headers are in the file */
	if (i >= e->head.e_shnum)
		return false;
	memcpy(ret, e->data + e->head.e_shoff + (uint64_t)i * sizeof(*ret), sizeof(*ret));
	return true;
}

const uint8_t *elf_section_bytes(const struct elf *e, const Elf64_Shdr *sh)
{
	if (sh->sh_type == SHT_NOBITS || !is_inside(e, sh->sh_offset, sh->sh_size))
		return NULL;
	return e->data + sh->sh_offset;
}

int elf_section_find(const struct elf *e, const char *name, Elf64_Shdr *ret)
{
	size_t n = strlen(name) + 1;
	const uint8_t *names;
	Elf64_Shdr strings;
	Elf64_Shdr sh;

	if (!elf_section_at(e, e->head.e_shstrndx, &strings))
		return -ENOENT;
	names = elf_section_bytes(e, &strings);
	if (!names)
		return -ENOENT;
	for (uint32_t i = 0; elf_section_at(e, i, &sh); i++) {
		if (sh.sh_name >= strings.sh_size || n > strings.sh_size - sh.sh_name ||
		    memcmp(names + sh.sh_name, name, n) != 0)
			continue;
		*ret = sh;
		return 0;
	}
	return -ENOENT;
}

int elf_file_offset(const struct elf *e, uint64_t vaddr, uint64_t n, uint32_t flags, uint64_t *ret)
{
	for (uint32_t i = 0; i < e->head.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t into;

		memcpy(&ph, e->data + e->head.e_phoff + (uint64_t)i * sizeof(ph), sizeof(ph));
		into = vaddr - ph.p_vaddr;
		if (ph.p_type != PT_LOAD || (ph.p_flags & flags) != flags || vaddr < ph.p_vaddr ||
		    into > ph.p_filesz || n > ph.p_filesz - into ||
		    !is_inside(e, ph.p_offset, ph.p_filesz))
			continue;
		*ret = ph.p_offset + into;
		return 0;
	}
	return -ENOENT;
}
