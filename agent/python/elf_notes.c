/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf_notes.h"

#include <errno.h>
#include <string.h>

#include "agent/python/elf_section.h"

#define NOTE_TYPE  3
#define NOTE_OWNER "stapsdt"
#define NOTES_MAX  65536 /* CPython has eight */

struct note {
	uint32_t type;
	const uint8_t *owner;
	uint32_t owner_size;
	const uint8_t *body;
	uint32_t body_size;
};

struct notes {
	const uint8_t *data;
	uint64_t len;
};

static uint64_t padded(uint32_t n)
{
	return ((uint64_t)n + 3) & ~(uint64_t)3;
}

/* Takes the next one; false at the end or at the first that is cut. The last may lack its padding.
 */
static bool next_note(struct notes *all, struct note *ret)
{
	Elf64_Nhdr head;
	uint64_t owner;
	uint64_t whole;

	if (all->len < sizeof(head))
		return false;
	memcpy(&head, all->data, sizeof(head));
	owner = padded(head.n_namesz);
	if (owner + head.n_descsz > all->len - sizeof(head))
		return false;
	*ret = (struct note){.type = head.n_type,
			     .owner = all->data + sizeof(head),
			     .owner_size = head.n_namesz,
			     .body = all->data + sizeof(head) + owner,
			     .body_size = head.n_descsz};
	whole = sizeof(head) + owner + padded(head.n_descsz);
	if (whole > all->len)
		whole = all->len;
	all->data += whole;
	all->len -= whole;
	return true;
}

/* The string at *at of the body, moving past its NUL; NULL when it does not end. */
static const char *next_string(const struct note *n, uint32_t *at)
{
	const char *s = (const char *)n->body + *at;
	const char *end = memchr(s, '\0', n->body_size - *at);

	if (!end)
		return NULL;
	*at += (uint32_t)(end - s) + 1;
	return s;
}

/* 1 = is provider:name, 0 = another, negative = of that name and not well formed. */
static int read_probe(const struct note *n, const char *provider, const char *name, uint64_t base,
		      struct elf_probe *ret)
{
	uint64_t words[3];
	uint32_t at = sizeof(words);
	const char *s;

	if (n->type != NOTE_TYPE || n->owner_size != sizeof(NOTE_OWNER) ||
	    memcmp(n->owner, NOTE_OWNER, sizeof(NOTE_OWNER)) != 0 || n->body_size < sizeof(words))
		return 0;
	memcpy(words, n->body, sizeof(words));
	s = next_string(n, &at);
	if (!s || strcmp(s, provider) != 0)
		return 0;
	s = next_string(n, &at);
	if (!s || strcmp(s, name) != 0)
		return 0;
	s = next_string(n, &at);
	if (!s || strlen(s) >= sizeof(ret->arguments))
		return -EBADMSG;
	ret->location = words[0];
	ret->semaphore = words[2];
	if (base && words[1]) {
		ret->location += base - words[1];
		ret->semaphore += ret->semaphore ? base - words[1] : 0;
	}
	memcpy(ret->arguments, s, strlen(s) + 1);
	return 1;
}

int elf_probes(const struct elf *e, const char *provider, const char *name, struct elf_probe *ret,
	       unsigned max)
{
	struct notes all;
	struct note note;
	Elf64_Shdr sh;
	uint64_t base = 0;
	unsigned n = 0;

	if (elf_section_find(e, ".stapsdt.base", &sh) == 0)
		base = sh.sh_addr;
	if (elf_section_find(e, ".note.stapsdt", &sh) < 0)
		return -ENOENT;
	all = (struct notes){.data = elf_section_bytes(e, &sh), .len = sh.sh_size};
	if (!all.data)
		return -EBADMSG;
	for (unsigned i = 0; i < NOTES_MAX && next_note(&all, &note); i++) {
		struct elf_probe p;
		int r = read_probe(&note, provider, name, base, &p);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		if (n == max)
			return -E2BIG;
		ret[n++] = p;
	}
	return n ? (int)n : -ENOENT;
}
