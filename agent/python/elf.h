/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.h - the three things that are asked of a 64-bit little-endian ELF file: where an exported
 * function is, where a run of bytes stands in its code, and how far a mapping is shifted.
 *
 * The file belongs to the target, so it is hostile input: every offset is checked against the
 * bytes there are, and nothing here reads outside them. Pure; System V ABI, chapters 4 and 5.
 */
#ifndef MEMHERD_AGENT_PYTHON_ELF_H
#define MEMHERD_AGENT_PYTHON_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct elf {
	const uint8_t *data;
	size_t len;
	Elf64_Ehdr head;
};

/* -EBADMSG: not an x86-64 ELF file or one whose tables leave the file. The data stays the
 * caller's. */
int elf_open(const void *data, size_t len, struct elf *ret, struct error *err) must_use;
/* The address of a function that .dynsym defines; -ENOENT when it does not. An indirect function
 * (STT_GNU_IFUNC) counts as absent: its value is not the function. */
int elf_find(const struct elf *e, const char *name, uint64_t *ret_vaddr) must_use;
/* The first address in an executable segment where the bytes stand; -ENOENT. */
int elf_find_bytes(const struct elf *e, const void *bytes, size_t n, uint64_t *ret_vaddr) must_use;
/* The file's n bytes of code at an address, or NULL. */
const uint8_t *elf_code(const struct elf *e, uint64_t vaddr, size_t n);
/* What to add to an address of the file, given one mapping of it; -ENOENT when no segment
 * begins at that offset. */
int elf_bias(const struct elf *e, uint64_t map_start, uint64_t map_offset,
	     uint64_t *ret_bias) must_use;

#endif
