/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf_symtab.h"

#include <errno.h>
#include <string.h>

#include "agent/python/elf_section.h"

#define SYMBOLS_MAX (1u << 20)

struct table {
	const uint8_t *symbols;
	uint64_t n;
	const char *strings;
	uint64_t size;
};

static int open_table(const struct elf *e, uint32_t type, struct table *ret)
{
	Elf64_Shdr sh;
	Elf64_Shdr strings;

	for (uint32_t i = 0; elf_section_at(e, i, &sh); i++) {
		if (sh.sh_type != type)
			continue;
		if (!elf_section_at(e, sh.sh_link, &strings))
			return -ENOENT;
		*ret = (struct table){.symbols = elf_section_bytes(e, &sh),
				      .n = sh.sh_size / sizeof(Elf64_Sym),
				      .strings = (const char *)elf_section_bytes(e, &strings),
				      .size = strings.sh_size};
		return ret->symbols && ret->strings && ret->n <= SYMBOLS_MAX ? 0 : -ENOENT;
	}
	return -ENOENT;
}

/* A defined symbol whose name begins with n bytes; n counts the NUL where the whole must match. */
static bool is_symbol(const struct table *t, uint64_t i, const char *name, size_t n, Elf64_Sym *ret)
{
	memcpy(ret, t->symbols + i * sizeof(*ret), sizeof(*ret));
	return ret->st_shndx != SHN_UNDEF && ret->st_name < t->size &&
	       n <= t->size - ret->st_name && memcmp(t->strings + ret->st_name, name, n) == 0;
}

/* What follows the name: 1 = the function or its like, 2 = a clone with other arguments, 0 = other.
 * The rest is bounded by the string table, which need not end in a NUL. */
static int judge_suffix(const char *rest, size_t n)
{
	static const struct {
		const char *text;
		int is;
	} suffixes[] = {{".lto_priv.", 1}, {".constprop.", 2}, {".isra.", 2}};

	if (n && !*rest)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(suffixes[i].text);
		size_t at = len;

		if (n < len || memcmp(rest, suffixes[i].text, len) != 0)
			continue;
		while (at < n && rest[at] >= '0' && rest[at] <= '9')
			at++;
		return at < n && at > len && !rest[at] ? suffixes[i].is : 0;
	}
	return 0;
}

int elf_symtab_find(const struct elf *e, const char *name, struct elf_function *ret, unsigned max)
{
	size_t len = strlen(name);
	unsigned n = 0;
	struct table t;

	if (open_table(e, SHT_SYMTAB, &t) < 0)
		return -ENOENT;
	for (uint64_t i = 0; i < t.n; i++) {
		Elf64_Sym s;
		int is;

		if (!is_symbol(&t, i, name, len, &s) || ELF64_ST_TYPE(s.st_info) != STT_FUNC)
			continue;
		is = judge_suffix(t.strings + s.st_name + len, t.size - s.st_name - len);
		if (!is)
			continue;
		if (n == max)
			return -E2BIG;
		ret[n++] = (struct elf_function){.address = s.st_value, .changed = is == 2};
	}
	return n ? (int)n : -ENOENT;
}

bool elf_defines(const struct elf *e, const char *name)
{
	static const uint32_t types[] = {SHT_DYNSYM, SHT_SYMTAB};
	struct table t;
	Elf64_Sym s;

	for (size_t k = 0; k < ARRAY_SIZE(types); k++) {
		if (open_table(e, types[k], &t) < 0)
			continue;
		for (uint64_t i = 0; i < t.n; i++)
			if (is_symbol(&t, i, name, strlen(name) + 1, &s))
				return true;
	}
	return false;
}
