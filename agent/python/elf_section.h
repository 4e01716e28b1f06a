/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_section.h - sections of an opened ELF file by place or by name, and from addresses to places
 * in the file. Each answer is inside the file; the file is hostile as in elf.h. Pure.
 */
#ifndef MEMHERD_AGENT_PYTHON_ELF_SECTION_H
#define MEMHERD_AGENT_PYTHON_ELF_SECTION_H

#include "agent/python/elf.h"

/* The i-th section's header; false after the last. */
bool elf_section_at(const struct elf *e, uint32_t i, Elf64_Shdr *ret);
/* The first section of that name; -ENOENT. */
int elf_section_find(const struct elf *e, const char *name, Elf64_Shdr *ret) must_use;
/* The section's sh_size bytes, or NULL when they leave the file or it has none there. */
const uint8_t *elf_section_bytes(const struct elf *e, const Elf64_Shdr *sh);
/* Where the n bytes at an address stand in the file; -ENOENT unless one loaded segment with all of
 * these flags (PF_X, PF_W) holds them in its file part. */
int elf_file_offset(const struct elf *e, uint64_t vaddr, uint64_t n, uint32_t flags,
		    uint64_t *ret) must_use;

#endif
