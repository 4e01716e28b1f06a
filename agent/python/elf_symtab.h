/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_symtab.h - functions by name in .symtab, where the local ones are too; a stripped file has
 * none. Pure; the file is hostile as in elf.h.
 */
#ifndef MEMHERD_AGENT_PYTHON_ELF_SYMTAB_H
#define MEMHERD_AGENT_PYTHON_ELF_SYMTAB_H

#include "agent/python/elf.h"

struct elf_function {
	uint64_t address;
	bool changed; /* a clone whose arguments the compiler may have dropped or moved */
};

/*
 * All functions of that name and the clones that GCC makes of one (NAME.constprop.0, NAME.isra.0,
 * NAME.lto_priv.0; not its split-off parts, which are no functions). The count; -ENOENT for none,
 * -E2BIG for more than max.
 */
int elf_symtab_find(const struct elf *e, const char *name, struct elf_function *ret,
		    unsigned max) must_use;
/* Whether .symtab or .dynsym defines that name, as whatever it be. */
bool elf_defines(const struct elf *e, const char *name);

#endif
