/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"

#define PAGE                 4096u
#define IMAGE_MAX_SEGMENTS   64u
#define IMAGE_MAX_DYNAMIC    256u
#define IMAGE_MAX_BUCKETS    (1u << 22)
#define IMAGE_MAX_SYMBOL     (1u << 24) /* index of a symbol */
#define IMAGE_MAX_NAME       32u
#define IMAGE_CHAIN_AT_ONCE  32u
#define IMAGE_MAX_NEEDED     32u
#define IMAGE_MAX_NEEDS_NAME 64u

static uint64_t page_down(uint64_t v)
{
	return v & ~(uint64_t)(PAGE - 1);
}

/* ---- the headers ---- */

static int check_header(const Elf64_Ehdr *h, size_t have)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_machine != EM_X86_64)
		return -EXDEV;
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 ||
	    h->e_phnum > IMAGE_MAX_SEGMENTS || h->e_phoff > have ||
	    h->e_phnum * sizeof(Elf64_Phdr) > have - h->e_phoff)
		return -EBADMSG;
	return 0;
}

/* Bias, extent and the dynamic table's place; false when no segment begins the file. */
static bool take_segments(struct image *im, const uint8_t *table, unsigned n)
{
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;
	bool begins = false;

	for (unsigned i = 0; i < n; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, table + i * sizeof(ph), sizeof(ph));
		if (ph.p_type == PT_DYNAMIC) {
			im->dynamic = ph.p_vaddr;
			im->dynamic_size = ph.p_memsz;
		}
		if (ph.p_type != PT_LOAD)
			continue;
		if (!begins && page_down(ph.p_offset) == 0) {
			im->bias = im->start - page_down(ph.p_vaddr);
			begins = true;
		}
		low = MIN_OF(low, page_down(ph.p_vaddr));
		high = MAX_OF(high, ph.p_vaddr + ph.p_memsz);
	}
	im->low = im->bias + low;
	im->high = im->bias + high;
	if (im->dynamic)
		im->dynamic += im->bias;
	return begins;
}

/* glibc's linker adds the bias to these pointers in place, musl's does not. */
static uint64_t to_address(const struct image *im, uint64_t pointer)
{
	return pointer >= im->low && pointer < im->high ? pointer : pointer + im->bias;
}

static int read_dynamic(const struct image *im, Elf64_Dyn ret[IMAGE_MAX_DYNAMIC], unsigned *ret_n)
{
	uint64_t n = MIN_OF(im->dynamic_size / sizeof(Elf64_Dyn), IMAGE_MAX_DYNAMIC);

	*ret_n = (unsigned)n;
	if (!im->dynamic || n == 0)
		return -ENOENT;
	return memory_read(im->pid, im->dynamic, ret, n * sizeof(Elf64_Dyn));
}

static int take_dynamic(struct image *im)
{
	Elf64_Dyn entries[IMAGE_MAX_DYNAMIC];
	unsigned n;
	int rc = read_dynamic(im, entries, &n);

	if (rc == -ENOENT)
		return 0;
	for (unsigned i = 0; rc == 0 && i < n && entries[i].d_tag != DT_NULL; i++) {
		uint64_t address = to_address(im, entries[i].d_un.d_ptr);

		if (entries[i].d_tag == DT_SYMTAB)
			im->symbols = address;
		else if (entries[i].d_tag == DT_STRTAB)
			im->strings = address;
		else if (entries[i].d_tag == DT_GNU_HASH)
			im->gnu_hash = address;
		else if (entries[i].d_tag == DT_HASH)
			im->sysv_hash = address;
	}
	return rc;
}

int image_open(pid_t pid, uint64_t start, struct image *ret)
{
	struct image im = {.pid = pid, .start = start};
	uint8_t page[PAGE];
	ssize_t have = memory_read_some(pid, start, page, sizeof(page));
	Elf64_Ehdr head;
	int rc;

	if (have < 0)
		return (int)have;
	if ((size_t)have < sizeof(head))
		return -ENOEXEC;
	memcpy(&head, page, sizeof(head));
	rc = check_header(&head, (size_t)have);
	if (rc < 0)
		return rc;
	if (!take_segments(&im, page + head.e_phoff, head.e_phnum))
		return -EBADMSG;
	rc = take_dynamic(&im);
	if (rc == 0)
		*ret = im;
	return rc;
}

/* ---- one symbol ---- */

/* A lookup's budget of reads, so that forged chains cost a bounded time. */
struct lookup {
	const struct image *im;
	const char *name;
	unsigned steps;
};

static int look(struct lookup *l, uint64_t address, void *buf, size_t n)
{
	if (l->steps++ >= IMAGE_MAX_STEPS)
		return -ELOOP;
	return memory_read(l->im->pid, address, buf, n);
}

/* The i-th symbol if it is the one; -ENOENT = it is another, or only wanted here, not defined. */
static int try_symbol(struct lookup *l, uint32_t i, uint64_t *ret_address, uint64_t *ret_size)
{
	char text[IMAGE_MAX_NAME];
	size_t n = strlen(l->name) + 1;
	unsigned type;
	Elf64_Sym s;
	int rc;

	if (i >= IMAGE_MAX_SYMBOL || n > sizeof(text))
		return -EBADMSG;
	rc = look(l, l->im->symbols + (uint64_t)i * sizeof(s), &s, sizeof(s));
	if (rc < 0)
		return rc;
	type = ELF64_ST_TYPE(s.st_info);
	if (s.st_shndx == SHN_UNDEF || !s.st_value ||
	    (type != STT_OBJECT && type != STT_FUNC && type != STT_NOTYPE))
		return -ENOENT;
	rc = look(l, l->im->strings + s.st_name, text, n);
	if (rc < 0)
		return rc;
	if (memcmp(text, l->name, n) != 0)
		return -ENOENT;
	*ret_address = l->im->bias + s.st_value;
	*ret_size = s.st_size;
	return 0;
}

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (uint8_t)*name;
	return h;
}

struct gnu_table {
	uint32_t buckets;
	uint32_t first; /* index of the first symbol in the chains */
	uint32_t blooms;
	uint32_t shift;
};

/* The Bloom filter: most objects do not have the symbol, and this is all they cost. */
static int in_bloom(struct lookup *l, const struct gnu_table *t, uint32_t hash)
{
	uint64_t word;
	uint64_t at = l->im->gnu_hash + sizeof(*t) + ((hash / 64) & (t->blooms - 1)) * sizeof(word);
	int rc = look(l, at, &word, sizeof(word));

	if (rc < 0)
		return rc;
	return (word >> (hash % 64) & 1) && (word >> ((hash >> t->shift) % 64) & 1) ? 0 : -ENOENT;
}

static int walk_chain(struct lookup *l, const struct gnu_table *t, uint64_t chains, uint32_t i,
		      uint32_t hash, uint64_t *ret_address, uint64_t *ret_size)
{
	for (;; i += IMAGE_CHAIN_AT_ONCE) {
		uint32_t part[IMAGE_CHAIN_AT_ONCE] = {0};
		uint64_t at = chains + (uint64_t)(i - t->first) * sizeof(part[0]);
		ssize_t got;

		if (i >= IMAGE_MAX_SYMBOL || l->steps++ >= IMAGE_MAX_STEPS)
			return -ELOOP;
		got = memory_read_some(l->im->pid, at, part, sizeof(part));
		if (got < 0)
			return (int)got;
		for (uint32_t k = 0; k < (size_t)got / sizeof(part[0]); k++) {
			int rc = (part[k] | 1) == (hash | 1)
					 ? try_symbol(l, i + k, ret_address, ret_size)
					 : -ENOENT;

			if (rc != -ENOENT || (part[k] & 1))
				return rc;
		}
		if ((size_t)got < sizeof(part))
			return -EFAULT;
	}
}

static int find_gnu(struct lookup *l, uint64_t *ret_address, uint64_t *ret_size)
{
	uint32_t hash = gnu_hash_of(l->name);
	struct gnu_table t;
	uint64_t buckets;
	uint32_t i;
	int rc = look(l, l->im->gnu_hash, &t, sizeof(t));

	if (rc < 0)
		return rc;
	if (t.buckets == 0 || t.buckets > IMAGE_MAX_BUCKETS || t.blooms == 0 ||
	    t.blooms > IMAGE_MAX_BUCKETS || (t.blooms & (t.blooms - 1)) || t.shift >= 32)
		return -EBADMSG;
	rc = in_bloom(l, &t, hash);
	if (rc < 0)
		return rc;
	buckets = l->im->gnu_hash + sizeof(t) + (uint64_t)t.blooms * sizeof(uint64_t);
	rc = look(l, buckets + (uint64_t)(hash % t.buckets) * sizeof(i), &i, sizeof(i));
	if (rc < 0)
		return rc;
	if (i == 0)
		return -ENOENT;
	if (i < t.first)
		return -EBADMSG;
	return walk_chain(l, &t, buckets + (uint64_t)t.buckets * sizeof(i), i, hash, ret_address,
			  ret_size);
}

static uint32_t sysv_hash_of(const char *name)
{
	uint32_t h = 0;

	for (; *name; name++) {
		h = (h << 4) + (uint8_t)*name;
		h ^= (h >> 24) & 0xf0;
		h &= 0x0fffffff;
	}
	return h;
}

static int find_sysv(struct lookup *l, uint64_t *ret_address, uint64_t *ret_size)
{
	uint32_t n[2]; /* buckets, chains */
	uint64_t table = l->im->sysv_hash + sizeof(n);
	uint32_t i;
	int rc = look(l, l->im->sysv_hash, n, sizeof(n));

	if (rc < 0)
		return rc;
	if (n[0] == 0 || n[0] > IMAGE_MAX_BUCKETS)
		return -EBADMSG;
	rc = look(l, table + (uint64_t)(sysv_hash_of(l->name) % n[0]) * sizeof(i), &i, sizeof(i));
	while (rc == 0) {
		if (i == STN_UNDEF)
			return -ENOENT;
		rc = try_symbol(l, i, ret_address, ret_size);
		if (rc != -ENOENT)
			return rc;
		rc = look(l, table + ((uint64_t)n[0] + i) * sizeof(i), &i, sizeof(i));
	}
	return rc;
}

int image_find(const struct image *im, const char *name, uint64_t *ret_address, uint64_t *ret_size)
{
	struct lookup l = {.im = im, .name = name};

	if (!im->symbols || !im->strings)
		return -ENOENT;
	if (im->gnu_hash)
		return find_gnu(&l, ret_address, ret_size);
	return im->sysv_hash ? find_sysv(&l, ret_address, ret_size) : -ENOENT;
}

bool image_needs(const struct image *im, const char *prefix)
{
	Elf64_Dyn entries[IMAGE_MAX_DYNAMIC];
	char name[IMAGE_MAX_NEEDS_NAME];
	size_t len = strlen(prefix);
	unsigned needed = 0;
	unsigned n;

	if (len > sizeof(name) || !im->strings || read_dynamic(im, entries, &n) < 0)
		return false;
	for (unsigned i = 0; i < n && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag != DT_NEEDED)
			continue;
		if (needed++ >= IMAGE_MAX_NEEDED)
			break;
		if (memory_read(im->pid, im->strings + entries[i].d_un.d_val, name, len) == 0 &&
		    memcmp(name, prefix, len) == 0)
			return true;
	}
	return false;
}
