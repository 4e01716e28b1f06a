/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf.h"

#include <errno.h>
#include <string.h>

#define PAGE             4096u
#define ELF_MAX_SECTIONS 4096
#define ELF_MAX_SYMBOLS  (1u << 20)

/* n bytes at off, or NULL; the sum cannot wrap. */
static const uint8_t *at(const struct elf *e, uint64_t off, uint64_t n)
{
	if (off > e->len || n > e->len - off)
		return NULL;
	return e->data + off;
}

int elf_open(const void *data, size_t len, struct elf *ret, struct error *err)
{
	struct elf e = {.data = data, .len = len};

	if (len < sizeof(e.head) || memcmp(data, ELFMAG, SELFMAG) != 0)
		return error_set(err, -EBADMSG, "not an ELF file");
	memcpy(&e.head, data, sizeof(e.head));
	if (e.head.e_ident[EI_CLASS] != ELFCLASS64 || e.head.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.head.e_machine != EM_X86_64)
		return error_set(err, -EBADMSG, "not an x86-64 ELF file");
	if (e.head.e_phentsize != sizeof(Elf64_Phdr) ||
	    !at(&e, e.head.e_phoff, (uint64_t)e.head.e_phnum * sizeof(Elf64_Phdr)))
		return error_set(err, -EBADMSG, "ELF program headers leave the file");
	if (e.head.e_shnum &&
	    (e.head.e_shentsize != sizeof(Elf64_Shdr) || e.head.e_shnum > ELF_MAX_SECTIONS ||
	     !at(&e, e.head.e_shoff, (uint64_t)e.head.e_shnum * sizeof(Elf64_Shdr))))
		return error_set(err, -EBADMSG, "ELF section headers leave the file");
	*ret = e;
	return 0;
}

static bool section(const struct elf *e, uint32_t i, Elf64_Shdr *ret)
{
	if (i >= e->head.e_shnum)
		return false;
	memcpy(ret, e->data + e->head.e_shoff + i * sizeof(*ret), sizeof(*ret));
	return true;
}

static Elf64_Phdr segment(const struct elf *e, uint32_t i)
{
	Elf64_Phdr ph;

	memcpy(&ph, e->data + e->head.e_phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

/* True when the string at off in the table is name, its NUL included. */
static bool is_name(const uint8_t *strings, uint64_t size, uint64_t off, const char *name)
{
	size_t n = strlen(name) + 1;

	return off < size && n <= size - off && memcmp(strings + off, name, n) == 0;
}

static int find_in(const struct elf *e, const Elf64_Shdr *table, const char *name, uint64_t *ret)
{
	uint64_t n = table->sh_size / sizeof(Elf64_Sym);
	const uint8_t *symbols = at(e, table->sh_offset, table->sh_size);
	const uint8_t *strings;
	Elf64_Shdr str;

	if (!symbols || n > ELF_MAX_SYMBOLS || !section(e, table->sh_link, &str))
		return -ENOENT;
	strings = at(e, str.sh_offset, str.sh_size);
	if (!strings)
		return -ENOENT;
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Sym s;

		memcpy(&s, symbols + i * sizeof(s), sizeof(s));
		if (s.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(s.st_info) != STT_FUNC ||
		    !is_name(strings, str.sh_size, s.st_name, name))
			continue;
		*ret = s.st_value;
		return 0;
	}
	return -ENOENT;
}

int elf_find(const struct elf *e, const char *name, uint64_t *ret_vaddr)
{
	for (uint32_t i = 0; i < e->head.e_shnum; i++) {
		Elf64_Shdr sh;

		if (section(e, i, &sh) && sh.sh_type == SHT_DYNSYM)
			return find_in(e, &sh, name, ret_vaddr);
	}
	return -ENOENT;
}

int elf_find_bytes(const struct elf *e, const void *bytes, size_t n, uint64_t *ret_vaddr)
{
	for (uint32_t i = 0; i < e->head.e_phnum; i++) {
		Elf64_Phdr ph = segment(e, i);
		const uint8_t *code;
		const uint8_t *hit;

		if (ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		code = at(e, ph.p_offset, ph.p_filesz);
		hit = code ? memmem(code, ph.p_filesz, bytes, n) : NULL;
		if (!hit)
			continue;
		*ret_vaddr = ph.p_vaddr + (uint64_t)(hit - code);
		return 0;
	}
	return -ENOENT;
}

const uint8_t *elf_code(const struct elf *e, uint64_t vaddr, size_t n)
{
	for (uint32_t i = 0; i < e->head.e_phnum; i++) {
		Elf64_Phdr ph = segment(e, i);
		uint64_t into = vaddr - ph.p_vaddr;

		if (ph.p_type != PT_LOAD || !(ph.p_flags & PF_X) || vaddr < ph.p_vaddr ||
		    into > ph.p_filesz || n > ph.p_filesz - into ||
		    !at(e, ph.p_offset, ph.p_filesz))
			continue;
		return e->data + ph.p_offset + into;
	}
	return NULL;
}

int elf_bias(const struct elf *e, uint64_t map_start, uint64_t map_offset, uint64_t *ret_bias)
{
	for (uint32_t i = 0; i < e->head.e_phnum; i++) {
		Elf64_Phdr ph = segment(e, i);

		if (ph.p_type != PT_LOAD || (ph.p_offset & ~(uint64_t)(PAGE - 1)) != map_offset)
			continue;
		*ret_bias = map_start - (ph.p_vaddr & ~(uint64_t)(PAGE - 1));
		return 0;
	}
	return -ENOENT;
}
