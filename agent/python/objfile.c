/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/objfile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OBJFILE_MAX_SECTIONS 512u
#define OBJFILE_MAX_NAMES    (64u << 10) /* of sections */
#define OBJFILE_MAX_SYMBOLS  (1u << 18)
#define OBJFILE_MAX_STRINGS  (16u << 20)
#define SYMBOLS_AT_ONCE      512u

/* ---- the file ---- */

static int open_same(const char *path, const struct map *map)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && st.st_ino == map->inode ? take_fd(fd) : -ESTALE;
}

int objfile_open(pid_t pid, const struct map *map, bool is_program)
{
	char path[4200];
	int fd = -ENOENT;

	if (is_program) {
		snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
		fd = open_same(path, map);
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
			 map->start, map->end);
		fd = open_same(path, map);
	}
	if (fd < 0 && snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, map->path) <
			      (int)sizeof(path))
		fd = open_same(path, map);
	return fd;
}

static int read_at(int fd, uint64_t off, void *buf, size_t n)
{
	ssize_t got;

	if (off > INT64_MAX)
		return -EBADMSG;
	got = pread(fd, buf, n, (off_t)off);
	if (got < 0)
		return -errno;
	return (size_t)got == n ? 0 : -EBADMSG;
}

/* ---- sections ---- */

struct sections {
	Elf64_Shdr *rows;
	unsigned n;
	unsigned names; /* which holds their names */
};

static int load_sections(int fd, struct sections *ret)
{
	auto_free Elf64_Shdr *rows = NULL;
	Elf64_Ehdr h;
	int rc = read_at(fd, 0, &h, sizeof(h));

	if (rc < 0)
		return rc;
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != EM_X86_64)
		return -EBADMSG;
	if (h.e_shnum == 0)
		return -ENOENT;
	if (h.e_shentsize != sizeof(Elf64_Shdr) || h.e_shnum > OBJFILE_MAX_SECTIONS)
		return -EBADMSG;
	rows = calloc(h.e_shnum, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	rc = read_at(fd, h.e_shoff, rows, h.e_shnum * sizeof(*rows));
	if (rc == 0)
		*ret = (struct sections){.rows = take_ptr(rows),
					 .n = h.e_shnum,
					 .names = h.e_shstrndx};
	return rc;
}

/* A table of strings, with a NUL of ours behind it. */
static int load_strings(int fd, const struct sections *s, unsigned i, uint64_t max, char **ret)
{
	auto_free char *text = NULL;
	int rc;

	if (i >= s->n || s->rows[i].sh_type != SHT_STRTAB || s->rows[i].sh_size > max)
		return -EBADMSG;
	text = malloc(s->rows[i].sh_size + 1);
	if (!text)
		return -ENOMEM;
	text[s->rows[i].sh_size] = '\0';
	rc = read_at(fd, s->rows[i].sh_offset, text, s->rows[i].sh_size);
	if (rc == 0)
		*ret = take_ptr(text);
	return rc;
}

int objfile_section(int fd, const char *name, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	struct sections s = {0};
	auto_free char *names = NULL;
	int rc = load_sections(fd, &s);
	auto_free Elf64_Shdr *owned = s.rows;

	if (rc == 0)
		rc = load_strings(fd, &s, s.names, OBJFILE_MAX_NAMES, &names);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < s.n; i++) {
		const Elf64_Shdr *h = &owned[i];

		if (!(h->sh_flags & SHF_ALLOC) || h->sh_name >= s.rows[s.names].sh_size ||
		    strcmp(names + h->sh_name, name) != 0)
			continue;
		*ret_vaddr = h->sh_addr;
		*ret_size = h->sh_size;
		return 0;
	}
	return -ENOENT;
}

/* ---- symbols ---- */

struct strings {
	const char *text;
	uint64_t size;
};

static const Elf64_Sym *find_among(const Elf64_Sym *list, unsigned n, const struct strings *names,
				   const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].st_shndx != SHN_UNDEF && ELF64_ST_TYPE(list[i].st_info) == STT_OBJECT &&
		    list[i].st_name < names->size &&
		    strcmp(names->text + list[i].st_name, name) == 0)
			return &list[i];
	return NULL;
}

static int find_symbol(int fd, const Elf64_Shdr *table, const struct strings *names,
		       const char *name, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	uint64_t n = table->sh_size / sizeof(Elf64_Sym);
	Elf64_Sym part[SYMBOLS_AT_ONCE];

	if (n > OBJFILE_MAX_SYMBOLS)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i += SYMBOLS_AT_ONCE) {
		unsigned count = (unsigned)MIN_OF(n - i, SYMBOLS_AT_ONCE);
		int rc = read_at(fd, table->sh_offset + i * sizeof(part[0]), part,
				 count * sizeof(part[0]));
		const Elf64_Sym *hit = rc < 0 ? NULL : find_among(part, count, names, name);

		if (rc < 0)
			return rc;
		if (!hit)
			continue;
		*ret_vaddr = hit->st_value;
		*ret_size = hit->st_size;
		return 0;
	}
	return -ENOENT;
}

int objfile_symbol(int fd, const char *name, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	struct sections s = {0};
	int rc = load_sections(fd, &s);
	auto_free Elf64_Shdr *owned = s.rows;

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < s.n; i++) {
		auto_free char *text = NULL;
		struct strings names;

		if (owned[i].sh_type != SHT_SYMTAB)
			continue;
		rc = load_strings(fd, &s, owned[i].sh_link, OBJFILE_MAX_STRINGS, &text);
		if (rc < 0)
			return rc;
		names = (struct strings){text, owned[owned[i].sh_link].sh_size};
		return find_symbol(fd, &owned[i], &names, name, ret_vaddr, ret_size);
	}
	return -ENOENT;
}
