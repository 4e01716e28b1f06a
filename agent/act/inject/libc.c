/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "agent/python/elf.h"
#include "common/str.h"

#define FILE_MAX_BYTES (1u << 30)
#define CODE_CHECKED   32 /* bytes of malloc_trim compared with the file */

static const uint8_t call_code[] = {0x0f, 0x05, 0xc3};
static const uint8_t pop_rdi_code[] = {0x5f, 0xc3};
static const uint8_t restorer_code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};

/* A file name in the maps that tells of another allocator. */
static const struct {
	const char *glob;
	const char *name;
} allocators[] = {
	{"libjemalloc*", "jemalloc"},
	{"libtcmalloc*", "tcmalloc"},
	{"libmimalloc*", "mimalloc"},
};

static bool is_libc(const struct map *m)
{
	return map_named(m, "libc.so.6") || map_named(m, "libc-2.*.so");
}

static bool is_libpthread(const struct map *m)
{
	return map_named(m, "libpthread.so.0") || map_named(m, "libpthread-2.*.so");
}

int libc_check_allocator(const struct maps *m, struct error *err)
{
	bool glibc = false;

	for (size_t i = 0; i < m->n; i++) {
		const struct map *row = &m->rows[i];

		if (map_named(row, "ld-musl-*"))
			return error_set(err, -ENOTSUP, "musl has no malloc_trim");
		for (size_t a = 0; a < ARRAY_SIZE(allocators); a++)
			if (map_named(row, allocators[a].glob))
				return error_set(err, -ENOTSUP, "process uses %s allocator",
						 allocators[a].name);
		glibc |= is_libc(row);
	}
	if (!glibc)
		return error_set(err, -ENOTSUP, "static binary: no malloc_trim");
	return 0;
}

struct image {
	void *data;
	size_t len;
};

static void auto_image_(struct image *i)
{
	if (i->data)
		munmap(i->data, i->len);
}
#define auto_image __attribute__((cleanup(auto_image_)))

/*
 * The very inode that is mapped, by map_files, so that neither a container's root nor a deleted or
 * replaced file misleads. It is looked at before it is opened: opening a device has side effects.
 */
static int open_mapped(pid_t pid, const struct map *m, struct image *ret, struct error *err)
{
	auto_close int look = -1;
	auto_close int fd = -1;
	char path[96];
	struct stat st;
	void *data;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, m->start,
		 m->end);
	look = open(path, O_PATH | O_CLOEXEC);
	if (look < 0)
		return error_sys(err, -errno, "cannot open the target's '%s'", m->path);
	if (fstat(look, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > FILE_MAX_BYTES)
		return error_set(err, -ENOTSUP, "the target's '%s' is not a plain file", m->path);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", look);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, -errno, "cannot read the target's '%s'", m->path);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return error_sys(err, -errno, "cannot map the target's '%s'", m->path);
	*ret = (struct image){.data = data, .len = (size_t)st.st_size};
	return 0;
}

/* What runs must be what the file says: a debugger's breakpoint or a patch is not ours to call. */
static bool is_as_in_file(pid_t pid, const struct elf *e, uint64_t bias, uint64_t address, size_t n)
{
	const uint8_t *code = elf_code(e, address - bias, n);
	uint8_t there[CODE_CHECKED];
	struct iovec local = {.iov_base = there, .iov_len = n};
	/* An address of another process, never followed here. */
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = n};

	return code && process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)n &&
	       memcmp(there, code, n) == 0;
}

/* One place that a call needs, in libc's code and in memory as in the file. */
static int place(pid_t pid, const struct elf *e, uint64_t bias, const struct libc *l, size_t n,
		 const char *what, uint64_t *address, struct error *err)
{
	*address += bias;
	if (!libc_has(l, *address))
		return error_set(err, -ENOTSUP, "%s is not in libc's code", what);
	if (!is_as_in_file(pid, e, bias, *address, n))
		return error_set(err, -ENOTSUP,
				 "%s in memory differs from libc's file (patched or probed)", what);
	return 0;
}

static int resolve_trim(pid_t pid, const struct elf *e, uint64_t bias, struct libc *l,
			struct error *err)
{
	if (elf_find(e, "malloc_trim", &l->malloc_trim) < 0)
		return error_set(err, -ENOTSUP, "libc has no malloc_trim");
	return place(pid, e, bias, l, CODE_CHECKED, "malloc_trim", &l->malloc_trim, err);
}

static int resolve_calls(pid_t pid, const struct elf *e, uint64_t bias, struct libc *l,
			 struct error *err)
{
	int rc;

	if (elf_find_bytes(e, call_code, sizeof(call_code), &l->call) < 0 ||
	    elf_find_bytes(e, pop_rdi_code, sizeof(pop_rdi_code), &l->pop_rdi) < 0 ||
	    elf_find(e, "_exit", &l->exit) < 0)
		return error_set(err, -ENOTSUP, "libc has no plain system call");
	rc = place(pid, e, bias, l, sizeof(pop_rdi_code), "a return", &l->pop_rdi, err);
	if (rc < 0)
		return rc;
	rc = place(pid, e, bias, l, sizeof(call_code), "a system call", &l->call, err);
	return rc < 0 ? rc : place(pid, e, bias, l, CODE_CHECKED, "_exit", &l->exit, err);
}

static int resolve(pid_t pid, const struct elf *e, const struct map *first, bool trim,
		   struct libc *l, struct error *err)
{
	uint64_t bias;
	int rc;

	if (elf_bias(e, first->start, first->offset, &bias) < 0)
		return error_set(err, -ENOTSUP, "'%s' is not mapped as its headers say",
				 first->path);
	if (elf_find_bytes(e, restorer_code, sizeof(restorer_code), &l->restorer) < 0)
		return error_set(err, -ENOTSUP, "'%s' has no signal return code", first->path);
	rc = place(pid, e, bias, l, sizeof(restorer_code), "the signal return", &l->restorer, err);
	if (rc < 0)
		return rc;
	return trim ? resolve_trim(pid, e, bias, l, err) : resolve_calls(pid, e, bias, l, err);
}

/* An exe that exports malloc has an allocator of its own inside; libc's heap is then idle. */
static int check_interposed(pid_t pid, const struct maps *m, struct error *err)
{
	char link[32];
	char exe[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n < 0)
		return error_sys(err, -errno, "cannot read '%s'", link);
	exe[n] = '\0';
	for (size_t i = 0; i < m->n; i++) {
		auto_image struct image image = {0};
		struct elf e;
		uint64_t address;

		if (m->rows[i].offset != 0 || strcmp(m->rows[i].path, exe) != 0)
			continue;
		if (open_mapped(pid, &m->rows[i], &image, err) < 0)
			return -ENOTSUP;
		if (elf_open(image.data, image.len, &e, err) < 0) {
			error_wrap(err, "'%s'", exe);
			return -ENOTSUP;
		}
		if (elf_find(&e, "malloc", &address) == 0)
			return error_set(err, -ENOTSUP,
					 "process uses its own allocator: '%s' exports malloc",
					 exe);
		return 0;
	}
	return 0;
}

static void code_range(const struct maps *m, bool (*is)(const struct map *), uint64_t range[2])
{
	for (size_t i = 0; i < m->n; i++) {
		if (!m->rows[i].executable || m->rows[i].writable || !is(&m->rows[i]))
			continue;
		range[0] = m->rows[i].start;
		range[1] = m->rows[i].end;
		return;
	}
}

static int find(pid_t pid, const struct maps *m, bool trim, struct libc *ret, struct error *err)
{
	struct libc l = {0};

	code_range(m, is_libc, l.text);
	code_range(m, is_libpthread, l.pthreads);
	for (size_t i = 0; i < m->n; i++) {
		auto_image struct image image = {0};
		struct elf e;
		int rc;

		if (m->rows[i].offset != 0 || !is_libc(&m->rows[i]))
			continue;
		rc = open_mapped(pid, &m->rows[i], &image, err);
		if (rc == 0)
			rc = elf_open(image.data, image.len, &e, err);
		if (rc == 0)
			rc = resolve(pid, &e, &m->rows[i], trim, &l, err);
		if (rc == 0)
			*ret = l;
		return rc;
	}
	return error_set(err, -ENOTSUP, "no libc.so.6 is mapped from its start");
}

int libc_find(pid_t pid, const struct maps *m, struct libc *ret, struct error *err)
{
	int rc = check_interposed(pid, m, err);

	return rc < 0 ? rc : find(pid, m, true, ret, err);
}

int libc_find_calls(pid_t pid, const struct maps *m, struct libc *ret, struct error *err)
{
	return find(pid, m, false, ret, err);
}

bool libc_has(const struct libc *l, uint64_t pc)
{
	return (pc >= l->text[0] && pc < l->text[1]) ||
	       (pc >= l->pthreads[0] && pc < l->pthreads[1]);
}
