/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_notes.h - the probe points that a program declares of itself: SystemTap's notes (USDT).
 *
 * Source: SystemTap's sys/sdt.h: notes of type 3 and owner 'stapsdt' in section .note.stapsdt, each
 * {location, base, semaphore} as 64-bit words, then provider, name and arguments as three strings.
 * When the file was moved after it was linked (prelink), its section .stapsdt.base moved as well:
 * the difference is added here. Pure; the file is hostile as in elf.h.
 */
#ifndef MEMHERD_AGENT_PYTHON_ELF_NOTES_H
#define MEMHERD_AGENT_PYTHON_ELF_NOTES_H

#include "agent/python/elf.h"

#define ELF_PROBE_ARGUMENTS_SIZE 128

struct elf_probe {
	uint64_t location;  /* address in the file */
	uint64_t semaphore; /* address of a 16-bit counter, 0 = has none */
	char arguments[ELF_PROBE_ARGUMENTS_SIZE];
};

/*
 * All places of provider:name, in the file's order: the compiler may have inlined it into several.
 * The count; -ENOENT for none, -E2BIG when there are more than max (none is then told), -EBADMSG
 * when one of that name is not well formed.
 */
int elf_probes(const struct elf *e, const char *provider, const char *name, struct elf_probe *ret,
	       unsigned max) must_use;

#endif
